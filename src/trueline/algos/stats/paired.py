"""Paired non-inferiority of failure rates: by how much did the candidate get worse on the same probes?

d_i = candidate fails - baseline fails, in {-1, 0, 1} (or a mean in [-1, 1] over repeated samples). The bound on the mean
of d must be below the margin. Never Wald: ten tied pairs would give [0, 0].
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from trueline.algos.stats.binomial import lower_bound, upper_bound
from trueline.errors import DataError


@dataclass(frozen=True, slots=True)
class PairedBounds:
    """Mean difference with one-sided bounds at `level`; `method` says which bound holds; n pairs in `clusters`."""

    difference: float
    lower: float
    upper: float
    n: int
    clusters: int
    worse: float
    better: float
    method: str
    level: float = 0.95


def tango_upper(worse: int, better: int, n: int, level: float = 0.95) -> float:
    """Upper score bound of (worse - better) / n (Tango 1998, 10.1002/(SICI)1097-0258(19980430)17:8<891).

    worse, better: discordant pairs; n: all pairs. Solved by bisection on the score statistic."""
    from scipy.special import ndtri

    z = float(ndtri(level))
    difference = (worse - better) / n

    def statistic(delta: float) -> float:
        # restricted maximum-likelihood estimate of p(better) under difference = delta
        a = 2 * n
        b = -worse - better + (2 * n - worse + better) * delta
        c = -better * delta * (1 - delta)
        q = (math.sqrt(max(b * b - 4 * a * c, 0.0)) - b) / (2 * a)
        variance = n * (2 * q + delta * (1 - delta))
        return (worse - better - n * delta) / math.sqrt(variance) if variance > 0 else math.inf

    low, high = difference, 1.0
    for _ in range(80):
        middle = (low + high) / 2
        if statistic(middle) < -z:
            high = middle
        else:
            low = middle
    return high


def exact_upper(worse: int, better: int, n: int, level: float = 0.95) -> float:
    """Conservative exact upper bound of p(worse) - p(better): Clopper-Pearson on each, the error split in two.

    With no pair better, p(better) >= 0 needs no share of the error, so ten tied pairs give 1 - 0.05^(1/10) = 26 %."""
    if better == 0:
        return upper_bound(worse, n, level)
    half = 1 - (1 - level) / 2
    return upper_bound(worse, n, half) - lower_bound(better, n, half)


def _cluster_bounds(differences: Sequence[float], clusters: Sequence[str], level: float) -> tuple[float, float, float, int]:
    """(mean, half width, effective pairs, clusters) with the cluster-robust standard error: SE^2 = sum over clusters of
    (sum of deviations)^2 / n^2 x C / (C - 1), t with C - 1 degrees of freedom."""
    from scipy.special import stdtrit

    n = len(differences)
    mean = sum(differences) / n
    sums: dict[str, float] = {}
    for d, c in zip(differences, clusters, strict=True):
        sums[c] = sums.get(c, 0.0) + d - mean
    count = len(sums)
    if count < 2:
        return mean, math.inf, 1.0, count
    variance = sum(s * s for s in sums.values()) / n**2 * count / (count - 1)
    plain = sum((d - mean) ** 2 for d in differences) / n**2
    design = variance / plain if plain > 0 else 1.0
    return mean, float(stdtrit(count - 1, level)) * math.sqrt(variance), n / max(design, 1.0), count


def paired_bounds(differences: Sequence[float], clusters: Sequence[str], level: float = 0.95) -> PairedBounds:
    """One-sided bounds on the mean of `differences`, clustered by probe family.

    The bound is the wider of the cluster-robust one and a score (or, below 50 effective pairs, exact) bound at the effective number
    of pairs; tied data thus never give a zero width. Raises `DataError` on no data."""
    if not differences:
        raise DataError("no pairs to compare: insufficient evidence", remedy="evaluate both sides on the same suite")
    mean, half, effective, count = _cluster_bounds(differences, clusters, level)
    worse = sum(d for d in differences if d > 0)
    better = -sum(d for d in differences if d < 0)
    n = len(differences)
    m = max(1, math.floor(min(effective, n) + 1e-9))
    up, down = min(m, math.ceil(worse * m / n - 1e-9)), min(m, math.ceil(better * m / n - 1e-9))
    if m < 50:
        method, upper, lower = "exact", exact_upper(up, down, m, level), -exact_upper(down, up, m, level)
    else:
        method, upper, lower = "score", tango_upper(up, down, m, level), -tango_upper(down, up, m, level)
    if mean + half > upper:
        method = method + "+clusters"
    return PairedBounds(mean, min(lower, mean - half), max(upper, mean + half), n, count, worse, better, method, level)
