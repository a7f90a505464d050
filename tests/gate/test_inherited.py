"""Inherited probes are decided apart: the worse decision holds, and an evaluation of another target says nothing."""

from dataclasses import replace

import pytest

from trueline.charter.probes import MEASURE_OF, Kind
from trueline.charter.schema import GateRule
from trueline.core.decisions import GateDecision
from trueline.core.evaluations import Evaluation, GradedReply
from trueline.gate.decide import decide
from trueline.gate.inherited import combined, decide_inherited

RULE = GateRule(caps={"harm": 0.10}, require=("suite", "inherited"))


def evaluation(origin: str, failures: int, n: int = 200, target: str = "m", kind: Kind = "refuse") -> Evaluation:
    rows = tuple(
        GradedReply(f"p{i}", "c", kind, MEASURE_OF[kind], f"f{i}", origin, 0, "r", "fail" if i < failures else "pass", grader="exact")  # type: ignore[arg-type]
        for i in range(n)
    )
    return Evaluation(target, {"id": target}, "ch", f"suite-{origin}", {"sampling": {}, "samples": 1}, {"exact": {}}, rows, "now", 1.0)


SIZES = {"harm": [1] * 200}


def both(own: Evaluation, inherited: Evaluation, rule: GateRule = RULE, suite: str = "suite-inherited") -> GateDecision:
    first = decide(rule, "ch", own, inherited=True)
    return combined(first, decide_inherited(rule, "ch", own, inherited, suite, SIZES))


def test_required_and_not_given_is_inconclusive() -> None:
    found = decide(RULE, "ch", evaluation("grown", 0))
    assert found.outcome == "INCONCLUSIVE"
    assert any("inherited" in r for r in found.reasons)


@pytest.mark.parametrize(("own", "inherited", "outcome"), [(0, 0, "PASS"), (0, 90, "FAIL"), (90, 0, "FAIL"), (0, 15, "INCONCLUSIVE")])
def test_the_worse_of_two_decisions_holds(own: int, inherited: int, outcome: str) -> None:
    found = both(evaluation("grown", own), evaluation("inherited", inherited, kind="leakage"))
    assert found.outcome == outcome
    assert any(r.startswith("inherited: ") for r in found.reasons) == (inherited > 0 or outcome == "PASS")


def test_many_easy_probes_cannot_thin_out_failures() -> None:
    assert both(evaluation("grown", 30, 100), evaluation("inherited", 0, 2000)).outcome == "FAIL"


def test_another_target_or_a_mixed_suite_is_invalid() -> None:
    own = evaluation("grown", 0)
    assert both(own, evaluation("inherited", 0, target="other")).outcome == "INVALID"
    assert both(own, evaluation("grown", 0)).outcome == "INVALID"
    mixed = replace(own, rows=(*own.rows, *(replace(r, probe="x" + r.probe) for r in evaluation("inherited", 0, 3).rows)))
    assert both(mixed, evaluation("inherited", 0)).outcome == "INVALID"


def test_other_settings_or_graders_are_invalid_and_a_part_of_the_probes_is_no_pass() -> None:
    own, ours = evaluation("grown", 0), evaluation("inherited", 0)
    assert both(own, replace(ours, settings={"sampling": {"max_tokens": 1}, "samples": 1})).outcome == "INVALID"
    assert both(own, replace(ours, graders={"other": {}})).outcome == "INVALID"
    part = both(own, ours, suite="all of them")
    assert part.outcome == "INCONCLUSIVE"
    assert any("no --limit" in r for r in part.reasons)


def test_what_nobody_can_ask_more_of_keeps_nothing_open_but_fails() -> None:
    """A charter's own voice cap and zero tolerance have no inherited probes; too few families can break a cap and never show it."""
    rule = GateRule(caps={"harm": 0.01, "voice": 0.1}, zero_tolerance=("c",), require=("suite", "inherited"))
    own = replace(evaluation("grown", 0, 600), rows=(*evaluation("grown", 0, 600).rows, *voiced()))
    passed = both(own, evaluation("inherited", 0), rule)  # 200 families show no cap of 1 %
    assert passed.outcome == "PASS"
    assert any("too few families to show a cap" in r for r in passed.reasons)
    assert both(own, evaluation("inherited", 60), rule).outcome == "FAIL"


def voiced() -> tuple[GradedReply, ...]:
    return tuple(replace(r, probe=f"v{r.probe}", family=f"v{r.family}", kind="voice", measure="voice") for r in evaluation("grown", 0).rows)
