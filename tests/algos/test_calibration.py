"""Calibration and length: by hand, on simulated pairs of known truth, and at the edges."""

import numpy as np
import pytest

from trueline.algos.stats.calibration import HOTTEST, ece_of_differences, expected_calibration_error, fitted_temperature
from trueline.algos.stats.length_bias import accuracy_by_length, length_correlation, length_slope, log_length
from trueline.errors import DataError


def simulated(n: int, scale: float, seed: int = 0) -> np.ndarray:
    """True logit differences of the chosen over the rejected, times `scale`: what a model with a wrong temperature says."""
    source = np.random.default_rng(seed)
    logit = source.normal(0, 1.5, n)
    return scale * np.where(source.random(n) < 1 / (1 + np.exp(-logit)), logit, -logit)


def test_ece_by_hand() -> None:
    # two bins of two: (.1, .3) with 0 of 2, (.6, .8) with 2 of 2: |0 - .2| / 2 + |1 - .7| / 2
    found = expected_calibration_error(np.array([0.8, 0.1, 0.6, 0.3]), np.array([True, False, True, False]), bins=2)
    assert found.ece == pytest.approx(0.25)
    assert found.confidence == pytest.approx((0.2, 0.7))
    assert found.accuracy == (0.0, 1.0)
    # one pair preferred rightly at sigmoid(2) = .8808, one wrongly at sigmoid(1) = .7311, each its own bin
    assert ece_of_differences(np.array([2.0, -1.0])).ece == pytest.approx(((1 - 0.8807971) + 0.7310586) / 2, abs=1e-6)
    assert ece_of_differences(np.zeros(8)).ece == 0  # no preference, half right


def test_calibrated_differences_have_no_error_and_a_wrong_scale_is_found_and_mended() -> None:
    true, sharp, flat = (simulated(40_000, s) for s in (1.0, 4.0, 0.25))
    assert ece_of_differences(true).ece < 0.01
    assert ece_of_differences(sharp).ece > 0.1
    assert ece_of_differences(flat).ece > 0.1
    assert fitted_temperature(true) == pytest.approx(1, abs=0.03)
    assert fitted_temperature(sharp) == pytest.approx(4, rel=0.03)
    assert fitted_temperature(flat) == pytest.approx(0.25, rel=0.03)
    mended = simulated(40_000, 4.0, seed=1) / fitted_temperature(sharp)
    assert ece_of_differences(mended).ece < 0.01


def test_weights_of_the_temperature_are_repetitions() -> None:
    d = simulated(200, 2.0)
    w = np.arange(200) % 3
    assert fitted_temperature(d, w.astype(float)) == pytest.approx(fitted_temperature(np.repeat(d, w)), rel=1e-9)


def test_a_temperature_without_evidence() -> None:
    assert fitted_temperature(np.array([1.0, 2.0])) == 1.0  # all right: no scale is best, none is taken
    assert fitted_temperature(np.array([0.0, 0.0])) == HOTTEST
    assert fitted_temperature(np.array([-1.0, -2.0, 0.5])) == HOTTEST  # worse than chance
    for measure in (ece_of_differences, fitted_temperature):
        with pytest.raises(DataError):
            measure(np.zeros(0))


def test_the_slope_by_hand_and_what_is_left_is_uncorrelated() -> None:
    # differences in reward 2, -1 and in length 1, 1: b = (2 - 1) / 2
    rewards, lengths = np.array([[2.0, 0.0], [0.0, 1.0]]), np.array([[1.0, 0.0], [5.0, 4.0]])
    b = length_slope(rewards, lengths)
    assert b == pytest.approx(0.5)
    assert length_correlation(rewards - b * lengths, lengths) == pytest.approx(0, abs=1e-12)
    assert length_slope(rewards, np.ones((2, 2))) == 0
    assert length_correlation(rewards, np.ones((2, 2))) is None


def test_a_planted_length_bias_is_removed() -> None:
    source = np.random.default_rng(0)
    quality = source.normal(size=(5_000, 2))
    words = source.integers(5, 400, size=(5_000, 2))
    lengths = np.stack([log_length(["x" * n for n in column]) for column in words.T], axis=1)
    biased = quality + 0.8 * lengths
    debiased = biased - length_slope(biased, lengths) * lengths
    truth = quality[:, 0] > quality[:, 1]
    before, after = (((r[:, 0] > r[:, 1]) == truth).mean() for r in (biased, debiased))
    assert before < 0.85
    assert after > 0.97
    assert abs(length_correlation(debiased, lengths) or 0) < 1e-9


def test_accuracy_by_length_by_hand() -> None:
    # 100 : 50 longer (right), 50 : 100 shorter (wrong), 100 : 91 alike (right), 100 : 90 is no longer alike
    found = accuracy_by_length(np.array([True, False, True, False]), [100, 50, 100, 100], [50, 100, 91, 90])
    assert found.longer is not None
    assert found.shorter is not None
    assert found.alike is not None
    assert (found.longer.estimate, found.longer.n) == (0.5, 2)
    assert (found.shorter.estimate, found.shorter.n) == (0.0, 1)
    assert (found.alike.estimate, found.alike.low) == (1.0, pytest.approx(0.025))  # exact: .025 ^ (1 / 1)
    assert accuracy_by_length(np.array([True]), [9], [2]).alike is None
