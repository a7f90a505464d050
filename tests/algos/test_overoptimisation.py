"""Over-optimisation: the laws by hand and from planted values, the stop decision by hand, by simulation of both errors, at the edges."""

import math
from dataclasses import replace

import numpy as np
import pytest

from trueline.algos.stats.overoptimisation import (
    FEWEST_PROMPTS,
    Measurement,
    StopSettings,
    best_of_n_kl,
    fitted_law,
    judged,
    summary,
)
from trueline.errors import DataError, RunFileError

LOOKS = 20
SETTINGS = StopSettings(LOOKS)


def history(held_out: np.ndarray, proxy: np.ndarray | None = None) -> list[Measurement]:
    """held_out, proxy: (looks, prompts); the proxy rises by 0.1 a look unless said. One nat and ten steps a look."""
    rising = np.arange(len(held_out))[:, None] * 0.1 + np.zeros_like(held_out) if proxy is None else proxy
    rows = zip(rising.tolist(), held_out.tolist(), strict=True)
    return [Measurement(10 * t, float(t), tuple(p), tuple(h)) for t, (p, h) in enumerate(rows)]


def first_stop(measurements: list[Measurement], settings: StopSettings = SETTINGS) -> int | None:
    """The look, from 0, at which a run that is judged after each measurement stops."""
    return next((t for t in range(len(measurements)) if judged(measurements[: t + 1], settings).stop), None)


def test_best_of_n_by_hand() -> None:
    assert best_of_n_kl(1) == 0
    assert best_of_n_kl(4) == pytest.approx(math.log(4) - 0.75)
    with pytest.raises(DataError):
        best_of_n_kl(0)


@pytest.mark.parametrize(("kind", "peak"), [("rl", math.exp(1.5 / 0.5 - 1)), ("best_of_n", 1.5)])
def test_the_fit_recovers_planted_values(kind: str, peak: float) -> None:
    d = np.linspace(0.0, 10.0, 21)
    bend = np.log(np.where(d > 0, d, 1.0)) if kind == "rl" else d
    law = fitted_law(kind, d.tolist(), (d * (1.5 - 0.5 * bend)).tolist())
    assert law is not None
    assert (law.alpha, law.beta, law.r2) == pytest.approx((1.5, 0.5, 1.0))
    assert law.peak == pytest.approx(peak)
    assert (law.n, law.furthest) == (20, 10.0)
    assert law.gain(0.0) == 0.0
    assert law.gain(peak) > max(law.gain(peak - 0.01), law.gain(peak + 0.01))


def test_a_fit_by_hand() -> None:
    # best-of-n at d = 1, 2, 3 with gains 1, 2, 2: y = a d - b d^2; sums d^2 = 14, d^3 = 36, d^4 = 98, d y = 11, d^2 y = 27
    # 14 a - 36 b = 11, 36 a - 98 b = 27: a = (11 x 98 - 36 x 27) / 76 = 106 / 76, b = (36 x 11 - 14 x 27) / 76 = 18 / 76
    law = fitted_law("best_of_n", [1, 2, 3], [1, 2, 2])
    assert law is not None
    assert (law.alpha, law.beta) == pytest.approx((106 / 76, 18 / 76))
    assert law.peak == pytest.approx(106 / 36)
    # residuals 1 - 88/76, 2 - 140/76, 2 - 156/76 = -12/76, 12/76, -4/76: square sum 304 / 76^2 = 1 / 19 on one degree of freedom
    assert (law.alpha_error, law.beta_error) == pytest.approx((math.sqrt(98 / 76 / 19), math.sqrt(14 / 76 / 19)))
    assert law.r2 == pytest.approx(1 - (1 / 19) / (2 / 3))


def test_standard_errors_are_those_of_repeated_fits() -> None:
    source = np.random.default_rng(0)
    d = np.linspace(0.5, 6, 12)
    laws = [fitted_law("rl", d.tolist(), (d * (1 - 0.4 * np.log(d)) + source.normal(0, 0.1, 12)).tolist()) for _ in range(400)]
    for name, truth in (("alpha", 1.0), ("beta", 0.4)):
        found = np.array([getattr(x, name) for x in laws])
        assert found.mean() == pytest.approx(truth, abs=0.01)
        assert np.sqrt(np.mean([getattr(x, name + "_error") ** 2 for x in laws])) == pytest.approx(found.std(), rel=0.1)


def test_weights_and_order_of_a_fit() -> None:
    d, y = [1.0, 2.0, 3.0, 4.0], [1.0, 1.4, 1.5, 9.0]
    assert fitted_law("rl", d, y, [1, 1, 1, 0]) == fitted_law("rl", d[:3], y[:3])
    doubled, weighted = fitted_law("rl", [*d, 1.0], [*y, 1.0]), fitted_law("rl", d, y, [2, 1, 1, 1])
    assert doubled is not None
    assert weighted is not None
    assert (weighted.alpha, weighted.beta) == pytest.approx((doubled.alpha, doubled.beta))
    backwards = fitted_law("rl", d[::-1], y[::-1])
    assert backwards is not None
    assert backwards.alpha == pytest.approx(fitted_law("rl", d, y).alpha)


def test_too_few_distances_give_no_law_and_no_turn_no_peak() -> None:
    assert fitted_law("rl", [], []) is None
    assert fitted_law("rl", [0.0, 1.0, 2.0], [0.0, 1.0, 1.0]) is None  # a point at 0 says nothing
    assert fitted_law("rl", [1.0, 1.0 + 1e-12, 2.0], [1.0, 1.0, 1.0]) is None
    rising = fitted_law("best_of_n", [1, 2, 3], [1, 4, 9])  # R = d^2
    falling = fitted_law("best_of_n", [1, 2, 3], [-2, -6, -12])  # R = -d - d^2
    assert rising is not None
    assert falling is not None
    assert (rising.peak, falling.peak) == (None, 0.0)
    flat = fitted_law("rl", [1, 2, 3], [1, 1, 1])
    assert flat is not None
    assert flat.r2 is None
    for bad in (([-1.0, 1, 2], [1, 1, 1]), ([1, 2, 3], [1, 1]), ([1, 2, 3], [1, math.nan, 1])):
        with pytest.raises(DataError):
            fitted_law("rl", *bad)
    with pytest.raises(DataError):
        rising.gain(-1.0)


@pytest.mark.parametrize(("kind", "runs"), [("independent", 400), ("walk", 150), ("coins", 150)])
def test_flat_truth_is_stopped_in_at_most_one_run_of_twenty(kind: str, runs: int) -> None:
    source = np.random.default_rng(11)
    stops = naive = 0
    for _ in range(runs):
        noise = source.normal(size=(LOOKS, 24))
        if kind == "walk":  # every prompt drifts, on the mean nothing does
            noise = noise.cumsum(axis=0)
        if kind == "coins":
            noise = (source.random((LOOKS, 24)) < source.random(24)).astype(float)
        stops += first_stop(history(noise)) is not None
        best = np.maximum.accumulate(noise.mean(axis=1))[:-1] - noise.mean(axis=1)[1:]
        naive += bool((best > 1.7 * noise.std(axis=0).mean() * math.sqrt(2 / 24)).any())
    assert stops <= 0.05 * runs
    if kind == "independent":
        assert naive > 0.5 * runs  # the best so far against now, at 5 % a look: what the rule is there to avoid


@pytest.mark.parametrize(("truth", "share"), [("plateau", 0.9), ("peak", 0.55)])
def test_a_fall_of_half_a_deviation_is_found_within_four_looks(truth: str, share: float) -> None:
    source = np.random.default_rng(12)
    before = np.full(8, 0.5) if truth == "plateau" else np.linspace(0, 1, 8)  # then 12 looks 0.5 below the last of these
    mean = np.concatenate([before, np.full(12, before[-1] - 0.5)])
    stops = [first_stop(history(mean[:, None] + source.normal(size=(LOOKS, 64)))) for _ in range(100)]
    assert np.mean([s is not None and 8 <= s < 12 for s in stops]) >= share
    assert np.mean([s is not None and s < 8 for s in stops]) <= 0.05


def planted(seed: int = 0, fall: float = 2.0) -> np.ndarray:
    """Eight looks on 32 prompts of very different level, the last three `fall` below the highest, the fourth."""
    source = np.random.default_rng(seed)
    mean = np.array([0.0, 0.5, 1.0, 1.5, 1.4, *[1.5 - fall] * 3])
    return mean[:, None] + source.normal(0, 20, 32) + source.normal(0, 0.5, (8, 32))


def test_a_planted_turn_is_named_with_its_best_step() -> None:
    found = judged(history(planted()), SETTINGS)
    assert (found.stop, found.reason, found.best_step) == (True, "over-optimisation", 30)
    assert found.fallen is not None
    assert 1.0 < found.fallen < 2.0  # a lower bound of the fall, not its flattered estimate
    assert "steps 30 to 40" in found.text
    assert "+0.3" in found.text  # the proxy: 0.1 a look, three looks from window to window


def test_the_bound_by_hand() -> None:
    # window 1, two looks: one test at the whole level. Falls 0.5 (8 times) and 1.5 (8 times): mean 1, sd 0.5 sqrt(16/15), t_15 1.75305
    held = np.stack([np.full(16, 3.0), np.repeat([2.5, 1.5], 8)])
    found = judged(history(held), StopSettings(2, window=1))
    assert found.fallen == pytest.approx(1 - 1.753050 * 0.5 / math.sqrt(15), abs=1e-6)
    # planned for five looks: the first test of four has a quarter of the level, t_15 at 0.9875 is 2.48988
    found = judged(history(held), StopSettings(5, window=1))
    assert found.fallen == pytest.approx(1 - 2.489880 * 0.5 / math.sqrt(15), abs=1e-5)


def test_the_order_of_the_prompts_changes_nothing_at_all() -> None:
    held = planted(3, fall=0.6)
    proxy = np.random.default_rng(4).normal(size=held.shape)
    order = np.random.default_rng(5).permutation(32)
    for k in range(1, 9):
        assert judged(history(held[:k], proxy[:k]), SETTINGS) == judged(history(held[:k, order], proxy[:k, order]), SETTINGS)
    straight, permuted = (summary(history(held[:, o], proxy[:, o]), SETTINGS) for o in (slice(None), order))
    assert straight == permuted


def test_a_proxy_that_falls_too_is_not_over_optimisation_and_a_tied_one_is() -> None:
    held = planted()
    both = judged(history(held, held), SETTINGS)
    assert (both.stop, both.reason) == (False, "none")
    assert "failing run" in both.text
    assert judged(history(held, np.zeros_like(held)), SETTINGS).reason == "over-optimisation"


def test_a_policy_that_stands_still_has_not_fallen_by_rounding() -> None:
    still = np.tile(np.random.default_rng(0).normal(1e6, 1, 32), (8, 1))
    cycle = still + np.array([0.1, 0.2, 0.3, 0.3, 0.2, 0.1, 0.2, 0.3])[:, None]
    assert not judged(history(still), SETTINGS).stop
    assert not judged(history(cycle[:6]), StopSettings(LOOKS, window=3)).stop


def test_the_kl_budget() -> None:
    rising = history(planted(fall=-1.0))  # kl 0 to 7, held-out still rising
    assert not judged(rising, StopSettings(LOOKS, kl_budget=7.0)).stop
    found = judged(rising, StopSettings(LOOKS, kl_budget=5.5))
    assert (found.stop, found.reason, found.best_step) == (True, "kl budget", 50)  # not step 70, which is beyond it
    assert "5.5" in found.text
    early = judged([replace(rising[0], kl=9.0)], StopSettings(LOOKS, kl_budget=5.5))
    assert (early.stop, early.best_step, early.fallen) == (True, None, None)
    both = judged(history(planted()), StopSettings(LOOKS, kl_budget=5.5))
    assert both.reason == "over-optimisation"
    assert "5.5" in both.text


def test_before_the_first_test_there_is_no_number() -> None:
    found = judged(history(planted()[:3]), SETTINGS)
    assert (found.stop, found.reason, found.fallen, found.best_step) == (False, "none", None, 20)
    assert "Insufficient evidence" in found.text


def test_a_history_that_cannot_be_judged() -> None:
    good = history(planted())
    few = [replace(m, proxy=m.proxy[: FEWEST_PROMPTS - 1], held_out=m.held_out[: FEWEST_PROMPTS - 1]) for m in good]
    other = [*good[:-1], replace(good[-1], proxy=good[-1].proxy[:20], held_out=good[-1].held_out[:20])]
    for bad, said in (([], "insufficient"), (good[::-1], "rise"), (few, "prompts"), (other, "prompts")):
        with pytest.raises(DataError, match=said):
            judged(bad, SETTINGS)
    with pytest.raises(DataError, match="planned were 6"):
        judged(good, StopSettings(6))
    for wrong in ({"held_out": (1.0,)}, {"kl": math.nan}, {"characters": (1,)}):
        with pytest.raises(DataError, match="step 0"):
            replace(good[0], **wrong)
    for wrong in ({"looks": 3}, {"looks": 20, "window": 0}, {"looks": 20, "level": 0.0}, {"looks": 20, "kl_budget": 0.0}):
        with pytest.raises(RunFileError):
            StopSettings(**wrong)


def test_the_summary_by_hand() -> None:
    # 16 prompts in two halves, proxy 0 and 2 at the start (sd sqrt(16/15)), held-out half of that; kl 0, 1, 4, 9
    start = np.repeat([0.0, 2.0], 8)
    proxy = np.stack([start + g for g in (0.0, 1.0, 2.0, 3.0)])
    held = np.stack([start / 2 + g for g in (0.0, 1.0, 2 - 0.5 * 2 * math.log(2), 3 - 0.5 * 3 * math.log(3))])
    rows = zip((0.0, 1.0, 4.0, 9.0), proxy.tolist(), held.tolist(), strict=True)
    run = [Measurement(t, kl, tuple(p), tuple(h), (99 * (t + 1),) * 16) for t, (kl, p, h) in enumerate(rows)]
    found = summary(run, SETTINGS)
    assert (found.steps, found.distances) == ((0, 1, 2, 3), (0.0, 1.0, 2.0, 3.0))
    assert found.proxy_gain == pytest.approx((0, 1, 2, 3))
    assert found.law is not None
    assert (found.law.alpha, found.law.beta) == pytest.approx((1.0, 0.5))
    assert found.law.peak == pytest.approx(math.e)
    assert found.gap is not None
    assert found.gap[1] == pytest.approx((1 - 2) / math.sqrt(16 / 15))
    assert found.length_growth == 4.0
    assert found.length_correlation == pytest.approx(1.0)  # every prompt's reply and proxy rose alike


def test_a_summary_without_a_start_or_lengths() -> None:
    run = history(planted())
    bare = summary(run, SETTINGS)
    assert (bare.length_growth, bare.length_correlation) == (None, None)
    assert bare.gap is None  # the proxy does not differ between prompts
    assert bare.law is not None
    assert summary(run[1:], SETTINGS).law is None
