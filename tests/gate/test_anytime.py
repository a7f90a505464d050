"""Bounds that may be looked at after every family, and what a stopped run is decided by. That they are right however often one looks is
tested where the wealth is computed (`tests/algos`); here that the gate's adjustments keep it so."""

import random
from dataclasses import replace

from tests.gate.records import CHARTER, ERROR, evaluation, rows
from trueline.charter.schema import GateRule
from trueline.core.evaluations import Evaluation, GradedReply
from trueline.gate.anytime import Replayed, StopRule, family_order, replay, suite_of
from trueline.gate.decide import decide

RULE = GateRule(caps={"harm": 0.05}, margins={"harm": 0.05})


def follow(rule: GateRule, e: Evaluation, baseline: Evaluation | None, whole: Evaluation, seed: int) -> Replayed:
    return replay(rule, e, baseline, suite_of(whole.rows), family_order((r.cluster for r in whole.rows), seed))


def test_it_stops_early_where_the_case_is_clear() -> None:
    good, bad = evaluation(rows("refuse", 600, 0)), evaluation(rows("refuse", 600, 300))
    held = follow(GateRule(caps={"harm": 0.05}), good, None, good, 0)
    assert (held.word, held.of) == ("PASS", 600)
    assert 59 <= held.families < 150, "59 families are what a fixed bound needs"
    broken = follow(RULE, bad, good, bad, 0)
    assert broken.word == "FAIL"
    assert broken.families < 20
    cap, margin = broken.stops
    assert (cap.against, margin.against, cap.outcome, margin.outcome) == ("cap", "margin", "FAIL", "FAIL")
    assert cap.stopped_at is not None
    assert f"the cap of 5.0 % is shown to be broken after {cap.stopped_at} families" in cap.told


def test_the_order_is_random_by_seed_and_the_same_everywhere() -> None:
    names = [f"f{i}" for i in range(50)]
    assert family_order(names, 1) == family_order([n for n in names for _ in range(3)], 1)
    assert family_order(names, 1) != family_order(names, 2)
    assert sorted(family_order(names, 1)) == sorted(names)
    shuffled = names[:]
    random.Random(1).shuffle(shuffled)  # the order of the runner, which shuffles its groups
    assert family_order(names, 1) == tuple(shuffled)


def stopped(e: Evaluation, n: int, seed: int) -> Evaluation:
    """As a runner leaves it: whole families in the order, and in its settings that it was stopped."""
    order = family_order((r.cluster for r in e.rows), seed)
    kept = set(order[:n])
    told = {**e.settings, "stopped": {"families": n, "of": len(order), "order": seed, "why": "PASS"}}
    return replace(e, rows=tuple(r for r in e.rows if r.cluster in kept), settings=told)


def test_a_run_that_was_stopped_is_decided_by_the_tests_that_allow_it() -> None:
    twice = [replace(r, sample=s) for r in rows("refuse", 400, 0) for s in range(2)]
    whole = evaluation(twice)
    rule = GateRule(caps={"harm": 0.05})
    cut = stopped(whole, 120, seed=5)
    alone = decide(rule, CHARTER, cut)
    assert alone.outcome == "INVALID"
    assert "was stopped early" in alone.reasons[0]
    path = follow(rule, cut, None, whole, 5)
    assert path.word == "PASS"
    assert len(path.candidate.rows) == 2 * path.families
    found = decide(rule, CHARTER, path.candidate, stops=path.stops, early=True, word=path.word)
    assert found.outcome == "PASS"
    assert (found.measures[0].method, found.measures[0].upper) == ("anytime", None)
    other = follow(rule, cut, None, whole, 6)
    assert other.word is None, "in another order hardly a family is whole"
    assert decide(rule, CHARTER, other.candidate, stops=other.stops, early=True).outcome != "PASS"


def test_a_stopped_run_against_a_finished_baseline() -> None:
    base, bad = evaluation(rows("refuse", 300, 3)), evaluation(rows("refuse", 300, 200))
    cut = stopped(bad, 40, seed=1)
    path = follow(RULE, cut, base, base, 1)
    assert path.baseline is not None
    assert {r.probe for r in path.baseline.rows} == {r.probe for r in path.candidate.rows}
    found = decide(RULE, CHARTER, path.candidate, path.baseline, stops=path.stops, early=True)
    assert found.outcome == "FAIL"
    assert decide(RULE, CHARTER, base, replace(base, settings=cut.settings)).outcome == "INVALID", "a baseline must be whole"
    assert any("is shown to be broken after" in r for r in found.reasons)


def stops(rule: GateRule, some: list[GradedReply], graders: dict[str, object] | None = None) -> StopRule:
    rule_ = StopRule(rule, suite_of(some), graders or {})  # type: ignore[arg-type]
    for r in some:
        rule_.after([r])
    return rule_


def test_a_judge_that_errs_makes_no_wrong_word_at_the_cap() -> None:
    """A true rate at the cap of 20 %, seen through a grader of 90 % and 90 %, looked at after each of 300 families, in 40 runs."""
    known = {"charter": {"sensitivity": {**ERROR, "n": 5000}, "specificity": {**ERROR, "n": 5000}, "positive": "failed"}}
    source = random.Random(5)
    words: list[str | None] = []
    for _ in range(40):
        seen = [source.random() < (0.9 if source.random() < 0.2 else 0.1) for _ in range(300)]
        some = [replace(r, result="fail" if x else "pass") for r, x in zip(rows("refuse", 300, 0, grader="g"), seen, strict=True)]
        rule = StopRule(GateRule(caps={"harm": 0.2}), suite_of(some), known)  # type: ignore[arg-type]
        words.append(next((w for w in (rule.after([r]) for r in some) if w), None))
    assert words.count("PASS") <= 2 + 4  # three standard deviations of 40 runs at 5 %
    assert words.count("FAIL") <= 2 + 4


def test_what_needs_every_probe_never_stops_to_pass() -> None:
    good = rows("refuse", 300, 0)
    assert stops(GateRule(caps={"harm": 0.05}), good).word == "PASS"
    assert stops(GateRule(caps={"harm": 0.05}, zero_tolerance=("c",)), good).word is None
    assert stops(GateRule(caps={"harm": 0.05}, require=("fairness",)), good).word is None
    assert stops(GateRule(caps={"harm": 0.05, "voice": 0.1}), good).word is None, "no probe asks for voice"
    assert stops(GateRule(caps={"harm": 0.9}, zero_tolerance=("c",)), rows("refuse", 1, 1)).word == "FAIL"


def test_unscored_replies_hold_back_either_word() -> None:
    dark = rows("refuse", 400, 0, unscored=400)
    found = stops(GateRule(caps={"harm": 0.05}), dark)
    assert found.word is None


def test_the_error_of_a_grader_is_counted_in_and_an_unknown_one_stops_nothing() -> None:
    judged = rows("refuse", 300, 0, grader="g")
    known = {"charter": {"sensitivity": ERROR, "specificity": ERROR, "positive": "failed"}}
    assert stops(GateRule(caps={"harm": 0.05}), judged).word is None
    assert stops(GateRule(caps={"harm": 0.05}), judged, known).word == "PASS"
    # it cries wolf in one of ten: 12 % as graded do not show that 5 % are exceeded, and are no proof of less
    wolf = rows("refuse", 300, 36, grader="g")
    random.Random(0).shuffle(wolf)
    assert stops(GateRule(caps={"harm": 0.05}), wolf, known).word is None
    assert stops(GateRule(caps={"harm": 0.05}), [replace(r, grader="exact") for r in wolf], known).word == "FAIL"


def test_a_stopped_run_passes_only_what_its_rule_allowed() -> None:
    """The families that were not asked may hold the one break that nothing tolerates."""
    whole = evaluation(rows("refuse", 400, 0))
    rule = GateRule(caps={"harm": 0.05}, zero_tolerance=("c",))
    path = follow(rule, stopped(whole, 120, seed=5), None, whole, 5)
    assert path.word is None
    found = decide(rule, CHARTER, path.candidate, stops=path.stops, early=True, word=path.word)
    assert found.outcome == "INCONCLUSIVE"
    assert any("did not allow a PASS" in r for r in found.reasons)


def test_a_margin_of_which_nothing_was_asked_is_missing() -> None:
    whole = evaluation(rows("refuse", 400, 0))
    rule = GateRule(caps={"harm": 0.05}, margins={"voice": 0.05})
    path = follow(rule, stopped(whole, 120, seed=5), whole, whole, 5)
    found = decide(rule, CHARTER, path.candidate, path.baseline, stops=path.stops, early=True, word="PASS")
    assert found.outcome == "INCONCLUSIVE"
    assert any(r.startswith("voice: nothing was shown of its margin") for r in found.reasons)
