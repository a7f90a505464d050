"""The inherited probes before the gate: an evaluation of their own under the same caps and margins, so that many easy probes of ours can never
thin out the failures on the charter's own, nor the other way round. The worse of the two decisions holds."""

from __future__ import annotations

from dataclasses import replace

from trueline.charter.schema import GateRule
from trueline.core.decisions import GateDecision
from trueline.core.evaluations import Evaluation
from trueline.core.records import GateOutcome

ORDER: tuple[GateOutcome, ...] = ("PASS", "INCONCLUSIVE", "FAIL", "INVALID")
MISSING = "the charter requires the inherited probes and none were given; run `trueline eval TARGET --suite inherited` and give --inherited"


def rule_alone(rule: GateRule) -> GateRule:
    """The rule for the inherited evaluation itself: its caps and margins; what is required besides is asked of the candidate."""
    return rule.model_copy(update={"require": ()})


def mismatch(candidate: Evaluation, inherited: Evaluation) -> list[str]:
    """Why the inherited evaluation says nothing about this candidate."""
    out = []
    if dict(candidate.identity) != dict(inherited.identity):
        out.append(f"it is of another target ({inherited.target}, the candidate is {candidate.target})")
    if any(r.origin != "inherited" for r in inherited.rows):
        out.append("it holds probes that are not inherited; evaluate with --suite inherited")
    if any(r.origin == "inherited" for r in candidate.rows):
        out.append("the candidate's own evaluation holds inherited probes too, which would count twice; evaluate with --suite charter")
    return out


def combined(own: GateDecision, inherited: GateDecision, wrong: list[str]) -> GateDecision:
    """One decision of two. `wrong`: what makes the second one INVALID."""
    second: GateOutcome = "INVALID" if wrong else inherited.outcome
    outcome = max(own.outcome, second, key=ORDER.index)
    told = [f"inherited: {w}" for w in (wrong or inherited.reasons)]
    mine = own.reasons if own.outcome != "PASS" or outcome == "PASS" else ()
    return replace(own, outcome=outcome, reasons=(*mine, *(told if second != "PASS" or outcome == "PASS" else ())))
