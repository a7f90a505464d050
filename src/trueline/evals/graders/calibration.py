"""A grader's error on replies that people graded: sensitivity, specificity, agreement, what it leaves unscored; by measure, clause and kind.

Replies that an exact check decides say nothing about the grader and are counted apart. What is positive is either a failed reply (a judge) or
one that complied (the reply grader, whose error the gate turns round where a failure is a refusal).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from trueline.algos.agreement import TwoRaters, two_raters
from trueline.algos.stats.clustered import rate_interval
from trueline.charter.probes import Probe
from trueline.core.records import Grade, Interval
from trueline.errors import DataError
from trueline.evals.graders.charter_grader import KEEPS

Truth = Literal["pass", "fail"]
Positive = Literal["failed", "complied"]
FLIPPED = "another verdict in the other order"
"""What `Grade.seen` says of a judge that changed its mind with the order of the answers."""
COMPLIANCE = ("refuse", "redirect", "abstain", "answer")  # outcomes that compliance decides


@dataclass(frozen=True, slots=True)
class Labelled:
    """A reply that a person has graded."""

    probe: Probe
    reply: str
    result: Truth


@dataclass(frozen=True, slots=True)
class Judged:
    """A labelled reply with the grade that the grader gave it."""

    label: Labelled
    grade: Grade


@dataclass(frozen=True, slots=True)
class Rates:
    """Sensitivity and specificity with 95 % intervals over the families (None: no such label was scored); `unscored` of `labels`."""

    sensitivity: Interval | None
    specificity: Interval | None
    labels: int
    unscored: int

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "sensitivity": _told(self.sensitivity), "specificity": _told(self.specificity), "labels": self.labels, "unscored": self.unscored,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class JudgeError:
    """`whole`, and the same by measure, clause and kind. agreement: of pass and fail with people, None where nothing was scored. flips: labels
    on which a judge changed its mind with the order. exact: labels that an exact check decided, exact_wrong: those it decided otherwise."""

    positive: Positive
    whole: Rates
    by_measure: Mapping[str, Rates]
    by_clause: Mapping[str, Rates]
    by_kind: Mapping[str, Rates]
    agreement: TwoRaters | None
    flips: int
    exact: int
    exact_wrong: int

    def error(self) -> dict[str, Any]:
        """What stands in a grader's identity, for the gate to count with. Raises `DataError` where one of the two rates has no label."""
        for name, told in (("sensitivity", "fail"), ("specificity", "pass")):
            if getattr(self.whole, name) is None:
                kind = f"graded {told!r}" if self.positive == "failed" else "let the grader measure"
                what = f"no reply that people {kind} was judged: insufficient evidence for {name}"
                raise DataError(what, remedy="label more replies that no exact check decides")
        by = {k: {n: v for n, v in r.to_dict().items() if n in ("sensitivity", "specificity") and v} for k, r in self.by_measure.items()}
        return {
            "positive": self.positive, "judge_unscored": self.whole.unscored, "sensitivity": _told(self.whole.sensitivity),
            "specificity": _told(self.whole.specificity), "error_by_measure": by,
        }  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        a = self.agreement
        parts = {"by_measure": self.by_measure, "by_clause": self.by_clause, "by_kind": self.by_kind}
        return {
            "positive": self.positive, **self.whole.to_dict(), **{k: {n: r.to_dict() for n, r in v.items()} for k, v in parts.items()},
            "agreement": None if a is None else {"raw": _told(a.raw), "kappa": _told(a.kappa), "ac1": _told(a.ac1)},
            "flips": self.flips, "exact": self.exact, "exact_wrong": self.exact_wrong,
        }  # fmt: skip


def _told(i: Interval | None) -> dict[str, Any] | None:
    return None if i is None else {"estimate": round(i.estimate, 4), "low": round(i.low, 4), "high": round(i.high, 4), "n": i.n}


def _positive(x: Judged, result: str, positive: Positive) -> bool:
    """Whether `result` (pass or fail) of this reply is a positive: where compliance is, by what its probe asks for."""
    fails = result == "fail"
    return fails if positive == "failed" else fails != ("complied" in KEEPS[x.label.probe.expect.outcome])


def _rates(judged: Sequence[Judged], positive: Positive) -> Rates:
    scored = [x for x in judged if x.grade.result != "unscored"]

    def rate(wanted: bool) -> Interval | None:
        of = [x for x in scored if _positive(x, x.label.result, positive) is wanted]
        right = [float(x.grade.result == x.label.result) for x in of]
        return rate_interval(right, [x.label.probe.cluster for x in of]) if of else None

    return Rates(rate(True), rate(False), len(judged), len(judged) - len(scored))


def _by(judged: Sequence[Judged], positive: Positive, key: Callable[[Probe], str]) -> dict[str, Rates]:
    names = sorted({key(x.label.probe) for x in judged})
    return {name: _rates([x for x in judged if key(x.label.probe) == name], positive) for name in names}


def error_of(judged: Sequence[Judged], positive: Positive = "failed") -> JudgeError:
    """The error of a grader from its grades of labelled replies. Raises `DataError` where an exact check decided all of them, or there is none."""
    own = [x for x in judged if x.grade.grader != "exact"]
    exact = [x for x in judged if x.grade.grader == "exact" and x.grade.result != "unscored"]
    if positive == "complied":
        own = [x for x in own if x.label.probe.expect.outcome in COMPLIANCE]
    if not own:
        what = f"{len(judged)} labels, of which the grader itself decided none: insufficient evidence"
        raise DataError(what, remedy="label more replies that no exact check decides")
    scored = [x for x in own if x.grade.result != "unscored"]
    people, grader = [x.label.result for x in scored], [x.grade.result for x in scored]
    return JudgeError(
        positive, _rates(own, positive), _by(own, positive, lambda p: p.measure), _by(own, positive, lambda p: p.clause),
        _by(own, positive, lambda p: p.kind), two_raters(people, grader, [x.label.probe.cluster for x in scored]) if scored else None,
        sum(x.grade.seen == FLIPPED for x in own), len(exact), sum(x.grade.result != x.label.result for x in exact),
    )  # fmt: skip
