"""How far people agree: raw pairwise agreement and Krippendorff's alpha (nominal), with a bootstrap interval over items."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trueline.errors import DataError


@dataclass(frozen=True, slots=True)
class Agreement:
    """raw: share of agreeing pairs of votes; alpha: 1 - observed / expected disagreement; low, high: 95 % bootstrap."""

    raw: float
    alpha: float
    low: float
    high: float
    units: int
    votes: int


def _parts(units: Sequence[Sequence[str]], names: dict[str, int]) -> tuple[np.ndarray, np.ndarray]:
    """Per item: coincidences (items, values, values) weighted by 1 / (m - 1), for items with at least two votes."""
    rows = np.zeros((len(units), len(names)))
    for i, votes in enumerate(units):
        for v, n in Counter(votes).items():
            rows[i, names[v]] = n
    m = rows.sum(axis=1)
    co = rows[:, :, None] * rows[:, None, :]
    co -= np.eye(len(names))[None] * rows[:, None, :]
    return co / (m - 1)[:, None, None], m


def _alpha(co: np.ndarray) -> float:
    """Krippendorff (2011), nominal: alpha = 1 - (n - 1) (n - sum of diagonal) / (n^2 - sum of squared marginals)."""
    total = co.sum(axis=0)
    n = total.sum()
    marginals = total.sum(axis=1)
    expected = n * n - (marginals**2).sum()
    return 1.0 if expected <= 0 else float(1 - (n - 1) * (n - np.trace(total)) / expected)


def agree(units: Sequence[Sequence[str]], *, seed: int = 0, rounds: int = 1000) -> Agreement:
    """Agreement over items (each a sequence of votes). Raises `DataError` where no item has two votes."""
    kept = [tuple(u) for u in units if len(u) >= 2]
    if not kept:
        raise DataError("no item has two votes: insufficient evidence", remedy="let two people judge the same items")
    names = {v: i for i, v in enumerate(sorted({v for u in kept for v in u}))}
    co, m = _parts(kept, names)
    pairs = (co * (m - 1)[:, None, None]).sum(axis=0)
    source = np.random.default_rng(seed)
    draws = sorted(_alpha(co[source.integers(0, len(kept), len(kept))]) for _ in range(rounds))
    low, high = draws[int(0.025 * rounds)], draws[int(0.975 * rounds) - 1]
    return Agreement(float(np.trace(pairs) / pairs.sum()), _alpha(co), low, high, len(kept), int(m.sum()))
