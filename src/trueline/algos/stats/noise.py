"""The noise floor: how far do two evaluations of one target differ, and what does that ask of a comparison?

Replies are drawn, and a served model may answer differently even at temperature 0. An A/A run (the same target twice), or several samples a
probe, says how often a grade flips; no comparison on as many probes can resolve less than that makes by chance.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from trueline.algos.stats.clustered import effective_size, rate_interval
from trueline.algos.stats.planning import pairs_for_margin
from trueline.core.records import Interval
from trueline.errors import DataError


@dataclass(frozen=True, slots=True)
class Noise:
    """flips: chance that the grades of two replies to one probe differ, with its two-sided interval. floor: the difference of two
    evaluations, of one reply to each of these probes, that chance alone exceeds in at most 1 - level of A/A runs (flips at the
    interval's upper end). drift: p-value (two-sided, exact) that both runs are of one target, None from samples; a small one says that
    something changed between them. n: pairs, or probes with at least two samples; families; worth: n in independent ones."""

    flips: Interval
    floor: float
    drift: float | None
    n: int
    families: int
    worth: float

    def pairs_needed(self, margin: float, *, samples: int = 1, power: float = 0.8, level: float = 0.95) -> int | None:
        """Pairs that show non-inferiority within `margin` for a candidate that differs from its baseline by this noise alone (a real one
        differs by more): `pairs_for_margin` at the upper end of the flip rate. samples: replies a probe and side, whose mean flips less. None:
        no number shows a margin of 0. Never fewer than tied pairs need, ln(1 - level) / ln(1 - margin)."""
        needed = pairs_for_margin(margin, self.flips.high / samples, power, level)
        return None if needed is None else max(needed, math.ceil(math.log(1 - level) / math.log1p(-min(margin, 1 - 1e-9))))


def noise_of_pairs(first: Sequence[float], second: Sequence[float], clusters: Sequence[str], level: float = 0.95) -> Noise:
    """From an A/A run. first, second: 0 or 1 (failed) for the same probes and samples, in one order; clusters: families. Drift is a sign test on the
    families: which of the two runs failed more often in it. Raises `DataError` on lengths that differ or no pair."""
    if not len(first) or not len(first) == len(second) == len(clusters):
        got = f"{len(first)} and {len(second)} grades, {len(clusters)} families"
        raise DataError(f"{got}: insufficient evidence", remedy="evaluate one target twice on the same suite")
    d = [float(b) - float(a) for a, b in zip(first, second, strict=True)]
    by: dict[str, float] = {}
    for x, c in zip(d, clusters, strict=True):
        by[c] = by.get(c, 0.0) + x
    more, less = sum(s > 0 for s in by.values()), sum(s < 0 for s in by.values())
    tail = sum(math.comb(more + less, k) for k in range(min(more, less) + 1)) / 2 ** (more + less)
    return _noise([abs(x) for x in d], effective_size(d, clusters), clusters, min(1.0, 2 * tail), level)


def noise_of_samples(samples: Sequence[Sequence[float]], clusters: Sequence[str], level: float = 0.95) -> Noise:
    """From repeated samples. samples: the grades (0 or 1) of each probe's replies; clusters: (probes,). A probe with k failures in r replies flips with
    chance 2 k (r - k) / (r (r - 1)), without bias; probes with one reply say nothing. Raises `DataError` where none has two."""
    kept = [(s, c) for s, c in zip(samples, clusters, strict=True) if len(s) > 1]
    if not kept:
        raise DataError("no probe has two samples: insufficient evidence", remedy="evaluate with several samples a probe, or twice")
    flips = [min(1.0, 2 * sum(s) * (len(s) - sum(s)) / (len(s) * (len(s) - 1))) for s, _ in kept]
    families = [c for _, c in kept]
    return _noise(flips, effective_size(flips, families), families, None, level)


def _noise(flips: list[float], worth: float, clusters: Sequence[str], drift: float | None, level: float) -> Noise:
    from scipy.special import ndtri

    found = rate_interval(flips, clusters, level)
    floor = float(ndtri((1 + level) / 2)) * math.sqrt(found.high / worth)
    return Noise(found, min(1.0, floor), drift, len(flips), len(set(clusters)), worth)
