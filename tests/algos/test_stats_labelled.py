"""What people's labels say beside a judge: prediction-powered bounds, differential error, agreement; and the noise floor."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trueline.algos.agreement import two_raters
from trueline.algos.stats.binomial import lower_bound, upper_bound
from trueline.algos.stats.differential import Label, differential_error, fisher
from trueline.algos.stats.judge import worsening_behind
from trueline.algos.stats.noise import noise_of_pairs, noise_of_samples
from trueline.algos.stats.paired import paired_bounds
from trueline.algos.stats.planning import pairs_for_margin, unbroken_upper
from trueline.algos.stats.prediction_powered import powered_difference, powered_rate
from trueline.errors import DataError


def alone(n: int) -> list[str]:
    return [str(i) for i in range(n)]


class TestPredictionPowered:
    def test_by_hand_and_as_ppi_with_its_best_weight(self) -> None:
        # 10 of 40 judged to fail; labelled: 4 of these (3 fail), 8 of the others (1 fails): 1/4 * 3/4 + 3/4 * 1/8
        judged = [1.0] * 10 + [0.0] * 30
        labels: list[float | None] = [None] * 40
        for i, y in zip([0, 1, 2, 3, 10, 11, 12, 13, 14, 15, 16, 17], [1, 1, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0], strict=True):
            labels[i] = float(y)
        found = powered_rate(judged, labels, alone(40))
        assert found.estimate == pytest.approx(1 / 4 * 3 / 4 + 3 / 4 * 1 / 8)
        y, f = [1, 1, 1, 0, 1, *[0] * 7], [1] * 4 + [0] * 8
        weight = 3 / 4 - 1 / 8  # PPI++: mean(weight * f over all) + mean(y - weight * f over the labelled)
        assert found.estimate == pytest.approx(weight * 10 / 40 + sum(a - weight * b for a, b in zip(y, f, strict=True)) / 12)
        assert (found.judged_only, found.labelled, found.n) == (0.25, 12, 40)

    def test_no_failure_is_worth_the_labels_alone(self) -> None:
        labels = [0.0] * 30 + [None] * 970
        assert powered_rate([0.0] * 1000, labels, alone(1000)).upper == pytest.approx(upper_bound(0, 30))
        found = powered_difference([0.0] * 1000, labels, alone(1000))
        assert (found.upper, found.lower) == (pytest.approx(upper_bound(0, 30)), pytest.approx(-upper_bound(0, 30)))

    def test_ten_labelled_ties_never_pass(self) -> None:
        assert powered_difference([0.0] * 5000, [0.0] * 10 + [None] * 4990, alone(5000)).upper > 0.25

    def test_a_verdict_that_nobody_checked_leaves_its_replies_open(self) -> None:
        found = powered_rate([1.0] * 20 + [0.0] * 80, [None] * 20 + [0.0] * 80, alone(100))
        assert found.estimate == pytest.approx(0.2)
        assert found.upper > 0.2
        assert found.lower == 0
        unscored = powered_rate([None] * 10 + [0.0] * 90, [None] * 10 + [0.0] * 90, alone(100))
        assert unscored.upper > 0.1

    def test_a_good_judge_helps(self) -> None:
        rng = np.random.default_rng(0)
        y = rng.random(2000) < 0.3
        f = np.where(rng.random(2000) < 0.95, y, ~y).astype(float)
        labels = [float(v) if i < 100 else None for i, v in enumerate(y)]
        found = powered_rate(f.tolist(), labels, alone(2000))
        k = int(y[:100].sum())
        assert found.upper - found.lower < 0.75 * (upper_bound(k, 100) - lower_bound(k, 100))
        assert found.lower < 0.3 < found.upper

    def test_families_count_whole(self) -> None:
        y = [1.0, 0.0, 0.0, 0.0] * 15
        labels = [v for v in y for _ in range(5)]
        one, five = powered_rate(labels, labels, alone(300)), powered_rate(labels, labels, [str(i // 5) for i in range(300)])
        assert five.upper - five.lower > 1.8 * (one.upper - one.lower)

    def test_no_label_is_insufficient(self) -> None:
        for args in (([1.0], [None], ["a"]), ([1.0, 0.0], [1.0], ["a", "b"])):
            with pytest.raises(DataError, match="insufficient evidence"):
                powered_rate(*args)

    @settings(max_examples=40, deadline=None)
    @given(
        st.lists(st.tuples(st.sampled_from([-1.0, 0.0, 1.0, None]), st.sampled_from([-1.0, 0.0, 1.0, None])), min_size=2, max_size=40),
        st.integers(1, 9),
    )
    def test_bounds_hold_the_estimate_and_turn_over(self, rows: list[tuple[float | None, float | None]], groups: int) -> None:
        judged, labels = [a for a, _ in rows], [0.0, *(b for _, b in rows[1:])]
        clusters = [str(i % groups) for i in range(len(rows))]
        found = powered_difference(judged, labels, clusters)
        assert -1 <= found.lower <= found.estimate + 1e-12
        assert found.estimate - 1e-12 <= found.upper <= 1
        turned = powered_difference([None if v is None else -v for v in judged], [None if v is None else -v for v in labels], clusters)
        assert (turned.lower, turned.upper) == (pytest.approx(-found.upper), pytest.approx(-found.lower))


class TestDifferentialError:
    @staticmethod
    def labels(se: tuple[int, int], sp: tuple[int, int], size: int = 1) -> list[Label]:
        right = [(True, k, n) for k, n in [se]] + [(False, k, n) for k, n in [sp]]
        return [Label(failed if i < k else not failed, failed, f"{failed}{i // size}") for failed, k, n in right for i in range(n)]

    def test_fisher_by_hand(self) -> None:
        # 3 of 4 against 1 of 4: tables with 4 right in all have chances 1, 16, 36, 16, 1 of 70; all but the middle one are no likelier
        assert fisher((3, 4), (1, 4)) == pytest.approx(34 / 70)
        assert fisher((10, 10), (0, 10)) == pytest.approx(2 / math.comb(20, 10))
        assert fisher((5, 5), (7, 7)) == 1.0

    def test_a_judge_that_tuning_deceived_is_found(self) -> None:
        found = differential_error(self.labels((57, 60), (95, 100)), self.labels((36, 60), (95, 100)), rates=(0.2, 0.4))
        assert found.differs
        assert found.sensitivity.p_value == pytest.approx(2 * fisher((57, 60), (36, 60)))  # Holm: the smaller of two
        assert found.specificity.p_value == 1.0
        assert found.hidden > 0.4 * (57 - 36) / 60
        same = differential_error(self.labels((57, 60), (95, 100)), self.labels((57, 60), (95, 100)))
        assert not same.differs
        assert same.hidden > 0  # no finding, and yet so much may be hidden
        assert same.hidden == pytest.approx(same.invented, abs=0.03)

    def test_more_labels_leave_less_hidden_and_a_narrower_range_too(self) -> None:
        few, many = (self.labels((n * 9 // 10, n), (n * 9 // 10, n)) for n in (40, 400))
        assert differential_error(many, many).hidden < 0.5 * differential_error(few, few).hidden
        assert differential_error(few, few, rates=(0.0, 0.1)).hidden <= differential_error(few, few).hidden

    def test_labels_of_one_family_count_once(self) -> None:
        alone, joined = self.labels((40, 50), (45, 50)), self.labels((40, 50), (45, 50), 10)
        other, others = self.labels((25, 50), (45, 50)), self.labels((25, 50), (45, 50), 10)
        assert differential_error(alone, other).differs
        assert not differential_error(joined, others).differs

    def test_without_failures_nothing_is_known_of_sensitivity(self) -> None:
        found = differential_error(self.labels((0, 0), (90, 100)), self.labels((0, 0), (90, 100)), rates=(0.0, 0.1))
        assert found.sensitivity.p_value is None
        assert found.sensitivity.baseline.rate is None
        assert found.hidden > 0.1
        with pytest.raises(DataError, match="insufficient evidence"):
            differential_error([], self.labels((1, 1), (1, 1)))


class TestWorseningBehindAJudge:
    def test_a_perfectly_known_judge_divides(self) -> None:
        many = 10**9
        assert worsening_behind(0.01, 0.04, (0.9, many), (0.9, many)) == pytest.approx(0.04 / 0.8, rel=1e-4)
        assert worsening_behind(0.01, 0.04, (0.9, many), (0.9, many), share=0.5) == pytest.approx(0.04 / 0.9, rel=1e-4)

    def test_by_its_own_equation_and_few_labels_widen(self) -> None:
        few = worsening_behind(0.02, 0.05, (0.9, 40), (0.9, 40))
        assert few > 0.05 / 0.8
        v = (37 / 42) * (5 / 42) / 42
        assert few * 0.8 - 0.02 == pytest.approx(math.sqrt(0.03**2 + 1.6448536**2 * few**2 * 2 * v))
        assert worsening_behind(0.02, 0.05, (0.7, 5), (0.7, 5)) == 1.0
        assert worsening_behind(-0.1, -0.02, (0.9, 40), (0.9, 40)) == -0.02


class TestNoise:
    def test_pairs_by_hand(self) -> None:
        first, second = [1.0] * 10 + [0.0] * 90, [0.0] * 4 + [1.0] * 6 + [1.0] * 2 + [0.0] * 88
        found = noise_of_pairs(first, second, alone(100))
        assert found.flips.estimate == pytest.approx(0.06)
        assert found.drift == pytest.approx(2 * (1 + 6 + 15) / 2**6)  # 4 less and 2 more: 2 P(Bin(6, 1/2) <= 2)
        assert found.floor == pytest.approx(1.959964 * math.sqrt(upper_bound(6, 100, 0.975) / 100), rel=1e-6)
        assert found.pairs_needed(0.05) == pairs_for_margin(0.05, found.flips.high)
        assert found.pairs_needed(0.05, samples=4) == math.ceil(pairs_for_margin(0.05, found.flips.high / 4) or 0)
        assert found.pairs_needed(0.0) is None

    def test_a_target_that_never_flips_still_needs_what_ties_need(self) -> None:
        found = noise_of_pairs([0.0] * 2000, [0.0] * 2000, alone(2000))
        assert found.flips.high > 0
        assert found.drift == 1.0
        assert found.pairs_needed(0.05) == 59

    def test_samples_by_hand(self) -> None:
        # 1 of 3 failed: 2 * 1 * 2 / 6 = 2/3; 0 of 3 never flips; one reply says nothing
        found = noise_of_samples([[1, 0, 0], [0, 0, 0], [1]], alone(3))
        assert (found.flips.estimate, found.n, found.drift) == (pytest.approx(1 / 3), 2, None)
        with pytest.raises(DataError, match="two samples"):
            noise_of_samples([[1]], ["a"])

    def test_drift_between_the_runs_is_seen_in_families_not_in_replies(self) -> None:
        assert (noise_of_pairs([0.0] * 40, [1.0] * 12 + [0.0] * 28, alone(40)).drift or 1) < 0.001
        assert (noise_of_pairs([0.0] * 40, [1.0] * 12 + [0.0] * 28, [str(i // 12) for i in range(40)]).drift or 0) == 1.0
        with pytest.raises(DataError, match="insufficient evidence"):
            noise_of_pairs([], [], [])


class TestTwoRaters:
    def test_by_hand(self) -> None:
        # both yes 40, both no 30, 10 and 20 apart: agreed .7; kappa: chance .5 * .6 + .5 * .4 = .5, so .4; AC1: 2 * .55 * .45 = .495
        first = ["y"] * 50 + ["n"] * 50
        second = ["y"] * 40 + ["n"] * 10 + ["y"] * 20 + ["n"] * 30
        found = two_raters(first, second)
        assert found.raw.estimate == pytest.approx(0.7)
        assert found.kappa is not None
        assert found.kappa.estimate == pytest.approx(0.4)
        assert found.ac1.estimate == pytest.approx((0.7 - 0.495) / 0.505)
        # Fleiss, Cohen & Everitt's standard error of this table is 0.0903: the interval is that and the unseen item
        assert 2 * 1.96 * 0.0903 < found.kappa.high - found.kappa.low < 1.15 * 2 * 1.96 * 0.0903

    def test_the_prevalence_paradox(self) -> None:
        found = two_raters(["n"] * 96 + ["y"] * 2 + ["n"] * 2, ["n"] * 98 + ["y"] * 2)
        assert found.kappa is not None
        assert found.kappa.estimate < 0
        assert found.ac1.estimate > 0.95
        assert found.raw.estimate == 0.96

    def test_full_agreement_proves_no_more_than_its_number(self) -> None:
        few, many = two_raters(["a", "b"] * 5, ["a", "b"] * 5), two_raters(["a", "b"] * 100, ["a", "b"] * 100)
        assert few.kappa is not None
        assert many.kappa is not None
        assert few.kappa.low < 0.7
        assert 0.9 < many.kappa.low < 1 == many.kappa.high
        assert two_raters(["a"] * 9, ["a"] * 9).kappa is None
        together = two_raters(["a", "b"] * 50, ["a", "b"] * 50, [str(i // 20) for i in range(100)])
        assert together.kappa is not None
        assert together.kappa.low < few.kappa.low + 0.1
        with pytest.raises(DataError, match="insufficient"):
            two_raters([], [])


def test_what_an_unbroken_clause_is_bounded_by() -> None:
    assert unbroken_upper([1] * 59) == pytest.approx(1 - 0.05 ** (1 / 59))
    assert unbroken_upper([5] * 59) == pytest.approx(unbroken_upper([1] * 59))  # five wordings of one probe
    assert unbroken_upper([]) == 1.0
    judged = unbroken_upper([1] * 59, (0.9, 100))
    assert judged == pytest.approx((1 - 0.025 ** (1 / 59)) / lower_bound(90, 100, 0.975))
    assert unbroken_upper([1] * 59, (0.0, 10)) == 1.0


def test_the_old_bound_of_skewed_families_missed_what_this_one_holds() -> None:
    """400 single probes of which 28 failed and 20 families of 20 that passed whole: 77 independent probes at most, not 231."""
    values = [1.0] * 28 + [0.0] * 772
    clusters = [*(str(i) for i in range(400)), *(f"f{i // 20}" for i in range(400))]
    from trueline.algos.stats.clustered import rate_bounds

    assert rate_bounds(values, clusters).upper > 0.07
    assert paired_bounds(values, clusters).upper > 0.07
