"""What the error of a grader does to a rate: the rate behind it, and by how much a difference may have been hidden by it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trueline.algos.stats.judge import corrected_interval, worsening_behind
from trueline.algos.stats.paired import paired_bounds
from trueline.charter.probes import Kind
from trueline.core.evaluations import Evaluation, GradedReply

FAILS_WHEN_COMPLIED: frozenset[Kind] = frozenset({"refuse", "out_of_scope", "abstain"})
# handed over means the charter's own sentence, which is exact: whatever the general grader says of such a reply, it failed
FAILS_ANYWAY: frozenset[Kind] = frozenset({"high_stakes"})

Estimate = tuple[float, int]  # (estimate, on how many labels)


@dataclass(frozen=True, slots=True)
class GraderError:
    """Sensitivity and specificity of a grader. `of_failure`: it is sensitive to failures, else to compliance."""

    sensitivity: Estimate
    specificity: Estimate
    of_failure: bool

    @property
    def strength(self) -> float:
        """Se + Sp - 1: the share of a true difference that the grader shows."""
        return self.sensitivity[0] + self.specificity[0] - 1

    def of(self, kind: Kind) -> tuple[Estimate, Estimate]:
        """(how surely it sees a failure, how surely it sees a pass) of this kind: where an answer is due, a failure is no compliance."""
        swapped = not self.of_failure and kind not in FAILS_WHEN_COMPLIED
        return (self.specificity, self.sensitivity) if swapped else (self.sensitivity, self.specificity)


@dataclass(frozen=True, slots=True)
class Behind:
    """The rate behind the grader's error with one-sided bounds; unscored replies count as failures in `high`."""

    rate: float
    low: float
    high: float


def judged(rows: Sequence[GradedReply], error: GraderError | None = None) -> list[GradedReply]:
    """The scored rows whose result hangs on a grader that errs."""
    fixed = FAILS_ANYWAY if error is not None and not error.of_failure else frozenset[Kind]()
    return [r for r in rows if r.grader not in ("exact", "") and r.result != "unscored" and r.kind not in fixed]


def grader_error(evaluation: Evaluation, rows: Sequence[GradedReply]) -> tuple[str | None, GraderError | None]:
    """(why invalid, the error) of the grader that graded what no exact check decided; (None, None) where nothing hangs on one."""
    names = ", ".join(sorted({r.grader for r in judged(rows)}))
    if not names:
        return None, None
    for identity in evaluation.graders.values():
        se, sp = identity.get("sensitivity"), identity.get("specificity")
        if not se or not sp:
            return f"graded by {names}, whose error is not known; calibrate it on human labels", None
        if se["low"] + sp["low"] <= 1:
            few = f"{se['n']} and {sp['n']} labels"
            return f"graded by {names}, whose error is hardly known ({few} cannot tell it from chance); label more replies", None
        return None, known_error({"": identity})
    return f"graded by {names}, which the evaluation does not describe", None


def known_error(graders: Mapping[str, Mapping[str, Any]]) -> GraderError | None:
    """The error of the first grader that was told apart from chance; None where none was."""
    for identity in graders.values():
        se, sp = identity.get("sensitivity"), identity.get("specificity")
        if se and sp and se["low"] + sp["low"] > 1:
            return GraderError(_estimate(se), _estimate(sp), identity.get("positive") == "failed")
    return None


def _estimate(found: Mapping[str, Any]) -> Estimate:
    return float(found["estimate"]), int(found["n"])


def behind(rows: Sequence[GradedReply], error: GraderError, effective: float, level: float = 0.95) -> Behind | None:
    """The failure rate behind the grader's error, kind by kind; None where no scored reply hangs on the grader. `effective`: what one
    reply is worth given the families (0 to 1]; `level`: of each one-sided bound."""
    loose = judged(rows, error)
    scored = [r for r in rows if r.result != "unscored"]
    if not loose:
        return None
    known = {id(r) for r in loose}
    fixed = sum(r.result == "fail" for r in scored if id(r) not in known) / len(scored)
    rate = low = high = fixed
    for hit, miss in dict.fromkeys(error.of(r.kind) for r in loose):
        part = [r for r in loose if error.of(r.kind) == (hit, miss)]
        failures, n = sum(r.result == "fail" for r in part) * effective, len(part) * effective
        found = corrected_interval(failures, n, hit, miss, 2 * level - 1)  # two-sided
        share = len(part) / len(scored)
        rate, low, high = rate + share * found.estimate, low + share * found.low, high + share * found.high
    lost = 1 - len(scored) / len(rows)
    return Behind(rate, low, min(1.0, high * (1 - lost) + lost))


def stretched(
    upper: float, changes: Sequence[float], pairs: Sequence[tuple[GradedReply, GradedReply]], error: GraderError | None, level: float = 0.95
) -> float:
    """The upper bound of a worsening behind the grader's error: a grader shows only Se + Sp - 1 of a true difference, and that is an estimate.

    upper: as graded; changes: of each pair, in [-1, 1]. What changed may all lie among the judged pairs or all among the exact ones, so each
    change is set on one scale (an exact one shrinks as if the grader had seen it) before the bound is taken and stretched as a whole."""
    if error is None or not any(judged(p, error) for p in pairs):
        return upper
    scaled = [c if judged(p, error) else c * error.strength for c, p in zip(changes, pairs, strict=True)]
    seen = paired_bounds(scaled, [a.cluster for a, _ in pairs], level)
    return max(upper, worsening_behind(seen.difference, seen.upper, error.sensitivity, error.specificity, level=level))
