"""What the simulated evaluations are drawn from: families of probes that fall together as much as told, a judge who errs, people who label a part."""

from __future__ import annotations

from itertools import cycle, islice

import numpy as np
from numpy.typing import NDArray

from trueline.algos.stats.clustered import Array, Totals

MIXED = (1, 1, 1, 2, 3, 5, 10, 20, 40)
Bools = NDArray[np.bool_]


def sizes_of(kind: str, n: int) -> NDArray[np.intp]:
    """Family sizes that sum to n. kind: a number (all of this size, the last cut), "mixed" (1 to 40) or "skewed" (half single, half in twenties)."""
    if kind == "skewed":
        return np.array([1] * (n // 2) + [20] * (n // 40))
    wanted = islice(cycle(MIXED if kind == "mixed" else (int(kind),)), n)
    out: list[int] = []
    for size in wanted:
        if sum(out) >= n:
            break
        out.append(min(size, n - sum(out)))
    return np.array(out)


def uniform(rng: np.random.Generator, runs: int, sizes: NDArray[np.intp], together: float) -> Array:
    """(runs, probes) uniform draws: each member takes its family's draw with chance sqrt(together), so two members of a family have the same draw
    with chance `together`, the correlation of whatever is cut from them."""
    n = int(sizes.sum())
    own = rng.random((runs, n))
    if together <= 0:
        return own
    common = np.repeat(rng.random((runs, len(sizes))), sizes, axis=1)
    return np.where(rng.random((runs, n)) < np.sqrt(together), common, own)


def by_family(values: Array, sizes: NDArray[np.intp]) -> Totals:
    """(runs, probes) values to totals."""
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    return Totals(np.add.reduceat(values, starts, axis=-1), sizes.astype(np.float64), (values**2).sum(-1))


def differences(draws: Array, up: float, down: float) -> Array:
    """1 with chance `up`, -1 with chance `down`, else 0."""
    return np.where(draws < up, 1.0, np.where(draws > 1 - down, -1.0, 0.0))


def judged(rng: np.random.Generator, failed: Bools, se: float, sp: float) -> Bools:
    """What a judge of this sensitivity and specificity says of each reply, errors independent."""
    draws = rng.random(failed.shape)
    return np.where(failed, draws < se, draws >= sp)


def names(sizes: NDArray[np.intp]) -> list[str]:
    """The family of each probe."""
    return [str(f) for f, size in enumerate(sizes) for _ in range(size)]
