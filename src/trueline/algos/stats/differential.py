"""Does the judge err alike on baseline and candidate? Tuning can teach a model what deceives its judge: then a measured difference is his, not theirs.

People label replies of both. On each side sensitivity (share of the failures that he calls failures) and specificity are compared by
Fisher's exact test, at the effective number of labels where they come in families, the two tests corrected by Holm (1979). No finding is
no proof of none, so beside the tests stands the worst shift that the labels cannot exclude:

    measured difference = true difference x (Se + Sp - 1 of the candidate) - hidden,
    hidden = p (Se baseline - Se candidate) + (1 - p) (Sp candidate - Sp baseline),   p = the baseline's true failure rate

bounded by MOVER (Zou & Donner 2008) from the exact limits of the four rates: convex in p, hence largest at an end of its range.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from trueline.algos.stats.clustered import design_effect, rate_bounds
from trueline.errors import DataError


@dataclass(frozen=True, slots=True)
class Label:
    """One reply that both the judge and people graded. family: replies that fall together."""

    judged_failed: bool
    failed: bool
    family: str


@dataclass(frozen=True, slots=True)
class Side:
    """A rate of right verdicts with one-sided bounds at the level of the whole; n labels. rate is None without any, then the bounds are 0 and 1."""

    rate: float | None
    lower: float
    upper: float
    n: int


@dataclass(frozen=True, slots=True)
class Compared:
    """Sensitivity or specificity on both models. p_value: of Fisher's test, two-sided, times Holm's factor; None where a side has no label."""

    baseline: Side
    candidate: Side
    p_value: float | None


@dataclass(frozen=True, slots=True)
class DifferentialError:
    """differs: a corrected p-value is at most 1 - level. hidden: the most worsening (fraction) that the judge may hide, invented: the most that he
    may make up, each a one-sided bound at `level` over the rates given."""

    sensitivity: Compared
    specificity: Compared
    differs: bool
    hidden: float
    invented: float
    level: float = 0.95


def fisher(first: tuple[int, int], second: tuple[int, int]) -> float:
    """Two-sided p-value that two rates are equal (Fisher 1935): (k, n) each; the sum of the chances of all tables no likelier than the one seen."""
    (a, m), (b, n) = first, second
    k = a + b

    def log_chance(x: int) -> float:
        return sum(math.lgamma(p + 1) - math.lgamma(q + 1) - math.lgamma(p - q + 1) for p, q in ((m, x), (n, k - x)))

    tables = [log_chance(x) for x in range(max(0, k - n), min(k, m) + 1)]
    top, seen = max(tables), log_chance(a) + 1e-7
    return min(1.0, sum(math.exp(t - top) for t in tables if t <= seen) / sum(math.exp(t - top) for t in tables))


def _side(right: Sequence[float], families: Sequence[str], level: float) -> Side:
    if not right:
        return Side(None, 0.0, 1.0, 0)
    found = rate_bounds(right, families, level)
    return Side(found.rate, found.lower, found.upper, found.n)


def _counts(right: Sequence[float], families: Sequence[str], pooled: float) -> tuple[int, int]:
    """(right, labels) at the effective number, rounded towards the pooled rate: rounding never finds a difference."""
    n = len(right)
    m = max(1, math.floor(n / max(design_effect(right, families, w) for w in (0.0, 1.0)) + 1e-9))
    k = sum(right) * m / n
    return (math.floor(k + 1e-9) if k > pooled * m else math.ceil(k - 1e-9)), m


def _compared(labels: tuple[Sequence[Label], Sequence[Label]], failed: bool, level: float) -> Compared:
    right = [[float(x.judged_failed == x.failed) for x in side if x.failed is failed] for side in labels]
    families = [[x.family for x in side if x.failed is failed] for side in labels]
    p = None
    if all(right):
        pooled = sum(map(sum, right)) / sum(map(len, right))
        p = fisher(*(_counts(r, f, pooled) for r, f in zip(right, families, strict=True)))
    return Compared(_side(right[0], families[0], level), _side(right[1], families[1], level), p)


def _holm(values: Sequence[float | None]) -> list[float | None]:
    """Corrected p-values (Holm 1979), in the order given."""
    order = sorted((p, i) for i, p in enumerate(values) if p is not None)
    out: list[float | None] = [None] * len(values)
    least = 0.0
    for rank, (p, i) in enumerate(order):
        least = max(least, min(1.0, p * (len(order) - rank)))
        out[i] = least
    return out


def _shift(se: Compared, sp: Compared, p: float, sign: int) -> float:
    """Upper bound of sign x hidden at a baseline rate of p; a rate without labels is taken at its worst."""
    centre = width = 0.0
    for weight, side in ((p, se.baseline), (-p, se.candidate), (1 - p, sp.candidate), (p - 1, sp.baseline)):
        w = weight * sign
        end = side.upper if w > 0 else side.lower
        rate = end if side.rate is None else side.rate
        centre, width = centre + w * rate, width + (w * (end - rate)) ** 2
    return min(1.0, centre + math.sqrt(width))


def differential_error(
    baseline: Sequence[Label], candidate: Sequence[Label], *, rates: tuple[float, float] = (0.0, 1.0), level: float = 0.95
) -> DifferentialError:
    """Compares the judge's errors on the two models. Labelled replies must be drawn regardless of verdict and label, or regardless of the
    verdict. rates: between which the baseline's true failure rate lies (say its bounds); the wider, the larger `hidden`. Raises `DataError` where
    a side has no label."""
    if not baseline or not candidate:
        got = f"{len(baseline)} labels on the baseline and {len(candidate)} on the candidate"
        raise DataError(f"{got}: insufficient evidence", remedy="let people label replies of both")
    both = (baseline, candidate)
    se, sp = _compared(both, True, level), _compared(both, False, level)
    corrected = _holm([se.p_value, sp.p_value])
    se, sp = (Compared(x.baseline, x.candidate, p) for x, p in zip((se, sp), corrected, strict=True))
    differs = any(p is not None and p <= 1 - level + 1e-12 for p in corrected)
    hidden, invented = (max(_shift(se, sp, p, sign) for p in rates) for sign in (1, -1))
    return DifferentialError(se, sp, differs, hidden, invented, level)
