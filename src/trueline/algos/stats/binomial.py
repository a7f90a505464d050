"""One proportion: Clopper-Pearson (exact) interval and one-sided bounds.

Wilson's score interval was here and is not: a one-sided bound from it misses in up to 20 % of runs with 10 probes and 12 % with 300, near 0."""

from __future__ import annotations

import math

from trueline.core.records import Interval
from trueline.errors import DataError


def _check(k: float, n: float) -> None:
    if n <= 0 or not 0 <= k <= n:
        raise DataError(f"got {k} of {n}, expected 0 <= k <= n and n > 0: insufficient evidence", remedy="measure at least one probe")


def upper_bound(k: float, n: float, level: float = 0.95) -> float:
    """One-sided exact upper bound (Clopper & Pearson 1934): the largest p with P(X <= k | p) >= 1 - level."""
    from scipy.special import betaincinv

    _check(k, n)
    return 1.0 if k >= n else float(betaincinv(k + 1, n - k, level))


def lower_bound(k: float, n: float, level: float = 0.95) -> float:
    """One-sided exact lower bound: the smallest p with P(X >= k | p) >= 1 - level."""
    from scipy.special import betaincinv

    _check(k, n)
    return 0.0 if k <= 0 else float(betaincinv(k, n - k + 1, 1 - level))


def clopper_pearson(k: float, n: float, level: float = 0.95) -> Interval:
    """Exact two-sided interval of a proportion."""
    side = (1 + level) / 2
    return Interval(k / n if n else math.nan, lower_bound(k, n, side), upper_bound(k, n, side), int(n), level)
