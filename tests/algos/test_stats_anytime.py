"""Stopping early: by hand, by properties, and the chance to err however often one looks."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trueline.algos.stats.anytime import MONEY, SHARES, AnytimeResult, anytime, decide_in_order, gains_for, log_wealth
from trueline.algos.stats.binomial import upper_bound
from trueline.errors import DataError


def test_wealth_by_hand() -> None:
    # a family that does not fail, cap 0.05: a share s of the largest bet 1 / 0.95 wins s * 0.05 / 0.95; one that fails loses s
    won, lost = 1 + SHARES * 0.05 / 0.95, 1 - SHARES
    found = anytime(0.05, "rate", 1).step([0.0]).step([1.0]).result()
    assert found.for_pass == pytest.approx(float(MONEY @ (won * lost)))
    # against a rate above 0.05 the largest bet is 1 / 0.05: a failure wins s * 0.95 / 0.05, a pass loses s
    assert found.for_fail == pytest.approx(float(MONEY @ ((1 - SHARES) * (1 + SHARES * 19))))
    assert MONEY.sum() == pytest.approx(1)


def test_when_nothing_fails_it_stops_a_quarter_later_than_the_shortest_fixed_test() -> None:
    found = decide_in_order(([0.0] for _ in range(10_000)), 0.05, "rate", largest=1)
    assert found.outcome == "PASS"
    assert found.families == found.probes == 75  # 59 with one look at the end
    assert found.for_pass >= 20
    assert found.upper < 0.05
    assert decide_in_order([[0.0]] * 74, 0.05, "rate", largest=1).outcome == "INCONCLUSIVE"


def test_ten_tied_pairs_never_pass() -> None:
    found = decide_in_order([[0.0]] * 10, 0.05, "worsening", largest=1)
    assert found.outcome == "INCONCLUSIVE"
    assert found.upper > 0.25
    again = decide_in_order([[0.0] * 30] * 10, 0.05, "worsening", largest=30)  # asked thirty times each
    assert (again.outcome, again.families, again.probes, again.upper) == ("INCONCLUSIVE", 10, 300, pytest.approx(found.upper))


def test_a_bad_candidate_fails_early_and_later_families_are_not_asked() -> None:
    asked = []

    def ask() -> object:
        for i in range(500):
            asked.append(i)
            yield [1.0] if i % 2 else [0.0]

    found = decide_in_order(ask(), 0.05, "rate", largest=1)  # type: ignore[arg-type]
    assert found.outcome == "FAIL"
    assert found.lower > 0.05
    assert found.families == len(asked) < 20


def test_the_first_decision_stays() -> None:
    game = anytime(0.05, "rate", 1)
    for _ in range(75):
        game = game.step([0.0])
    for _ in range(200):
        game = game.step([1.0])
    found = game.result()
    assert (found.outcome, found.families) == ("PASS", 75)
    assert found.lower > 0.05  # what is known now is told all the same


@pytest.mark.parametrize("values", [[], [0.5, 2.0], [0.0] * 4, [-0.5]])
def test_bad_families_are_refused(values: list[float]) -> None:
    with pytest.raises(DataError, match="expected 1 to 3"):
        anytime(0.1, "rate", 3).step(values)


def test_a_limit_that_nothing_shows_is_refused() -> None:
    for limit, kind in ((0.0, "rate"), (1.0, "worsening")):
        with pytest.raises(DataError, match="expected a limit inside"):
            anytime(limit, kind, 1)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="insufficient evidence"):
        anytime(0.1, "rate", 1).result()


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.lists(st.sampled_from([-1.0, 0.0, 1.0]), min_size=1, max_size=4), min_size=1, max_size=25),
    st.sampled_from([0.0, 0.05, 0.3]),
)
def test_steps_and_arrays_agree_and_bounds_are_where_a_bettor_is_heard(families: list[list[float]], limit: float) -> None:
    game = anytime(limit, "worsening", 4)
    for f in families:
        game = game.step(f)
    found: AnytimeResult = game.result()
    means, sizes = np.array([sum(f) / len(f) for f in families]), np.array([len(f) for f in families], dtype=float)
    if found.outcome == "INCONCLUSIVE":
        assert math.log(found.for_pass) == pytest.approx(
            float(log_wealth(gains_for(means, sizes, 4, limit, "worsening", "PASS"))[-1]), abs=1e-9
        )
    assert found.lower <= found.estimate <= found.upper
    if -1 < found.upper < 1:
        assert np.exp(log_wealth(gains_for(means, sizes, 4, found.upper, "worsening", "PASS"))[-1]) == pytest.approx(20, rel=1e-6)


def test_the_game_is_fair_at_the_limit_over_probes_not_over_families() -> None:
    # a family of 4 that fails whole and four families of 1 that pass: half of the probes fail, a fifth of the families
    means, sizes = np.array([1.0, 0.0, 0.0, 0.0, 0.0]), np.array([4.0, 1.0, 1.0, 1.0, 1.0])
    assert gains_for(means, sizes, 4, 0.5, "rate", "PASS").sum() == pytest.approx(0)
    assert gains_for(means, sizes, 4, 0.5, "rate", "FAIL").sum() == pytest.approx(0)
    assert gains_for(means, sizes, 4, 0.2, "rate", "PASS").sum() < 0


@pytest.mark.parametrize(
    ("true", "limit", "kind", "psi"), [(0.05, 0.05, "rate", 0.0), (0.3, 0.3, "rate", 0.0), (0.05, 0.05, "worsening", 0.1)]
)
def test_looking_after_every_family_errs_in_at_most_five_of_a_hundred(true: float, limit: float, kind: str, psi: float) -> None:
    """2,000 runs of 200 families, any crossing at any time counts; and at a true rate of a fifth of the cap, or no worsening, most pass."""
    rng, runs, n = np.random.default_rng(4), 2000, 200

    def ever(at: float, wanted: str) -> float:
        draws = rng.random((runs, n))
        x = (
            (draws < at).astype(float)
            if kind == "rate"
            else np.where(draws < (psi + at) / 2, 1.0, np.where(draws > 1 - (psi - at) / 2, -1.0, 0.0))
        )
        wealth = log_wealth(gains_for(x, np.ones(n), 1.0, limit, kind, wanted))  # type: ignore[arg-type]
        return float((wealth >= math.log(20)).any(-1).mean())

    for wanted in ("PASS", "FAIL"):
        assert ever(true, wanted) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / runs)
    assert ever(0.0 if kind == "worsening" else true / 5, "PASS") > 0.3


def test_running_bounds_are_wider_than_one_look_but_not_by_much() -> None:
    game = anytime(0.5, "rate", 1)
    for i in range(400):
        game = game.step([float(i % 20 == 0)])
    found = game.result()
    assert upper_bound(20, 400) < found.upper < 1.5 * upper_bound(20, 400)
    assert 0 < found.lower < 0.05
