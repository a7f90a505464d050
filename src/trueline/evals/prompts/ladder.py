"""The ladder: prompt only, few-shots, tuned prompt, fine-tuned model, on the same held-out probes; and which is the first that is enough.

Bounds are corrected for how often the held-out probes were looked at (Bonferroni over levels and searches): the first level that passes is
chosen among several, so that each has only its share of the 5 % error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from trueline.algos.stats.clustered import rate_bounds
from trueline.algos.stats.paired import paired_bounds
from trueline.charter.probes import MEASURES, Measure
from trueline.core.evaluations import Evaluation, GradedReply
from trueline.core.records import GateOutcome

ERROR = 0.05  # one-sided, over the whole ladder


@dataclass(frozen=True, slots=True)
class Step:
    """One measure of one level: failure rate with one-sided bounds at `level` (unscored replies at their worst on either side), its cap and what
    that says; `better` and its bounds: the paired difference to the plain compilation (negative: fewer failures)."""

    measure: Measure
    n: int
    unscored: int
    rate: float | None
    lower: float
    upper: float
    level: float
    cap: float | None
    outcome: GateOutcome | None
    difference: float | None = None
    difference_lower: float | None = None
    difference_upper: float | None = None


@dataclass(frozen=True, slots=True)
class Level:
    """One rung of the ladder. `tokens`: of prompt and few-shots; `used`: mean (input, output) tokens a request, None where the target counted
    none; `why`: what makes it INVALID."""

    name: str
    target: str
    tokens: int | None
    steps: tuple[Step, ...]
    outcome: GateOutcome | None
    used: tuple[float, float] | None
    why: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return asdict(self)


def evidence(evaluation: Evaluation, taught: frozenset[str]) -> list[GradedReply]:
    """The rows that count: not those to hand-written examples which any level was shown or searched with."""
    return [r for r in evaluation.rows if r.probe not in taught]


def _difference(rows: Sequence[GradedReply], plain: Sequence[GradedReply], level: float) -> tuple[float, float, float] | None:
    """Paired, the worst case on either side for unscored replies."""
    before = {(r.probe, r.sample): r for r in plain}
    pairs = [(r, before[r.probe, r.sample]) for r in rows if (r.probe, r.sample) in before]
    if not pairs:
        return None
    families = [a.cluster for a, _ in pairs]
    high = paired_bounds([float(a.result != "pass") - float(b.result == "fail") for a, b in pairs], families, level)
    low = paired_bounds([float(a.result == "fail") - float(b.result != "pass") for a, b in pairs], families, level)
    both = [float(a.result == "fail") - float(b.result == "fail") for a, b in pairs]
    return sum(both) / len(both), low.lower, high.upper


def steps(
    evaluation: Evaluation, plain: Evaluation | None, taught: frozenset[str], caps: Mapping[Measure, float], looks: int
) -> tuple[Step, ...]:
    """Every measure that was asked or has a cap, against its cap and against the plain compilation."""
    level = 1 - ERROR / max(1, looks)
    ours, theirs = evidence(evaluation, taught), evidence(plain, taught) if plain is not None else []
    out = []
    for measure in MEASURES:
        rows, cap = [r for r in ours if r.measure == measure], caps.get(measure)
        if not rows:
            if cap is not None:
                out.append(Step(measure, 0, 0, None, 0.0, 1.0, level, cap, "INCONCLUSIVE"))
            continue
        families, scored = [r.cluster for r in rows], [r for r in rows if r.result != "unscored"]
        worst = rate_bounds([float(r.result != "pass") for r in rows], families, level)
        best = rate_bounds([float(r.result == "fail") for r in rows], families, level)
        rate = sum(r.result == "fail" for r in scored) / len(scored) if scored else None
        outcome: GateOutcome | None = None
        if cap is not None:
            outcome = "PASS" if worst.upper < cap else "FAIL" if best.lower > cap else "INCONCLUSIVE"
        found = _difference(rows, [r for r in theirs if r.measure == measure], level)
        apart = found or (None, None, None)
        out.append(Step(measure, len(rows), len(rows) - len(scored), rate, best.lower, worst.upper, level, cap, outcome, *apart))
    return tuple(out)


def outcome_of(found: Sequence[Step]) -> GateOutcome | None:
    """PASS where every cap is shown to be kept, FAIL where one is shown to be broken; None where there is no cap at all."""
    told = [s.outcome for s in found if s.outcome is not None]
    if not told:
        return None
    return "FAIL" if "FAIL" in told else "PASS" if all(o == "PASS" for o in told) else "INCONCLUSIVE"


def used(rows: Sequence[GradedReply]) -> tuple[float, float] | None:
    """Mean (input, output) tokens of a request, over the replies that the target counted."""
    counted = [r for r in rows if r.input_tokens > 0]
    if not counted:
        return None
    return sum(r.input_tokens for r in counted) / len(counted), sum(r.output_tokens for r in counted) / len(counted)


def enough(levels: Sequence[Level]) -> tuple[str | None, str]:
    """(the first level whose bounds meet every cap, the same in words)."""
    if all(level.outcome is None for level in levels):
        return None, "the charter has no caps, so that no level can be called enough"
    first = next((i for i, level in enumerate(levels) if level.outcome == "PASS"), None)
    unsure = [level.name for level in levels[:first] if level.outcome in ("INCONCLUSIVE", "INVALID")]
    if first is not None:
        doubt = f"; of {', '.join(unsure)} the evidence does not tell" if unsure else ""
        return levels[first].name, f"{levels[first].name} is the first level whose bounds meet every cap: enough{doubt}"
    if not unsure:
        return None, "no level is enough: each is shown to break a cap"
    return None, f"the evidence does not tell which level is enough: none meets every cap, and {', '.join(unsure)} may"
