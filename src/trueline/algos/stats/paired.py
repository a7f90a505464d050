"""Paired non-inferiority of failure rates: by how much did the candidate get worse on the same probes?

d_i = candidate fails - baseline fails, in {-1, 0, 1} (or a mean in [-1, 1] over repeated samples). The bound on the mean
of d must be below the margin. Never Wald: ten tied pairs would give [0, 0]. As in `clustered`, the work is done on totals of families, of
one run or of many at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from trueline.algos.stats.clustered import Array, Totals, design_effects, spent, totals
from trueline.errors import DataError

FEW = 60  # effective pairs below which the exact bound is taken
# Tango's test has a size of up to 6 % (n = 90, margin 0.01): with nine tenths of the error it is at most 5 % from 60 pairs on, added up exactly
SCORE_SHARE = 0.9

Number = Array | np.float64  # of many runs, or of one


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


def _score_upper(worse: Number, better: Number, n: Number, level: float) -> Array:
    """Tango's upper bound of every run, by bisection on the score statistic."""
    from scipy.special import ndtri

    z = float(ndtri(level))

    def rejected(delta: Array) -> NDArray[np.bool_]:
        # restricted maximum-likelihood estimate of p(better) under difference = delta
        a = 2 * n
        b = -worse - better + (2 * n - worse + better) * delta
        c = -better * delta * (1 - delta)
        q = (np.sqrt(np.maximum(b * b - 4 * a * c, 0.0)) - b) / (2 * a)
        variance = n * (2 * q + delta * (1 - delta))
        return np.asarray((worse - better - n * delta < -z * np.sqrt(np.maximum(variance, 0.0))) & (variance > 0))

    low, high = (worse - better) / n, np.ones_like(n)
    for _ in range(50):
        middle = (low + high) / 2
        out = rejected(middle)
        low, high = np.where(out, low, middle), np.where(out, middle, high)
    return high


def tango_upper(worse: int, better: int, n: int, level: float = 0.95) -> float:
    """Upper score bound of (worse - better) / n (Tango 1998, 10.1002/(SICI)1097-0258(19980430)17:8<891).

    worse, better: discordant pairs; n: all pairs. Solved by bisection on the score statistic."""
    return float(_score_upper(np.float64(worse), np.float64(better), np.float64(n), level))


def _exact_upper(worse: Number, better: Number, n: Number, level: float) -> Array:
    from scipy.special import betaincinv

    half = 1 - (1 - level) / 2

    def above(side: float) -> Array:
        return np.where(worse >= n, 1.0, betaincinv(worse + 1, np.maximum(n - worse, 1e-9), side))

    below = np.where(better <= 0, 0.0, betaincinv(np.maximum(better, 1e-9), n - better + 1, 1 - half))
    return np.where(better == 0, above(level), above(half) - below)


def exact_upper(worse: int, better: int, n: int, level: float = 0.95) -> float:
    """Conservative exact upper bound of p(worse) - p(better): Clopper-Pearson on each, the error split in two.

    With no pair better, p(better) >= 0 needs no share of the error, so ten tied pairs give 1 - 0.05^(1/10) = 26 %."""
    return float(_exact_upper(np.float64(worse), np.float64(better), np.float64(n), level))


def _half_width(t: Totals, level: float) -> Array:
    """Half width of the bound on the mean with the cluster-robust standard error: SE^2 = sum over clusters of (sum of
    deviations)^2 / n^2 x C / (C - 1), t with C - 1 degrees of freedom."""
    from scipy.special import stdtrit

    n, count = t.sizes.sum(), len(t.sizes)
    mean = t.sums.sum(-1) / n
    if count < 2:
        return np.full_like(mean, np.inf)
    off = ((t.sums - mean[..., None] * t.sizes) ** 2).sum(-1)
    return np.asarray(float(stdtrit(count - 1, level)) * np.sqrt(off * count / (count - 1)) / n)


def _discordant_upper(t: Totals, worse: Array, better: Array, level: float) -> tuple[Array, NDArray[np.bool_]]:
    """(upper bound, whether it is the exact one) of every run, at the effective number of pairs. Rounding never helps: what got worse is
    rounded up, what got better down. Where nothing got better the score bound is short of 95 % (93.5 % at 135 pairs), the exact one is not;
    elsewhere it is taken at `SCORE_SHARE` of the error."""
    n, level = t.sizes.sum(), spent(t.sizes, level)
    m = np.maximum(1.0, np.floor(n / design_effects(t, 1.0) + 1e-9))
    up, down = np.minimum(m, np.ceil(worse * m / n - 1e-9)), np.maximum(0.0, np.minimum(m, np.floor(better * m / n + 1e-9)))
    exact = (m < FEW) | (down == 0)
    return np.where(exact, _exact_upper(up, down, m, level), _score_upper(up, down, m, 1 - SCORE_SHARE * (1 - level))), exact


@dataclass(frozen=True, slots=True)
class PairedLimits:
    """`paired_bounds` of every run, each (...,): one-sided bounds; `exact`: the upper one is (at least) the exact bound; `robust`: the
    cluster-robust one is wider."""

    lower: Array
    upper: Array
    exact: NDArray[np.bool_]
    robust: NDArray[np.bool_]


def paired_limits(t: Totals, worse: Array, better: Array, level: float) -> PairedLimits:
    """worse, better: (...,), the sums of the positive and of the negative differences, both counted positive."""
    mean, half = t.sums.sum(-1) / t.sizes.sum(), _half_width(t, level)
    upper, exact = _discordant_upper(t, worse, better, level)
    lower, _ = _discordant_upper(replace(t, sums=-t.sums), better, worse, level)
    robust = mean + half > upper
    return PairedLimits(np.maximum(-1.0, np.minimum(-lower, mean - half)), np.minimum(1.0, np.maximum(upper, mean + half)), exact, robust)


def paired_bounds(differences: Sequence[float], clusters: Sequence[str], level: float = 0.95) -> PairedBounds:
    """One-sided bounds on the mean of `differences`, clustered by probe family.

    The bound is the wider of the cluster-robust one and a score (or, below 60 effective pairs, exact) bound at the effective number
    of pairs; tied data thus never give a zero width. Raises `DataError` on no data."""
    if not len(differences):
        raise DataError("no pairs to compare: insufficient evidence", remedy="evaluate both sides on the same suite")
    n, t = len(differences), totals(differences, clusters)
    worse, better = sum(d for d in differences if d > 0), -sum(d for d in differences if d < 0)
    found = paired_limits(t, np.asarray(worse, dtype=np.float64), np.asarray(better, dtype=np.float64), level)
    method = ("exact" if found.exact else "score") + ("+clusters" if found.robust else "")
    return PairedBounds(sum(differences) / n, float(found.lower), float(found.upper), n, len(t.sizes), worse, better, method, level)
