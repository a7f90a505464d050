"""A failure rate whose probes come in families: exact bounds at the effective number of probes.

Inside, everything works on the families' totals, of one run or of many at once (leading axes): the simulation of
`labs.coverage` calls the very code that the gate calls.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trueline.core.records import Interval
from trueline.errors import DataError

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class RateBounds:
    """Failure rate with one-sided bounds at `level`. `effective` <= n: what n is worth given the families."""

    rate: float
    lower: float
    upper: float
    failures: float
    n: int
    clusters: int
    effective: float
    level: float = 0.95


@dataclass(frozen=True, slots=True)
class Totals:
    """Values by family. sums: (..., families), the sum of each; sizes: (families,), members of each; squares: (...,), the sum of the squared
    values. Leading axes are runs."""

    sums: Array
    sizes: Array
    squares: Array


def totals(values: Sequence[float], clusters: Sequence[str]) -> Totals:
    """One run's values by family. Raises `ValueError` where lengths differ."""
    index: dict[str, int] = {}
    where = np.array([index.setdefault(c, len(index)) for _, c in zip(values, clusters, strict=True)], dtype=np.intp)
    v = np.asarray(values, dtype=np.float64)
    sums = np.bincount(where, weights=v).astype(np.float64)
    return Totals(sums, np.bincount(where).astype(np.float64), np.asarray(v @ v, dtype=np.float64))


def _shape(sizes: Array) -> tuple[float, float]:
    """(size of the family that a random probe is in, size of the family that a random pair from one family is in): equal where all sizes are."""
    within = float((sizes * (sizes - 1)).sum())
    return float((sizes**2).sum() / sizes.sum()), float((sizes * sizes * (sizes - 1)).sum() / within) if within else 1.0


def design_effects(t: Totals, worst: float) -> Array:
    """`design_effect` of every run: (...,)."""
    n, count, total = t.sizes.sum(), len(t.sizes), t.sums.sum(-1)
    usual, unseen = _shape(t.sizes)
    if usual <= 1:
        return np.ones_like(total)

    def spread(mean: Array, members: float = 0.0, value: float = 0.0) -> tuple[Array, Array]:
        """Squares around the mean of families' sums, and of single values, with so many more members of one value."""
        between = ((t.sums - mean[..., None] * t.sizes) ** 2).sum(-1) + (members * (value - mean)) ** 2
        return between, t.squares - 2 * mean * total + n * mean**2 + members * (value - mean) ** 2

    between, single = spread((total + unseen * worst) / (n + unseen), unseen, worst)
    pairs = (t.sizes * (t.sizes - 1)).sum() + unseen * (unseen - 1)
    known = single > 1e-12
    together = np.where(known, (between - single) / pairs / (np.where(known, single, 1.0) / (n + unseen)), 1.0)
    joined = 1 + np.clip(together, 0.0, 1.0) * (usual - 1)
    if count < 2:
        return np.maximum(joined, float(n))
    between, single = spread(total / n)
    known = single > 1e-12
    return np.maximum(joined, np.where(known, between / np.where(known, single, 1.0), 1.0) * count / (count - 1))


def spent(sizes: Array, level: float) -> float:
    """The level to compute at so that a bound of families of unequal sizes holds at `level`: a few large families are no binomial. Equal sizes: `level`."""
    usual, unseen = _shape(sizes)
    return 1 - (1 - level) * max(0.75, usual / unseen)


def design_effect(values: Sequence[float], clusters: Sequence[str], worst: float = 1.0) -> float:
    """By how much n shrinks for the families: the larger of two estimates, at least 1.

    The first is that of the data: the clustered over the plain variance of the mean (Korn & Graubard 1998, with C / (C - 1)). The second is
    1 + r (m - 1), m the size of the family that a random probe is in, and r how strongly members of a family hold together, in [0, 1], from the data and one
    more family of which every member has the value `worst`. Data in which nothing or little happened say nothing of r; the unseen
    family does, so that tied data are worth one probe a family: ten probes asked thirty times each bound a
    rate as ten do, not as three hundred. Families of one keep all of n, and say nothing of r: 400 single probes beside 20 families of 20 that fall as
    one would else hide these, and the bound missed in 18 % of runs."""
    return float(design_effects(totals(values, clusters), worst))


def effective_size(failures: Sequence[float], clusters: Sequence[str], worst: float = 1.0) -> float:
    """n over the design effect, never above n, never below one."""
    return max(1.0, len(failures) / design_effect(failures, clusters, worst))


def rate_limits(t: Totals, level: float) -> tuple[Array, Array, Array]:
    """(lower, upper, effective number for the upper one) of every run: `rate_bounds` on totals."""
    from scipy.special import betaincinv

    n, total, level = t.sizes.sum(), t.sums.sum(-1), spent(t.sizes, level)
    above, below = (np.maximum(1.0, n / design_effects(t, worst)) for worst in (1.0, 0.0))
    # k / n of an effective size may round to above it where everything failed
    few, many = np.minimum(total * below / n, below), np.minimum(total * above / n, above)
    with np.errstate(invalid="ignore"):
        lower = np.where(few <= 0, 0.0, betaincinv(few, below - few + 1, 1 - level))
        upper = np.where(many >= above, 1.0, betaincinv(many + 1, above - many, level))
    return lower, upper, above


def rate_bounds(failures: Sequence[float], clusters: Sequence[str], level: float = 0.95) -> RateBounds:
    """Exact one-sided bounds (Clopper-Pearson at the effective size, Korn & Graubard 1998). Raises `DataError` on no data.

    failures: 0 or 1, or means in [0, 1]. For the upper bound the unseen family fails, for the lower one it passes; `effective` is that of
    the upper bound."""
    if not len(failures):
        raise DataError("no replies were graded: insufficient evidence", remedy="evaluate at least one probe")
    t, n, k = totals(failures, clusters), len(failures), float(sum(failures))
    lower, upper, above = rate_limits(t, level)
    return RateBounds(k / n, float(lower), float(upper), k, n, len(t.sizes), float(above), level)


def rate_interval(failures: Sequence[float], clusters: Sequence[str], level: float = 0.95) -> Interval:
    """Two-sided interval of a rate in families, from the one-sided bounds of `rate_bounds`. Raises `DataError` on no data."""
    found = rate_bounds(failures, clusters, (1 + level) / 2)
    return Interval(found.rate, found.lower, found.upper, found.n, level)
