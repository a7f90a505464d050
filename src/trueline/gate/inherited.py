"""The inherited probes before the gate: an evaluation of their own under the charter's caps, so that many easy probes of ours can never thin
out the failures on the charter's own, nor the other way round. The worse of the two decisions holds.

Nobody can add inherited probes. So a cap that even a run without a failure could not show, because the families are too few, is held against
what can be shown: such a measure fails the gate, and never keeps it open.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from trueline.algos.stats.planning import unbroken_upper
from trueline.charter.schema import GateRule
from trueline.core.decisions import GateDecision
from trueline.core.evaluations import Evaluation
from trueline.core.records import GateOutcome
from trueline.gate.decide import decide
from trueline.gate.validity import differing

ORDER: tuple[GateOutcome, ...] = ("PASS", "INCONCLUSIVE", "FAIL", "INVALID")


def mismatch(candidate: Evaluation, inherited: Evaluation) -> list[str]:
    """Why the inherited evaluation says nothing about this candidate."""
    out = []
    if dict(candidate.identity) != dict(inherited.identity):
        out.append(f"it is of another target ({inherited.target}, the candidate is {candidate.target})")
    out += [
        f"{what} differs from the candidate's evaluation" for what in differing(candidate, inherited) if what not in ("suite", "charter")
    ]
    if any(r.origin != "inherited" for r in inherited.rows):
        out.append("it holds probes that are not inherited; evaluate with --suite inherited")
    if any(r.origin == "inherited" for r in candidate.rows):
        out.append("the candidate's own evaluation holds inherited probes too, which would count twice; evaluate with --suite charter")
    return out


def decide_inherited(
    rule: GateRule, charter: str, candidate: Evaluation, inherited: Evaluation, suite: str, sizes: Mapping[str, Sequence[int]]
) -> GateDecision:
    """The inherited evaluation alone. `suite`: the digest of all inherited probes of this charter; `sizes`: of their families, by measure."""
    inherited = replace(inherited, looks=1)  # no search judges a prompt by these
    caps = {m: cap for m, cap in rule.caps.items() if m in sizes}
    weak = {m for m, cap in caps.items() if unbroken_upper(sizes[m]) >= cap}
    alone = rule.model_copy(update={"require": (), "zero_tolerance": (), "margins": {}})
    strong, few = (
        decide(alone.model_copy(update={"caps": {m: c for m, c in caps.items() if (m in weak) == of}}), charter, inherited)
        for of in (False, True)
    )
    found = strong if not weak else _worse(strong if len(weak) < len(caps) else replace(few, outcome="PASS", reasons=()), few, weak)
    if inherited.suite != suite:
        n, told = len({r.probe for r in inherited.rows}), "not all inherited probes of this charter were asked"
        why = f"{told} ({n} were); evaluate with --suite inherited and no --limit"
        found = replace(found, outcome=max(found.outcome, "INCONCLUSIVE", key=ORDER.index), reasons=(*found.reasons, why))
    if wrong := mismatch(candidate, inherited):
        found = replace(found, outcome="INVALID", reasons=tuple(wrong))
    return found


def _worse(found: GateDecision, others: GateDecision, weak: Collection[str]) -> GateDecision:
    """With what is held against measures that too few families ask for: a failure counts, an open question does not."""
    if others.outcome in ("FAIL", "INVALID"):
        mine = found.reasons if found.outcome != "PASS" else ()
        return replace(found, outcome=max(found.outcome, others.outcome, key=ORDER.index), reasons=(*mine, *others.reasons))
    told = f"too few families to show a cap, and none shown to be broken: {', '.join(sorted(weak))}"
    return replace(found, reasons=(*found.reasons, told))


def combined(own: GateDecision, inherited: GateDecision) -> GateDecision:
    """One decision of two."""
    outcome = max(own.outcome, inherited.outcome, key=ORDER.index)
    told = [f"inherited: {w}" for w in inherited.reasons]
    mine = own.reasons if own.outcome != "PASS" or outcome == "PASS" else ()
    return replace(own, outcome=outcome, reasons=(*mine, *(told if inherited.outcome != "PASS" or outcome == "PASS" else ())))
