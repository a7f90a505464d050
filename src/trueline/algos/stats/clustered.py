"""A failure rate whose probes come in families: exact bounds at the effective number of probes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from trueline.algos.stats.binomial import lower_bound, upper_bound
from trueline.core.records import Interval
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


def _grouped(values: Sequence[float], clusters: Sequence[str]) -> tuple[dict[str, float], dict[str, int]]:
    """(sum, size) of each cluster."""
    sums: dict[str, float] = {}
    sizes: dict[str, int] = {}
    for v, c in zip(values, clusters, strict=True):
        sums[c] = sums.get(c, 0.0) + v
        sizes[c] = sizes.get(c, 0) + 1
    return sums, sizes


def design_effect(values: Sequence[float], clusters: Sequence[str], worst: float = 1.0) -> float:
    """By how much n shrinks for the families: the larger of two ratios of the clustered to the plain variance of the mean, at least 1.

    The first is that of the data (Korn & Graubard 1998, with C / (C - 1)). The second is that of the data and one more family of the
    usual size of which every member has the value `worst`. Data in which nothing or little happened say nothing of how families hold
    together; the unseen family does, so that tied data are worth one probe a family: ten probes asked thirty times each bound a
    rate as ten do, not as three hundred. Families of one keep all of n."""
    n = len(values)
    sums, sizes = _grouped(values, clusters)
    count, total, squares = len(sums), sum(values), sum(v * v for v in values)
    usual = sum(m * m for m in sizes.values()) / n  # the size of the family that a random probe is in

    def ratio(members: float, mean: float, further: float) -> float:
        between = sum((sums[c] - mean * m) ** 2 for c, m in sizes.items()) + further**2
        plain = squares - 2 * mean * total + n * mean**2 + (further**2 / members if members else 0.0)
        return between / plain if plain > 1e-12 else 1.0

    own = ratio(0.0, total / n, 0.0) * count / (count - 1) if count > 1 else float(n)
    mean = (total + usual * worst) / (n + usual)
    return max(1.0, ratio(usual, mean, usual * (worst - mean)), own if usual > 1 else 1.0)


def effective_size(failures: Sequence[float], clusters: Sequence[str], worst: float = 1.0) -> float:
    """n over the design effect, never above n, never below one."""
    return max(1.0, len(failures) / design_effect(failures, clusters, worst))


def rate_bounds(failures: Sequence[float], clusters: Sequence[str], level: float = 0.95) -> RateBounds:
    """Exact one-sided bounds (Clopper-Pearson at the effective size, Korn & Graubard 1998). Raises `DataError` on no data.

    For the upper bound the unseen family fails, for the lower one it passes; `effective` is that of the upper bound."""
    if not failures:
        raise DataError("no replies were graded: insufficient evidence", remedy="evaluate at least one probe")
    n, k = len(failures), float(sum(failures))
    above, below = effective_size(failures, clusters, 1.0), effective_size(failures, clusters, 0.0)
    # k / n of an effective size may round to above it where everything failed
    lower, upper = lower_bound(min(k * below / n, below), below, level), upper_bound(min(k * above / n, above), above, level)
    return RateBounds(k / n, lower, upper, k, n, len(set(clusters)), above, level)


def rate_interval(failures: Sequence[float], clusters: Sequence[str], level: float = 0.95) -> Interval:
    """Two-sided interval of a rate in families, from the one-sided bounds of `rate_bounds`. Raises `DataError` on no data."""
    found = rate_bounds(failures, clusters, (1 + level) / 2)
    return Interval(found.rate, found.lower, found.upper, found.n, level)
