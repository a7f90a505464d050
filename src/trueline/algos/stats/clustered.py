"""A failure rate whose probes come in families: exact bounds at the effective number of probes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from trueline.algos.stats.binomial import lower_bound, upper_bound
from trueline.errors import DataError


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


def effective_size(failures: Sequence[float], clusters: Sequence[str]) -> tuple[float, int]:
    """(effective n, number of clusters): n over the design effect, the ratio of the clustered to the plain variance of
    the mean, never above n. Tied data (all pass, all fail) say nothing about the design effect: n is taken."""
    n = len(failures)
    mean = sum(failures) / n
    sums: dict[str, float] = {}
    for f, c in zip(failures, clusters, strict=True):
        sums[c] = sums.get(c, 0.0) + f - mean
    count = len(sums)
    plain = sum((f - mean) ** 2 for f in failures)
    if plain <= 0 or count < 2:
        return float(n), count
    design = sum(s * s for s in sums.values()) * count / (count - 1) / plain
    return n / max(design, 1.0), count


def rate_bounds(failures: Sequence[float], clusters: Sequence[str], level: float = 0.95) -> RateBounds:
    """Exact one-sided bounds (Clopper-Pearson at the effective size, Korn & Graubard 1998). Raises `DataError` on no data."""
    if not failures:
        raise DataError("no replies were graded: insufficient evidence", remedy="evaluate at least one probe")
    n, k = len(failures), float(sum(failures))
    effective, count = effective_size(failures, clusters)
    scaled = k * effective / n
    return RateBounds(k / n, lower_bound(scaled, effective, level), upper_bound(scaled, effective, level), k, n, count, effective, level)
