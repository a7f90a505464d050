"""A quantile with an interval that assumes nothing about the distribution: order statistics (Conover 1999, section 3.2)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from trueline.errors import DataError


@dataclass(frozen=True, slots=True)
class Quantile:
    """The `q` quantile of n values with a two-sided interval at `level`; an end that so few values do not bound is infinite."""

    q: float
    value: float
    low: float
    high: float
    n: int
    level: float = 0.95


def quantile(values: Sequence[float], q: float, level: float = 0.95) -> Quantile:
    """The smallest value with at least q of the data at or below it, between the order statistics x_(r) and x_(s).

    With B ~ Binomial(n, q): r is the largest rank with P(B < r) <= alpha / 2, s the smallest with P(B >= s) <= alpha / 2; each side errs by
    at most half of alpha = 1 - level. The values count as independent. Raises `DataError` on no data."""
    from scipy.special import bdtr

    if not values:
        raise DataError("no values: insufficient evidence", remedy="measure at least one")
    ordered, n, half = sorted(values), len(values), (1 - level) / 2
    below = [float(bdtr(k, n, q)) for k in range(n)]  # P(B <= k)
    r = sum(p <= half for p in below)  # P(B < r) = P(B <= r - 1)
    s = next((k + 1 for k in range(n) if 1 - below[k] <= half), n + 1)
    at = max(0, math.ceil(q * n - 1e-9) - 1)
    return Quantile(q, ordered[at], ordered[r - 1] if r else -math.inf, ordered[s - 1] if s <= n else math.inf, n, level)
