"""Bounds that may be looked at after every family: right however often they are looked at, and what a stopped run is decided by."""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.gate.records import CHARTER, ERROR, evaluation, rows
from trueline.charter.schema import GateRule
from trueline.core.evaluations import Evaluation, GradedReply
from trueline.gate.anytime import StopRule, family_order, replay
from trueline.gate.betting import FRACTIONS, Bet, TwoBets
from trueline.gate.decide import decide

RULE = GateRule(caps={"harm": 0.05}, margins={"harm": 0.05})
CHANCE = 3 * (0.05 * 0.95 / 150) ** 0.5  # of 150 simulated runs; a fixed bound looked at 400 times is wrong in a quarter of them


def test_wealth_is_the_mean_of_the_bets_worked_by_hand() -> None:
    bet = Bet(limit=0.2, highest=1.0)
    bet.feed(0.0)
    wealth = bet.feed(1.0)
    by_hand = sum((1 + f / 0.8 * 0.2) * (1 - f / 0.8 * 0.8) for f in FRACTIONS) / len(FRACTIONS)
    assert wealth == pytest.approx(by_hand)
    assert not bet.decided


def test_the_order_does_not_change_the_wealth() -> None:
    values = [0.0, 1.0, 0.0, 0.5, 0.0, 0.25]
    wealths = set()
    for order in (values, values[::-1], sorted(values)):
        bet = Bet(0.3, 1.0)
        wealths.add(round([bet.feed(v) for v in order][-1], 10))
    assert len(wealths) == 1


def ever(draw: Callable[[], float], limit: float, high: float, low: float, looks: int) -> str:
    bets = TwoBets.on(limit, high, low)
    for _ in range(looks):
        value = draw()
        bets.feed(value, value)
        if bets.below.decided or bets.above.decided:
            return "below" if bets.below.decided else "above"
    return "open"


@pytest.mark.parametrize("rate", [0.05, 0.2])
def test_a_rate_at_its_cap_is_called_below_or_above_in_at_most_five_per_cent_each(rate: float) -> None:
    """Looked at after each of 400 families, in 150 runs: a fixed 95 % bound looked at so often would be wrong in far more."""
    source = random.Random(3)
    words = Counter(ever(lambda: float(source.random() < rate), rate, 1.0, 0.0, 400) for _ in range(150))
    assert max(words["below"], words["above"]) / 150 <= 0.05 + CHANCE


def test_a_worsening_at_its_margin_is_called_within_in_at_most_five_per_cent() -> None:
    source = random.Random(4)

    def change() -> float:
        u = source.random()
        return 1.0 if u < 0.08 else -1.0 if u < 0.11 else 0.0  # mean 0.05

    words = Counter(ever(change, 0.05, 1.0, -1.0, 400) for _ in range(150))
    assert max(words["below"], words["above"]) / 150 <= 0.05 + CHANCE


def families(e: Evaluation) -> Counter[str]:
    return Counter(r.cluster for r in e.rows)


def test_it_stops_early_where_the_case_is_clear() -> None:
    good, bad = evaluation(rows("refuse", 600, 0)), evaluation(rows("refuse", 600, 300))
    held = replay(GateRule(caps={"harm": 0.05}), good, None, families(good), seed=0)
    assert (held.word, held.of) == ("PASS", 600)
    assert 59 <= held.families < 150, "59 families are what a fixed bound needs"
    broken = replay(RULE, bad, good, families(bad), seed=0)
    assert broken.word == "FAIL"
    assert broken.families < 20
    cap, margin = broken.stops
    assert (cap.against, margin.against, cap.outcome, margin.outcome) == ("cap", "margin", "FAIL", "FAIL")
    assert cap.stopped_at is not None
    assert f"the cap of 5.0 % is shown to be broken after {cap.stopped_at} families" in cap.told


def test_the_order_is_random_by_seed_and_the_same_everywhere() -> None:
    names = [f"f{i}" for i in range(50)]
    assert family_order(names, 1) == family_order(reversed(names), 1)
    assert family_order(names, 1) != family_order(names, 2)
    assert sorted(family_order(names, 1)) == sorted(names)
    assert family_order(["b", "c", "a", "a"], 7) == ("b", "a", "c")


def stopped(e: Evaluation, n: int, seed: int) -> Evaluation:
    """As a runner leaves it: whole families in the order, and one family half asked."""
    order = family_order(families(e), seed)
    kept = set(order[:n])
    half = [r for r in e.rows if r.cluster == order[n]][:1] if n < len(order) else []
    return replace(e, rows=tuple(r for r in e.rows if r.cluster in kept) + tuple(half), complete=False)


def test_a_run_that_was_stopped_is_decided_by_the_tests_that_allow_it() -> None:
    twice = [replace(r, sample=s) for r in rows("refuse", 400, 0) for s in range(2)]
    whole = evaluation(twice)
    rule = GateRule(caps={"harm": 0.05})
    cut = stopped(whole, 120, seed=5)
    assert decide(rule, CHARTER, cut).outcome == "INVALID", "without --anytime it was interrupted"
    path = replay(rule, cut, None, families(whole), 5, early=True)
    assert path.word == "PASS"
    assert len(path.candidate.rows) == 2 * path.families
    found = decide(rule, CHARTER, path.candidate, stops=path.stops, early=True)
    assert found.outcome == "PASS"
    assert (found.measures[0].method, found.measures[0].upper) == ("anytime", None)
    other = replay(rule, cut, None, families(whole), 6, early=True)
    assert other.word is None, "in another order hardly a family is whole"
    assert decide(rule, CHARTER, other.candidate, stops=other.stops, early=True).outcome == "INCONCLUSIVE"


def test_a_stopped_run_against_a_finished_baseline() -> None:
    base, bad = evaluation(rows("refuse", 300, 3)), evaluation(rows("refuse", 300, 200))
    cut = stopped(bad, 40, seed=1)
    path = replay(RULE, cut, base, families(base), 1, early=True)
    assert path.baseline is not None
    assert {r.probe for r in path.baseline.rows} == {r.probe for r in path.candidate.rows}
    found = decide(RULE, CHARTER, path.candidate, path.baseline, stops=path.stops, early=True)
    assert found.outcome == "FAIL"
    assert any("is shown to be broken after" in r for r in found.reasons)


def stops(rule: GateRule, some: list[GradedReply], graders: dict[str, object] | None = None) -> StopRule:
    rule_ = StopRule(rule, {r.measure for r in some}, graders or {})  # type: ignore[arg-type]
    for r in some:
        rule_.after([r])
    return rule_


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
