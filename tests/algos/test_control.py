"""The adaptive KL coefficient and Lagrange multipliers: by hand, on a toy problem of known optimum, and at the edges."""

import json
import math
from dataclasses import asdict

import numpy as np
import pytest

from trueline.algos.control import AdaptiveKl, Multiplier, combined
from trueline.errors import DataError, RunFileError, TrainingError


def test_the_coefficient_by_hand() -> None:
    start = AdaptiveKl(0.2, target=6.0, horizon=10_000)
    # error 6.6 / 6 - 1 = 0.1, 256 of 10,000 replies: x 1.00256
    assert start.after(6.6, 256).coefficient == pytest.approx(0.2 * 1.00256)
    assert start.after(6.0, 256).coefficient == pytest.approx(0.2)
    # clipped on both sides: x 1 +- 0.2 x 0.0256
    assert start.after(60.0, 256).coefficient == pytest.approx(0.2 * 1.00512)
    assert start.after(-1.0, 256).coefficient == start.after(0.0, 256).coefficient == pytest.approx(0.2 * 0.99488)
    assert start.after(6.6, 256).target == 6.0


def test_the_coefficient_finds_the_target() -> None:
    # a policy whose KL is 2 / coefficient: the target 8 is held by 0.25
    held = AdaptiveKl(3.0, target=8.0, horizon=1000)
    for _ in range(400):
        held = held.after(2 / held.coefficient, 100)
    assert held.coefficient == pytest.approx(0.25, rel=1e-3)


def test_a_coefficient_that_could_vanish_and_a_kl_that_is_no_number_are_refused() -> None:
    start = AdaptiveKl(0.2, 6.0, 100)
    assert start.after(0.0, 499).coefficient > 0
    for n in (0, 500):
        with pytest.raises(TrainingError, match="horizon"):
            start.after(0.0, n)
    with pytest.raises(TrainingError, match="finite"):
        start.after(math.nan, 10)
    for wrong in ((0.0, 6.0, 100.0), (0.2, -1.0, 100.0), (0.2, 6.0, math.inf)):
        with pytest.raises(RunFileError, match="above 0"):
            AdaptiveKl(*wrong)


def test_the_multiplier_by_hand() -> None:
    start = Multiplier(0.5, limit=1.0, rate=0.1)
    assert start.after(3.0).value == pytest.approx(0.5 * math.exp(0.2))
    assert start.after(-1.0).value == pytest.approx(0.5 * math.exp(-0.2))
    assert start.after(1.0).value == pytest.approx(0.5)
    assert start.after(3.0).limit == 1.0


def test_the_multiplier_converges_to_the_known_optimum() -> None:
    # greatest -(x - 2)^2 under x <= 1: the Lagrangian is greatest at x = 2 - lambda / 2, so x = 1 and lambda = 2
    m = Multiplier(0.01, limit=1.0, rate=0.2)
    for _ in range(300):
        m = m.after(2 - m.value / 2)
    assert m.value == pytest.approx(2.0, rel=1e-6)
    # with x <= 3 the constraint is slack: the multiplier goes to its lowest value
    for _ in range(300):
        m = Multiplier(m.value, limit=3.0, rate=0.2).after(2 - m.value / 2)
    assert m.value == m.lowest


def test_two_multipliers_converge_together_from_noisy_costs() -> None:
    # greatest -(x - 2)^2 - (y - 3)^2 under x <= 1, y <= 2.5: lambda = 2 (2 - 1), 2 (3 - 2.5)
    source = np.random.default_rng(0)
    pair = [Multiplier(1.0, 1.0, 0.02), Multiplier(1.0, 2.5, 0.02)]
    seen = []
    for _ in range(3000):
        best = [2 - pair[0].value / 2, 3 - pair[1].value / 2]
        pair = [m.after(c + source.normal(0, 0.5)) for m, c in zip(pair, best, strict=True)]
        seen.append([m.value for m in pair])
    assert np.mean(seen[500:], axis=0) == pytest.approx([2.0, 1.0], rel=0.05)


def test_a_small_multiplier_answers_a_violation_in_the_time_of_its_logarithm() -> None:
    m, steps = Multiplier(0.01, limit=0.0, rate=0.1), 0
    while m.value < 1:
        m, steps = m.after(0.5), steps + 1
    assert steps == math.ceil(math.log(100) / 0.05)  # 93; with the factor `value` it would be about 2,000


def test_the_multiplier_stays_within_its_bounds() -> None:
    m = Multiplier(1.0, limit=0.0, rate=1.0, lowest=0.1, highest=7.3)
    assert m.after(1e6).value == 7.3
    assert m.after(-1e6).value == 0.1
    assert m.after(1e6).after(-1e6).after(1e6).value == 7.3  # a bound is a valid start
    with pytest.raises(TrainingError, match="finite"):
        m.after(math.inf)
    for wrong in ({"value": 8.0}, {"value": 0.01}, {"lowest": 7.3}, {"rate": 0.0}, {"limit": math.nan}, {"highest": math.inf}):
        with pytest.raises(RunFileError):
            Multiplier(**{"value": 1.0, "limit": 0.0, "rate": 1.0, "lowest": 0.1, "highest": 7.3, **wrong})


def test_combined_by_hand_and_with_a_permuted_batch() -> None:
    reward, costs = np.array([1.0, 4.0]), np.array([[2.0, 0.0], [1.0, -1.0]])
    multipliers = [Multiplier(0.5, 0.0, 0.1), Multiplier(1.5, 0.0, 0.1)]
    # (1 - 0.5 x 2) / 3 and (4 - 0.5 + 1.5) / 3
    assert combined(reward, costs, multipliers) == pytest.approx([0.0, 5 / 3])
    assert combined(reward[::-1], costs[::-1], multipliers) == pytest.approx([5 / 3, 0.0])
    assert combined(reward, np.zeros((2, 0)), []) == pytest.approx(reward)
    for wrong in (costs[:1], costs[:, :1], costs[:, 0]):
        with pytest.raises(DataError, match="shape"):
            combined(reward, wrong, multipliers)


def test_states_survive_json() -> None:
    kl, m = AdaptiveKl(0.2, 6.0, 1e4).after(9.1, 256), Multiplier(0.3, 1.0, 0.1).after(1.7)
    assert AdaptiveKl(**json.loads(json.dumps(asdict(kl)))) == kl
    assert Multiplier(**json.loads(json.dumps(asdict(m)))) == m
