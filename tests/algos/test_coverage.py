"""A part of `labs.coverage` in every run of the tests: no bound misses too often at its margin; and the simulator itself can find a bound that does."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest

from labs import coverage_bounds, coverage_tests
from labs.coverage import BEGIN, END, key_of, limit, measured, put, shown, table
from labs.coverage_bounds import Cell, Measured, exact_pairs, pairs, rate
from labs.coverage_worlds import by_family, sizes_of, uniform
from trueline.algos.stats.clustered import rate_bounds, rate_limits
from trueline.algos.stats.paired import paired_bounds, paired_limits

CELLS = {f"{c.group}: {c.what}": c for c in [*coverage_bounds.cells(), *coverage_tests.cells()]}
FAST = (
    "exact bound of a rate: n 60, worst rate",
    "rate in families: n 10, families of 1, correlation 0, rate 0.3",
    "rate in families: n 300, families of 5, correlation 1, rate 0.05",
    "rate in families: n 300, families of 30, correlation 1, rate 0.3",
    "rate in families: n 800, families of skewed, correlation 1, rate 0.1",
    "paired difference: n 60, margin 0.05, worst discordance",
    "paired difference: n 90, margin 0.01, worst discordance",
    "paired difference: n 10, families of 1, correlation 0, discordance 0, worsening 0",
    "paired difference: n 300, families of 5, correlation 0.5, discordance 0.1, worsening 0.05",
    "paired difference: n 300, families of mixed, correlation 1, discordance 0.05, worsening 0.05",
    "paired difference: 20 probes, 5 samples each, worsening 0.05",
    "rate behind a judge: n 300, rate 0.05, Se 0.98, Sp 0.98, 40 labels each",
    "anytime: n 60, families of 1, correlation 0, rate 0.3 against 0.3",
    "anytime: n 500, families of 5, correlation 0.5, worsening 0.05 against 0.05, discordance 0.05",
    "unbroken clause: n 59, families of 1, rate 0.0497, Se 1 of 0 labels",
)


@pytest.mark.parametrize("name", FAST)
def test_one_sided_error_at_the_margin(name: str, tmp_path: Path) -> None:
    row = measured(CELLS[name], min(CELLS[name].runs, 2000), tmp_path)
    assert row["wrong"], "this cell measures no error"
    assert not row["wrong_beyond_noise"], row


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(CELLS) - set(FAST))[::12])  # all of them: `python -m labs.coverage`, a quarter of an hour
def test_every_twelfth_cell(name: str, tmp_path: Path) -> None:
    row = measured(CELLS[name], CELLS[name].runs, tmp_path)
    assert not row["wrong_beyond_noise"], row


@pytest.mark.parametrize("n", [1, 2, 10, 58])
def test_tied_pairs_fewer_than_59_never_pass_five_points(n: int) -> None:
    for asked in (1, 7):
        clusters = [str(i) for i in range(n) for _ in range(asked)]
        assert paired_bounds([0.0] * len(clusters), clusters).upper > 0.05
    found = pairs(n, "1", 0.0, 0.0, 0.0, np.random.default_rng(0), 50)
    assert found.shown["passes 5 points"] == 0


def test_the_simulator_calls_what_the_gate_calls() -> None:
    """Totals of many runs give the very bounds of one run at a time."""
    sizes = sizes_of("mixed", 120)
    clusters = [str(f) for f, size in enumerate(sizes) for _ in range(size)]
    draws = uniform(np.random.default_rng(1), 5, sizes, 0.5)
    failed, d = (draws < 0.2).astype(float), np.where(draws < 0.1, 1.0, np.where(draws > 0.95, -1.0, 0.0))
    low, high, _ = rate_limits(by_family(failed, sizes), 0.95)
    both = paired_limits(by_family(d, sizes), (d > 0).sum(-1).astype(float), (d < 0).sum(-1).astype(float), 0.95)
    for i in range(5):
        one, two = rate_bounds(failed[i].tolist(), clusters), paired_bounds(d[i].tolist(), clusters)
        assert (low[i], high[i]) == (pytest.approx(one.lower), pytest.approx(one.upper))
        assert (both.lower[i], both.upper[i]) == (pytest.approx(two.lower), pytest.approx(two.upper))


def test_draws_of_one_family_agree_as_often_as_told() -> None:
    for together in (0.0, 0.5, 1.0):
        x = uniform(np.random.default_rng(2), 4000, np.array([2, 1]), together)
        assert abs(float((x[:, 0] == x[:, 1]).mean()) - together) < 0.03
        assert not (x[:, 0] == x[:, 2]).any()
    for kind in ("1", "5", "30", "mixed", "skewed"):
        assert sizes_of(kind, 800).sum() == 800


def wald(n: int, p: float, rng: np.random.Generator, runs: int) -> Measured:
    """The bound that must not be used."""
    rate = rng.binomial(n, p, runs) / n
    return Measured({"above": float((rate + 1.645 * np.sqrt(rate * (1 - rate) / n) < p).mean())}, {}, runs)


def test_a_bound_that_misses_is_called_so_and_a_measured_cell_is_not_measured_again(tmp_path: Path) -> None:
    cell = Cell("Wald", "n 60, rate 0.05", partial(wald, 60, 0.05), 500, ("binomial",))
    row = measured(cell, 500, tmp_path)
    assert row["wrong_beyond_noise"] == ["above"]
    assert row["runs"] == 2500, "what looks wrong is looked at again with more runs"
    assert "**above**" in table([row])
    assert "n 60, rate 0.05" in shown([row])

    def broken(rng: np.random.Generator, runs: int) -> Measured:
        raise AssertionError("measured again")

    again = Cell("Wald", "n 60, rate 0.05", broken, 500, ("binomial",))
    assert measured(again, 500, tmp_path) == row
    assert key_of(again, 500) != key_of(Cell("Wald", "n 60, rate 0.05", broken, 500, ("paired",)), 500), "another source, another cell"


def test_the_table_goes_between_its_marks(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    put(page, "new")
    assert page.read_text() == f"before\n{BEGIN}\n\nnew\n\n{END}\nafter\n"


def test_limits() -> None:
    assert limit(0.05, 2000) == pytest.approx(0.05 + 3 * (0.05 * 0.95 / 2000) ** 0.5)
    assert limit(0.05, 0) == pytest.approx(0.05)
    assert rate(10, "1", 0.0, 0.0, np.random.default_rng(0), 10).wrong == {"below": 0.0, "above": 0.0}
    tiny = exact_pairs(10, 0.05, np.random.default_rng(0), 0)
    assert tiny.wrong["PASS at the margin"] < 0.005
    assert max(tiny.shown[f"power at {d} % discordance"] for d in (2, 10)) < 1e-5, "ten pairs show nothing"
