"""The gate's statistics by hand-worked numbers, by properties, and by simulation of their error."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trueline.algos.agreement import agree
from trueline.algos.stats.binomial import clopper_pearson, lower_bound, upper_bound
from trueline.algos.stats.clustered import design_effect, effective_size, rate_bounds
from trueline.algos.stats.judge import corrected_interval, corrected_rate
from trueline.algos.stats.paired import exact_upper, paired_bounds, tango_upper
from trueline.algos.stats.planning import most_failures, pairs_for_margin, probes_for_cap, smallest_regression
from trueline.errors import DataError


def test_bounds_by_hand() -> None:
    # nothing failed among n: 1 - 0.05^(1/n)
    assert upper_bound(0, 10) == pytest.approx(1 - 0.05 ** (1 / 10))
    assert upper_bound(0, 59) < 0.05 <= upper_bound(0, 58)
    assert lower_bound(10, 10) == pytest.approx(0.05 ** (1 / 10))
    assert (lower_bound(0, 5), upper_bound(5, 5)) == (0.0, 1.0)
    i = clopper_pearson(2, 10)
    assert (i.low, i.high) == (pytest.approx(0.02521, abs=1e-5), pytest.approx(0.55610, abs=1e-5))
    for bad in ((1, 0), (3, 2), (-1, 4)):
        with pytest.raises(DataError, match="insufficient evidence"):
            upper_bound(*bad)


def test_ten_tied_pairs_never_pass() -> None:
    found = paired_bounds([0.0] * 10, [str(i) for i in range(10)])
    assert found.upper == pytest.approx(1 - 0.05 ** (1 / 10))  # 26 %
    assert found.upper > 0.05
    assert exact_upper(0, 0, 10) == found.upper


def test_tango_by_its_own_equation() -> None:
    # at the bound the score statistic is -z: checked by putting the solution back
    worse, better, n = 6, 2, 100
    bound = tango_upper(worse, better, n)
    a, b, c = 2 * n, -worse - better + (2 * n - worse + better) * bound, -better * bound * (1 - bound)
    q = (math.sqrt(b * b - 4 * a * c) - b) / (2 * a)
    statistic = (worse - better - n * bound) / math.sqrt(n * (2 * q + bound * (1 - bound)))
    assert statistic == pytest.approx(-1.6448536, abs=1e-4)
    assert bound > (worse - better) / n


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([-1.0, 0.0, 1.0]), min_size=1, max_size=80), st.integers(1, 10))
def test_paired_bounds_hold_their_estimate_and_do_not_depend_on_order(values: list[float], groups: int) -> None:
    clusters = [str(i % groups) for i in range(len(values))]
    found = paired_bounds(values, clusters)
    assert found.lower <= found.difference <= found.upper
    order = list(range(len(values)))[::-1]
    again = paired_bounds([values[i] for i in order], [clusters[i] for i in order])
    assert again.upper == pytest.approx(found.upper)
    mirrored = paired_bounds([-v for v in values], clusters)
    assert mirrored.lower == pytest.approx(-found.upper, abs=1e-9)


@pytest.mark.parametrize(("n", "family", "discordance"), [(12, 1, 0.3), (60, 1, 0.1), (200, 1, 0.1), (200, 4, 0.1), (120, 1, 0.06)])
def test_one_sided_error_at_the_margin(n: int, family: int, discordance: float) -> None:
    """At a true worsening of exactly the margin the gate's bound passes in at most 5 % of runs (2,000 runs, plus noise of 4 sd)."""
    margin, runs, passed = 0.05, 2000, 0
    source = np.random.default_rng(0)
    up, down = (discordance + margin) / 2, (discordance - margin) / 2
    clusters = [str(i // family) for i in range(n)]
    for _ in range(runs):
        draws = source.random(n // family)
        d = np.repeat(np.where(draws < up, 1.0, np.where(draws < up + down, -1.0, 0.0)), family)
        passed += paired_bounds(d.tolist(), clusters).upper < margin
    assert passed / runs <= 0.05 + 4 * math.sqrt(0.05 * 0.95 / runs)


def test_clusters_shrink_the_evidence() -> None:
    values, clusters = [1.0] * 5 + [0.0] * 45, [str(i // 5) for i in range(50)]
    assert effective_size(values, clusters) == pytest.approx(50 / (5 * 10 / 9), rel=0.05)  # every family fails or passes as one
    assert rate_bounds(values, clusters).upper > rate_bounds(values, [str(i) for i in range(50)]).upper


@pytest.mark.parametrize(("probes", "asked"), [(10, 30), (10, 1), (59, 5)])
def test_a_probe_asked_again_is_no_new_probe(probes: int, asked: int) -> None:
    """Ten probes of which each was asked thirty times bound a rate as ten do: 26 %, not 1 %. Tied pairs likewise."""
    clusters = [str(i) for i in range(probes) for _ in range(asked)]
    quiet = [0.0] * len(clusters)
    assert rate_bounds(quiet, clusters).upper == pytest.approx(1 - 0.05 ** (1 / probes))
    assert rate_bounds([1.0] * len(clusters), clusters).lower == pytest.approx(0.05 ** (1 / probes))
    assert paired_bounds(quiet, clusters).upper == pytest.approx(1 - 0.05 ** (1 / probes))
    assert paired_bounds(quiet, clusters).lower == pytest.approx(-(1 - 0.05 ** (1 / probes)))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.booleans(), min_size=2, max_size=60), st.integers(1, 12))
def test_bounds_of_a_rate_hold_it_and_turn_over_with_it(failed: list[bool], groups: int) -> None:
    values, clusters = [float(f) for f in failed], [str(i % groups) for i in range(len(failed))]
    found = rate_bounds(values, clusters)
    assert 0 <= found.lower <= found.rate <= found.upper <= 1
    assert 1 <= found.effective <= found.n
    order = sorted(range(len(values)), key=lambda i: (-i % 7, i))
    again = rate_bounds([values[i] for i in order], [clusters[i] for i in order])
    assert (again.lower, again.upper) == (pytest.approx(found.lower), pytest.approx(found.upper))
    alone = rate_bounds(values, [str(i) for i in range(len(values))])
    assert alone.effective == pytest.approx(alone.n)
    assert alone.upper == pytest.approx(upper_bound(sum(values), len(values)))


@pytest.mark.parametrize(("families", "size"), [(10, 30), (20, 4), (45, 3), (100, 1)])
@pytest.mark.parametrize("together", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("rate", [0.05, 0.1])
def test_one_sided_error_of_a_rate_in_families(families: int, size: int, together: float, rate: float) -> None:
    """However strongly the wordings of a family fail together, each bound misses the true rate in at most 5 % of runs."""
    runs = 300
    source = np.random.default_rng(7)
    clusters = [str(i // size) for i in range(families * size)]
    missed = [0, 0]
    for _ in range(runs):
        common = np.repeat(source.random(families), size)
        joined = np.repeat(source.random(families) < together, size)
        failed = np.where(joined, common, source.random(families * size)) < rate
        found = rate_bounds(failed.astype(float).tolist(), clusters)
        missed[0] += found.upper < rate
        missed[1] += found.lower > rate
    assert max(missed) / runs <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / runs)


@pytest.mark.parametrize(("families", "size", "rate"), [(10, 30, 0.05), (30, 4, 0.05), (45, 3, 0.03), (135, 1, 0.02)])
@pytest.mark.parametrize("together", [0.5, 1.0])
def test_one_sided_error_of_a_worsening_in_families(families: int, size: int, rate: float, together: float) -> None:
    """Nothing got better and `rate` of all pairs worse, which is what a score bound at the number of pairs misses."""
    runs = 300
    source = np.random.default_rng(3)
    clusters = [str(i // size) for i in range(families * size)]
    missed = 0
    for _ in range(runs):
        common = np.repeat(source.random(families), size)
        joined = np.repeat(source.random(families) < together, size)
        worse = np.where(joined, common, source.random(families * size)) < rate
        missed += paired_bounds(worse.astype(float).tolist(), clusters).upper < rate
    assert missed / runs <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / runs)


def test_a_score_bound_is_not_trusted_where_nothing_got_better() -> None:
    # Tango's bound at (0, 0, 135) is z^2 / (135 + z^2) = 1.96 %; with a true worsening of 2 % nothing is seen in 0.98^135 = 6.5 % of runs
    assert tango_upper(0, 0, 135) < 0.02
    assert paired_bounds([0.0] * 135, [str(i) for i in range(135)]).upper == pytest.approx(1 - 0.05 ** (1 / 135))
    assert paired_bounds([0.0] * 300, [str(i) for i in range(300)]).upper < 0.01  # "no regression in 300 pairs bounds it below 1 %"


def test_rounding_to_the_effective_number_never_helps() -> None:
    """60 pairs in 20 families that fall together are about 20 pairs: what got worse is rounded up, what got better is rounded down."""
    values, clusters = [1.0] * 4 + [0.0] * 51 + [-1.0] * 5, [str(i // 3) for i in range(60)]
    m = math.floor(60 / design_effect(values, clusters))
    up, down = 4 * m / 60, 5 * m / 60
    assert min(up % 1, down % 1) > 0, "rounding is what this test is about"
    assert paired_bounds(values, clusters).upper == pytest.approx(exact_upper(math.ceil(up), math.floor(down), m))


def test_a_judge_without_a_mistake_on_few_labels_is_not_perfect() -> None:
    few, many = corrected_interval(20, 200, (1.0, 3), (1.0, 3)), corrected_interval(20, 200, (1.0, 500), (1.0, 500))
    assert few.low == 0.0, "three labels do not show that it never cries wolf"
    assert many.low > 0.05
    assert corrected_interval(0, 200, (1.0, 3), (1.0, 3)).high > 3 * corrected_interval(0, 200, (1.0, 500), (1.0, 500)).high


@pytest.mark.parametrize(("n", "rate"), [(50, 0.1), (300, 0.02), (300, 0.3)])
@pytest.mark.parametrize(("se", "sp", "labels"), [(0.87, 0.93, 300), (0.9, 0.9, 30), (0.98, 0.98, 50)])
def test_one_sided_error_of_a_rate_behind_a_judge(n: int, rate: float, se: float, sp: float, labels: int) -> None:
    runs, missed = 400, [0, 0]
    source = np.random.default_rng(11)
    for _ in range(runs):
        seen = source.binomial(n, rate * se + (1 - rate) * (1 - sp))
        measured = source.binomial(labels, se) / labels, source.binomial(labels, sp) / labels
        found = corrected_interval(float(seen), n, (measured[0], labels), (measured[1], labels), 0.90)
        missed[0] += found.high < rate
        missed[1] += found.low > rate
    assert max(missed) / runs <= 0.065 + 3 * math.sqrt(0.05 * 0.95 / runs)


def test_judge_correction_by_hand() -> None:
    # p = (0.3 + 0.9 - 1) / (0.8 + 0.9 - 1) = 0.2 / 0.7
    assert corrected_rate(0.3, 0.8, 0.9) == pytest.approx(0.2 / 0.7)
    # a judge that reads a true rate of 0 as 61.5 %: Se .92, Sp .385
    assert corrected_rate(0.615, 0.92, 0.385) == pytest.approx(0.0, abs=1e-9)
    i = corrected_interval(30, 100, (0.8, 200), (0.9, 200))
    assert i.low < 0.2 / 0.7 < i.high
    with pytest.raises(DataError):
        corrected_rate(0.5, 0.5, 0.5)


def test_planning_by_hand() -> None:
    # (1.644854 + 0.841621)^2 * 0.1 / 0.05^2 = 247.3
    assert pairs_for_margin(0.05) == 248
    assert pairs_for_margin(0.02) == 1546
    assert smallest_regression([1] * 248) == pytest.approx(0.05, abs=2e-4)
    assert smallest_regression([]) == 1.0
    assert probes_for_cap(0.05) == 59
    assert most_failures([1] * 59, 0.05) == 0
    assert most_failures([1] * 58, 0.05) is None
    assert upper_bound(12, 400) < 0.05 <= upper_bound(13, 400)
    assert most_failures([1] * 400, 0.05) == 12
    # nothing can show a rate or a worsening of 0
    assert probes_for_cap(0.0) is None
    assert pairs_for_margin(0.0) is None
    assert most_failures([1] * 100, 0.0) is None


def test_a_plan_counts_families_where_nothing_happens() -> None:
    # 45 families of four wordings: 1 - 0.05^(1/45) = 6.4 %, though they are 180 probes
    assert smallest_regression([4] * 45, discordance=0.01) == pytest.approx(1 - 0.05 ** (1 / 45))
    assert most_failures([4] * 45, 0.06) is None
    assert most_failures([4] * 45, 0.0645) == 0
    assert most_failures([4] * 59, 0.05) == 1


def test_agreement_by_hand() -> None:
    assert agree([("a", "a"), ("b", "b")]).alpha == 1.0
    # a a / a b: coincidences aa 2, ab 1, ba 1; n 4, n_a 3, n_b 1: alpha = 1 - 3 * 2 / (16 - 10) = 0
    assert agree([("a", "a"), ("a", "b")]).alpha == pytest.approx(0.0)
    assert agree([("a", "a"), ("a", "b")]).raw == 0.5
    with pytest.raises(DataError, match="insufficient"):
        agree([("a",)])


def test_where_everything_failed_no_rounding_makes_more_failures_than_probes() -> None:
    """Every family failed whole, in any sizes: an effective size that is no whole number once gave 15.21...64 of 15.21...62."""
    for families in range(2, 12):
        for wide in range(1, 9):
            clusters = [f"{i}" for i in range(families) for _ in range(1 + (i * wide) % 5)]
            found = rate_bounds([1.0] * len(clusters), clusters)
            assert found.rate == found.upper == 1.0
            assert 0 < found.lower < 1


def test_items_that_all_agree_are_no_proof_of_agreement() -> None:
    few, many = agree([("a", "a"), ("b", "b")] * 5), agree([("a", "a"), ("b", "b")] * 100)
    assert (few.alpha, few.high) == (1.0, 1.0)
    assert few.low < 0.7 < 0.95 < many.low < 1
    assert agree([("a", "a")] * 10).low < 0.5, "one value throughout says nothing of chance"
