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
    return Totals(np.bincount(where, weights=v), np.bincount(where).astype(np.float64), np.asarray(v @ v))


def design_effects(t: Totals, worst: float) -> Array:
    """`design_effect` of every run: (...,)."""
    n, count, total = t.sizes.sum(), len(t.sizes), t.sums.sum(-1)
    usual = float((t.sizes**2).sum() / n)  # the size of the family that a random probe is in

    def ratio(members: float, mean: Array, further: Array | float) -> Array:
        between = ((t.sums - mean[..., None] * t.sizes) ** 2).sum(-1) + further**2
        plain = t.squares - 2 * mean * total + n * mean**2 + (further**2 / members if members else 0.0)
        return np.where(plain > 1e-12, between / np.maximum(plain, 1e-12), 1.0)

    mean = (total + usual * worst) / (n + usual)
    joined = np.maximum(1.0, ratio(usual, mean, usual * (worst - mean)))
    if usual <= 1:
        return joined
    own = ratio(0.0, total / n, 0.0) * count / (count - 1) if count > 1 else np.full_like(mean, float(n))
    return np.maximum(joined, own)


def design_effect(values: Sequence[float], clusters: Sequence[str], worst: float = 1.0) -> float:
    """By how much n shrinks for the families: the larger of two ratios of the clustered to the plain variance of the mean, at least 1.

    The first is that of the data (Korn & Graubard 1998, with C / (C - 1)). The second is that of the data and one more family of the
    usual size of which every member has the value `worst`. Data in which nothing or little happened say nothing of how families hold
    together; the unseen family does, so that tied data are worth one probe a family: ten probes asked thirty times each bound a
    rate as ten do, not as three hundred. Families of one keep all of n."""
    return float(design_effects(totals(values, clusters), worst))


def effective_size(failures: Sequence[float], clusters: Sequence[str], worst: float = 1.0) -> float:
    """n over the design effect, never above n, never below one."""
    return max(1.0, len(failures) / design_effect(failures, clusters, worst))


def rate_limits(t: Totals, level: float) -> tuple[Array, Array, Array]:
    """(lower, upper, effective number for the upper one) of every run: `rate_bounds` on totals."""
    from scipy.special import betaincinv

    n, total = t.sizes.sum(), t.sums.sum(-1)
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
