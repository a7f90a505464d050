"""Prediction-powered bounds: a judge saw every reply, people labelled some of them; what is the rate, or the worsening, by the people?

PPI (Angelopoulos et al. 2023, 2301.09633) corrects the judge's mean over all replies by the people's mean correction on the labelled ones; PPI++
(2311.01453) weights the judge so that he can only help. A verdict has few values, so the best weight is known in closed form: the estimate

    sum over the judge's verdicts v of  (share of v among all replies) x (mean of the labels among the labelled replies of v)

is PPI++ with its best weight (two verdicts: weight = mean label where he said fail less that where he said pass), and stratified PPI
(2406.04291). It asks nothing of the judge, who may err differently on candidate and baseline, and may leave replies unscored (`None`: a verdict
of its own). The labelled ones must be a random draw among the replies of each verdict: more labels where the judge says fail are allowed, and pay.

The bounds. PPI's own are Wald's: zero width where no label differed, and wrong with 20 to 50 labels and rates near 0. Here each mean gets its
own bound (exact, `clustered` and `paired`), each share likewise, and they are put together by MOVER (Zou & Donner 2008, 10.1002/sim.3095): the
square root of the summed squares of the distances to the limits. The wider of this and the cluster-robust bound with t is taken, so that families
count over verdicts too. A verdict without a label leaves its replies wholly open. Where nothing fails, the bound is that of the labels
alone: no judge helps there, 30 labels without a failure leave 9.5 %.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from trueline.algos.stats.clustered import rate_bounds
from trueline.algos.stats.paired import paired_bounds
from trueline.errors import DataError

Bounds = Callable[[list[float], list[str], float], tuple[float, float, float]]


@dataclass(frozen=True, slots=True)
class PoweredBounds:
    """The mean as people would label it, with one-sided bounds at `level`. `judged_only`: the judge's own mean over the replies he scored (None:
    none); labelled of n replies in `families`."""

    estimate: float
    lower: float
    upper: float
    judged_only: float | None
    labelled: int
    n: int
    families: int
    level: float = 0.95


@dataclass(frozen=True, slots=True)
class _Part:
    """The replies of one verdict: share of all; the labels' mean with its limits; whether any is labelled."""

    rows: list[int]
    labelled: list[int]
    share: float
    mean: float
    low: float
    high: float


def _rate(values: list[float], clusters: list[str], level: float) -> tuple[float, float, float]:
    found = rate_bounds(values, clusters, level)
    return found.rate, found.lower, found.upper


def _difference(values: list[float], clusters: list[str], level: float) -> tuple[float, float, float]:
    found = paired_bounds(values, clusters, level)
    return found.difference, found.lower, found.upper


def powered_rate(
    judged: Sequence[float | None], labels: Sequence[float | None], clusters: Sequence[str], level: float = 0.95
) -> PoweredBounds:
    """A failure rate. judged: 1 (fails), 0 or None (unscored) for every reply; labels: 1, 0, or None where no person looked; clusters: families.
    Raises `DataError` for lengths that differ or no label."""
    return _powered(judged, labels, clusters, level, (0.0, 1.0), _rate)


def powered_difference(
    judged: Sequence[float | None], labels: Sequence[float | None], clusters: Sequence[str], level: float = 0.95
) -> PoweredBounds:
    """A worsening. One entry a pair, candidate fails - baseline fails in {-1, 0, 1}: judged, None where he left one of the two unscored; labels,
    None where people did not label both. Raises `DataError` as `powered_rate`."""
    return _powered(judged, labels, clusters, level, (-1.0, 1.0), _difference)


def _powered(
    judged: Sequence[float | None],
    labels: Sequence[float | None],
    clusters: Sequence[str],
    level: float,
    span: tuple[float, float],
    bounds: Bounds,
) -> PoweredBounds:
    n = len(judged)
    known = [i for i, y in enumerate(labels) if y is not None]
    if not (n == len(labels) == len(clusters)) or not known:
        got = f"{n} verdicts, {len(labels)} labels ({len(known)} given), {len(clusters)} families"
        raise DataError(f"{got}: insufficient evidence", remedy="let people label a random part of the replies that the judge saw")
    parts = [_part(v, judged, labels, clusters, level, span, bounds) for v in dict.fromkeys(judged)]
    parts.sort(key=lambda p: -len(p.rows))
    estimate = sum(p.share * p.mean for p in parts)
    down, up = _mover(parts, clusters, n, level)
    half = _robust(parts, labels, clusters, estimate, level)
    scored = [v for v in judged if v is not None]
    return PoweredBounds(
        estimate, max(span[0], estimate - max(down, half)), min(span[1], estimate + max(up, half)), sum(scored) / len(scored) if scored else None,
        len(known), n, len(set(clusters)), level,
    )  # fmt: skip


def _part(
    verdict: float | None, judged: Sequence[float | None], labels: Sequence[float | None], clusters: Sequence[str], level: float,
    span: tuple[float, float], bounds: Bounds,
) -> _Part:  # fmt: skip
    rows = [i for i, v in enumerate(judged) if v == verdict]
    own = [i for i in rows if labels[i] is not None]
    if not own:  # nobody looked: the judge's word as the estimate, all that is possible as the bounds
        return _Part(rows, own, len(rows) / len(judged), sum(span) / 2 if verdict is None else verdict, *span)
    return _Part(
        rows, own, len(rows) / len(judged), *bounds([y for i in own if (y := labels[i]) is not None], [clusters[i] for i in own], level)
    )


def _mover(parts: Sequence[_Part], clusters: Sequence[str], n: int, level: float) -> tuple[float, float]:
    """(distance to the lower, to the upper bound): each mean's times its share, and each share's times what its mean differs from the largest part's."""
    down = up = 0.0
    for p in parts:
        down, up = down + (p.share * (p.mean - p.low)) ** 2, up + (p.share * (p.high - p.mean)) ** 2
    for p in parts[1:]:
        inside, apart = set(p.rows), p.mean - parts[0].mean
        found = rate_bounds([float(i in inside) for i in range(n)], clusters, level)
        fewer, more = apart * (found.rate - found.lower), apart * (found.upper - found.rate)
        down, up = down + (fewer if apart > 0 else more) ** 2, up + (more if apart > 0 else fewer) ** 2
    return float(np.sqrt(down)), float(np.sqrt(up))


def _robust(parts: Sequence[_Part], labels: Sequence[float | None], clusters: Sequence[str], estimate: float, level: float) -> float:
    """Half width by the families' sums of each reply's influence: (mean of its verdict - estimate) / n, and, labelled, (label - mean) share / labels."""
    from scipy.special import stdtrit

    sums: dict[str, float] = {}
    with_labels: set[str] = set()
    n = sum(len(p.rows) for p in parts)
    for p in parts:
        for i in p.rows:
            sums[clusters[i]] = sums.get(clusters[i], 0.0) + (p.mean - estimate) / n
        for i in p.labelled:
            sums[clusters[i]] += (float(labels[i] or 0.0) - p.mean) * p.share / len(p.labelled)
            with_labels.add(clusters[i])
    count = len(with_labels)
    if count < 2:
        return float("inf")
    return float(stdtrit(count - 1, level) * np.sqrt(sum(s * s for s in sums.values()) * count / (count - 1)))
