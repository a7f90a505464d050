"""What people's labels on a part of an evaluation say of the whole: failure rates and worsenings by measure, and whether the grader errs
alike on both models.

Only replies that the grader itself decided count here: those that an exact check decided need no correction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from trueline.algos.stats.differential import DifferentialError, Label, differential_error
from trueline.algos.stats.prediction_powered import PoweredBounds, powered_difference, powered_rate
from trueline.charter.probes import Measure
from trueline.core.evaluations import Evaluation, GradedReply
from trueline.core.records import Grade
from trueline.evals.graders.calibration import Judged, Labelled

Truths = Mapping[tuple[str, str], str]
"""(probe, reply) -> what people said of it."""


@dataclass(frozen=True, slots=True)
class Corrected:
    """A failure rate (`of` = rate) or worsening (`of` = worsening) of one measure as people would label it, with one-sided 95 % bounds."""

    measure: Measure
    of: str
    bounds: PoweredBounds

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {"measure": self.measure, "of": self.of, **asdict(self.bounds)}


def truths(labelled: Sequence[Labelled]) -> Truths:
    """People's results by probe and reply; where two people differ the last one stands."""
    return {(x.probe.id, x.reply): x.result for x in labelled}


def of_run(evaluation: Evaluation, labelled: Sequence[Labelled]) -> list[Judged]:
    """The labelled replies that this evaluation graded, with its grades; labels of other replies are passed over."""
    rows = {(r.probe, r.reply): r for r in evaluation.rows}
    found = [(x, rows.get((x.probe.id, x.reply))) for x in labelled]
    return [Judged(x, Grade(r.result, r.grader, r.seen, r.reason)) for x, r in found if r is not None]


def _fails(result: str) -> float | None:
    return None if result == "unscored" else float(result == "fail")


def _loose(evaluation: Evaluation) -> list[GradedReply]:
    return [r for r in evaluation.rows if r.grader != "exact"]


def corrected_rates(evaluation: Evaluation, known: Truths) -> tuple[Corrected, ...]:
    """By measure, where people labelled any of its replies: the rate over all replies that the grader decided."""
    out = []
    for measure in dict.fromkeys(r.measure for r in _loose(evaluation)):
        rows = [r for r in _loose(evaluation) if r.measure == measure]
        labels = [_fails(known.get((r.probe, r.reply), "unscored")) for r in rows]
        if any(y is not None for y in labels):
            out.append(Corrected(measure, "rate", powered_rate([_fails(r.result) for r in rows], labels, [r.cluster for r in rows])))
    return tuple(out)


def corrected_worsening(baseline: Evaluation, candidate: Evaluation, known: Truths, known_before: Truths) -> tuple[Corrected, ...]:
    """By measure, where people labelled both replies to any probe: candidate fails less baseline fails, pair by pair."""
    before = {(r.probe, r.sample): r for r in _loose(baseline)}
    pairs = [(b, r) for r in _loose(candidate) if (b := before.get((r.probe, r.sample))) is not None]
    out = []
    for measure in dict.fromkeys(r.measure for _, r in pairs):
        part = [(b, r) for b, r in pairs if r.measure == measure]
        judged = [_less(_fails(r.result), _fails(b.result)) for b, r in part]
        labels = [
            _less(_fails(known.get((r.probe, r.reply), "unscored")), _fails(known_before.get((b.probe, b.reply), "unscored")))
            for b, r in part
        ]
        if any(y is not None for y in labels):
            out.append(Corrected(measure, "worsening", powered_difference(judged, labels, [r.cluster for _, r in part])))
    return tuple(out)


def _less(after: float | None, before: float | None) -> float | None:
    return None if after is None or before is None else after - before


def differential(baseline: Sequence[Judged], candidate: Sequence[Judged]) -> DifferentialError:
    """Whether the grader errs alike on both: its own scored verdicts against people's. Raises `DataError` where a side has none."""

    def labels(side: Sequence[Judged]) -> list[Label]:
        own = [x for x in side if x.grade.grader != "exact" and x.grade.result != "unscored"]
        return [Label(x.grade.result == "fail", x.label.result == "fail", x.label.probe.cluster) for x in own]

    return differential_error(labels(baseline), labels(candidate))
