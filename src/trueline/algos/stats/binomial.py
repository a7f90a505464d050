"""One proportion: Clopper-Pearson (exact) and Wilson (score) intervals, and one-sided bounds."""

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


def wilson(k: float, n: float, level: float = 0.95) -> Interval:
    """Score interval (Wilson 1927): shorter than the exact one, for display."""
    from scipy.special import ndtri

    _check(k, n)
    z = float(ndtri((1 + level) / 2))
    p, d = k / n, 1 + z * z / n
    middle = (p + z * z / (2 * n)) / d
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / d
    return Interval(p, max(0.0, middle - half), min(1.0, middle + half), int(n), level)
