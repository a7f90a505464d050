"""The bound of an impact ratio: by hand, by its own equation, by properties, and by simulation of its error."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import stdtrit

from trueline.algos.stats.impact import ImpactRatio, families_to_show, impact_ratio, ratio_lower
from trueline.errors import DataError


def two(here: list[float], there: list[float], family: int = 1) -> ImpactRatio:
    pairs = [(a, b, str(i // family)) for i, (a, b) in enumerate(zip(here, there, strict=True))]
    swapped = [(b, a, c) for a, b, c in pairs]
    return impact_ratio({("a", "b"): pairs, ("b", "a"): swapped}, {"a": sum(here) / len(here), "b": sum(there) / len(there)})


def test_pairs_that_all_agree_are_worth_their_number() -> None:
    # of n favoured families none lost its yes: 0.05^(1/n), exact; 14 families are the fewest that show 0.8, and noes show nothing
    assert two([1.0] * 20, [1.0] * 20).lower == pytest.approx(0.05 ** (1 / 20))
    assert two([1.0] * 14, [1.0] * 14).lower >= 0.8 > two([1.0] * 13, [1.0] * 13).lower
    found = two([1.0] * 20 + [0.0] * 200, [1.0] * 20 + [0.0] * 200)
    assert (found.ratio, found.lower, found.upper) == (1.0, pytest.approx(0.05 ** (1 / 20), abs=0.01), 1.0)


def test_by_its_own_equation() -> None:
    # at the bound mean(here - r there) is t standard errors above 0, with the unseen family (no here, yes there) among the data
    here, there = [1.0] * 30 + [0.0] * 10 + [1.0] * 2 + [0.0] * 4, [1.0] * 30 + [0.0] * 10 + [0.0] * 2 + [1.0] * 4
    bound = ratio_lower([(a, b, str(i)) for i, (a, b) in enumerate(zip(here, there, strict=True))])
    d = [a - bound * b for a, b in zip([*here, 0.0], [*there, 1.0], strict=True)]
    mean = sum(d) / 47
    error = math.sqrt(sum((x - mean) ** 2 for x in d) * 47 / 46) / 47
    assert mean / error == pytest.approx(float(stdtrit(46, 0.95)))
    assert bound < 32 / 34


def test_a_group_that_never_gets_a_yes_misses_the_rule_at_once() -> None:
    found = two([0.0] * 12, [1.0] * 12)
    assert (found.ratio, found.lower, found.lowest, found.highest) == (0.0, 0.0, "a", "b")
    assert found.upper < 0.5
    assert two([0.0] * 4, [1.0] * 4).upper > 0.8  # four pairs prove nothing


def test_nobody_got_a_yes() -> None:
    assert two([0.0] * 9, [0.0] * 9) == ImpactRatio(None, 0.0, 1.0, "a", "a")
    with pytest.raises(DataError, match="insufficient evidence"):
        ratio_lower([])


def test_a_pair_asked_again_is_no_new_pair() -> None:
    here, there = [1.0] * 9 + [0.0] * 3, [1.0] * 8 + [0.0] * 2 + [1.0] * 2
    once, often = two(here, there), two([a for a in here for _ in range(10)], [b for b in there for _ in range(10)], 10)
    assert (often.lower, often.upper) == (pytest.approx(once.lower), pytest.approx(once.upper))


def test_the_worst_of_three_groups_counts() -> None:
    yes = {"a": [1.0] * 40, "b": [1.0] * 39 + [0.0], "c": [1.0] * 20 + [0.0] * 20}
    matched = {(g, h): [(x, y, str(i)) for i, (x, y) in enumerate(zip(yes[g], yes[h], strict=True))] for g in yes for h in yes if g != h}
    found = impact_ratio(matched, {g: sum(v) / 40 for g, v in yes.items()})
    assert (found.ratio, found.lowest, found.highest) == (0.5, "c", "a")
    assert found.lower == min(ratio_lower(matched["c", "a"]), ratio_lower(matched["c", "b"]))
    # one of six orders suffices for the upper bound, so each has a sixth of the error
    assert found.upper == pytest.approx(1 / max(ratio_lower(matched["a", "c"], 1 - 0.05 / 6), ratio_lower(matched["b", "c"], 1 - 0.05 / 6)))
    assert found.upper < 0.8


def test_how_many_more_families_would_show_it() -> None:
    def needed(*pairs: tuple[float, float]) -> int | None:
        both = [(a, b, str(i)) for i, (a, b) in enumerate(pairs)]
        return families_to_show({("a", "b"): both, ("b", "a"): [(b, a, c) for a, b, c in both]}, 0.8)

    assert needed(*[(1.0, 1.0)] * 14) == 0
    assert needed(*[(1.0, 1.0)] * 10) == 4
    one_lost = needed(*[(1.0, 1.0)] * 10, (0.0, 1.0))
    assert one_lost is not None
    more = [(1.0, 1.0, f"m{i}") for i in range(one_lost)]
    lost = [*((1.0, 1.0, str(i)) for i in range(10)), (0.0, 1.0, "x")]
    assert ratio_lower([*lost, *more]) >= 0.8 > ratio_lower([*lost, *more[1:]])
    assert families_to_show({("a", "b"): [], ("b", "a"): []}, 0.8) is None


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([0.0, 1.0]), st.sampled_from([0.0, 1.0])), min_size=1, max_size=60), st.integers(1, 12))
def test_bounds_hold_the_ratio_and_do_not_depend_on_order_or_names(values: list[tuple[float, float]], groups: int) -> None:
    pairs = [(a, b, str(i % groups)) for i, (a, b) in enumerate(values)]
    swapped, n = [(b, a, c) for a, b, c in pairs], len(pairs)
    rates = {"a": sum(a for a, _, _ in pairs) / n, "b": sum(b for _, b, _ in pairs) / n}
    found = impact_ratio({("a", "b"): pairs, ("b", "a"): swapped}, rates)
    assert 0 <= found.lower <= found.upper <= 1
    assert found.ratio is None or found.lower <= found.ratio <= found.upper
    named = impact_ratio({("b", "a"): pairs[::-1], ("a", "b"): swapped[::-1]}, {"b": rates["a"], "a": rates["b"]})
    assert (named.lower, named.upper) == (pytest.approx(found.lower), pytest.approx(found.upper))


@pytest.mark.parametrize(
    ("families", "size", "rate", "ratio", "both_ways", "together"),
    [(16, 1, 0.6, 0.8, 0.0, 0.0), (23, 3, 1.0, 0.8, 0.0, 1.0), (60, 1, 1.0, 0.5, 0.0, 0.0), (60, 1, 0.6, 1.0, 0.1, 0.0), (40, 3, 0.6, 0.8, 0.1, 0.3)],
)  # fmt: skip
def test_each_bound_misses_in_at_most_five_runs_of_a_hundred(
    families: int, size: int, rate: float, ratio: float, both_ways: float, together: float
) -> None:
    """600 runs. `rate`: of the favoured group; `both_ways`: share of the others' yes that the favoured did not get; `together`: share of
    families whose wordings fall as one."""
    runs, missed = 600, [0, 0]
    source = np.random.default_rng(11)
    other = rate * ratio
    reverse = other * both_ways
    edges = np.cumsum([other - reverse, reverse, rate - other + reverse])  # both yes, only the other, only the favoured
    clusters = [str(i // size) for i in range(families * size)]
    for _ in range(runs):
        joined = np.repeat(source.random(families) < together, size)
        draw = np.where(joined, np.repeat(source.random(families), size), source.random(families * size))
        kind = np.searchsorted(edges, draw, side="right")
        a, b = (kind <= 1).astype(float), ((kind == 0) | (kind == 2)).astype(float)
        pairs = list(zip(a.tolist(), b.tolist(), clusters, strict=True))
        found = impact_ratio(
            {("a", "b"): pairs, ("b", "a"): [(y, x, c) for x, y, c in pairs]}, {"a": float(a.mean()), "b": float(b.mean())}
        )
        missed[0] += found.lower > ratio
        missed[1] += found.upper < ratio
    assert max(missed) / runs <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / runs)
