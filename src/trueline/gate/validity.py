"""Why a comparison would say nothing: what makes the gate's outcome INVALID, each reason in words with its remedy."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from trueline.charter.probes import Measure
from trueline.core.evaluations import Evaluation, GradedReply, attack_of

WORST_UNSCORED = 0.05  # above this share of unscored replies a measure is INVALID


def unscored(rows: list[GradedReply]) -> str | None:
    """Why these replies have too many unscored ones, or None."""
    n = sum(r.result == "unscored" for r in rows)
    if n <= WORST_UNSCORED * len(rows):
        return None
    return f"{n} of {len(rows)} replies are unscored, at most 5 % allowed; use a grader that can tell"


def alone(side: str, e: Evaluation) -> list[str]:
    """Why one evaluation cannot be used, whatever it is compared with."""
    why = []
    if not e.complete:
        why.append(f"the evaluation of the {side} was interrupted; run the same `trueline eval` again, it resumes")
    if stopped := e.settings.get("stopped"):
        how = "give its seed to --anytime" if side == "candidate" else "only a candidate may be; evaluate it whole"
        why.append(f"the evaluation of the {side} was stopped early ({stopped!r:.80}), which the fixed bounds do not allow; {how}")
    if e.contaminated:
        why.append(f"{len(e.contaminated)} probes of the suite were in the training data of the {side}, e.g. {e.contaminated[0]}")
    if not e.rows:
        why.append(f"the {side} has no graded reply at all")
    return why


def _settings(evaluation: Evaluation) -> dict[str, Any]:
    """Without the seed of the sampling: it says which draw was taken, not how replies are drawn."""
    sampling = evaluation.settings.get("sampling")
    kept = {k: v for k, v in sampling.items() if k != "seed"} if isinstance(sampling, Mapping) else sampling
    return {**evaluation.settings, "sampling": kept}


def _longest(evaluation: Evaluation) -> float:
    """The longest reply in tokens, infinite where the settings do not say."""
    sampling = evaluation.settings.get("sampling")
    found = sampling.get("max_tokens") if isinstance(sampling, Mapping) else None
    return float(found) if isinstance(found, int | float) else math.inf


def differing(first: Evaluation, other: Evaluation) -> list[str]:
    """What makes two evaluations incomparable. Seeds may differ: two draws of one model (A/A) must be comparable, they try the gate itself."""
    now, then = (
        {"charter": e.charter, "suite": e.suite, "settings": _settings(e), "graders": {k: dict(v) for k, v in e.graders.items()}}
        for e in (first, other)
    )
    return [what for what in now if now[what] != then[what]]


def comparison(candidate: Evaluation, baseline: Evaluation | None, charter: str, measures: Iterable[Measure]) -> list[str]:
    """Why candidate and baseline cannot be decided on under this charter. `measures`: those with a margin."""
    why = []
    if candidate.charter != charter:
        why.append(f"the candidate was evaluated under charter {candidate.charter[:12]}, this one is {charter[:12]}; evaluate again")
    why += alone("candidate", candidate)
    if baseline is None:
        return why
    why += alone("baseline", baseline)
    why += [f"{what} differs between candidate and baseline; evaluate both with the same {what}" for what in differing(candidate, baseline)]
    ours, theirs = ({(r.probe, r.sample) for r in e.rows} for e in (candidate, baseline))
    if not why and ours != theirs:
        why.append(f"{len(ours ^ theirs)} replies stand on one side only though the suite is the same; evaluate both again")
    for measure in measures:
        found = unscored([r for r in baseline.rows if r.measure == measure])
        if found:
            why.append(f"{measure}, baseline: {found}")
    return why


def red_team(redteam: Evaluation, candidate: Evaluation, charter: str) -> list[str]:
    """Why a red-team run says nothing about the candidate under this charter."""
    why = alone("red-team run", redteam)
    if redteam.charter != charter:
        why.append(f"the red-team run was made under charter {redteam.charter[:12]}, this one is {charter[:12]}; attack again")
    if redteam.identity != candidate.identity:
        why.append("the red-team run is of another target than the candidate; attack the candidate itself")
    ours, theirs = ({name.removesuffix("+decoded") for name in e.graders} for e in (candidate, redteam))
    if ours != theirs:
        graders = f"{', '.join(sorted(theirs))}, the candidate by {', '.join(sorted(ours))}"
        why.append(f"the red-team run was graded by {graders}; attack again with the same grader")
    longest, cut = (_longest(e) for e in (candidate, redteam))
    if cut < longest < math.inf:
        why.append(
            f"replies to attacks end after {cut:.0f} tokens, those of the suite after {longest:.0f}; attack again with --max-tokens {longest:.0f}"
        )
    attacks = {attack_of(r.probe) for r in redteam.rows}
    if redteam.rows and ("" in attacks or not attacks - {"plain"}):
        why.append("this is no red-team run: nothing in it is disguised; make one with `trueline redteam`")
    return why
