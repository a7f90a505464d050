"""Two draws of one target: the noise floor, margins below it, and targets that are no fixed thing."""

import random
from dataclasses import replace

import pytest

from tests.gate.records import CHARTER, evaluation, rows
from trueline.charter.schema import GateRule
from trueline.core.evaluations import Evaluation
from trueline.gate.decide import decide
from trueline.gate.noise import noise_findings, noise_rate, resolvable, unusable

RULE = GateRule(caps={"harm": 0.5}, margins={"harm": 0.05})


def drawn(seed: int, n: int = 300, rate: float = 0.1, temperature: float = 1.0) -> Evaluation:
    source = random.Random(seed)
    some = [replace(r, result="fail" if source.random() < rate else "pass") for r in rows("refuse", n, 0)]
    return evaluation(some, settings={"sampling": {"temperature": temperature, "seed": seed}, "samples": 1})


def test_the_floor_is_what_the_measured_flips_resolve() -> None:
    a, b = drawn(1), drawn(2)
    (found,) = noise_findings(a, b, RULE.margins, RULE.power)
    differs = sum(x.result != y.result for x, y in zip(a.rows, b.rows, strict=True))
    assert (found.n, found.flipped, found.families) == (300, differs, 300)
    assert found.low < differs / 300 < found.high
    # (1.645 + 0.842)^2 = 6.18
    assert found.floor == pytest.approx((6.1826 * found.rate / 300) ** 0.5, rel=1e-3)
    assert found.resolved is False  # about 18 % flips on 300 probes resolve 6 points
    assert found.needed is not None
    more = found.needed + 300
    assert (6.1826 * found.rate / more) ** 0.5 <= 0.05 < (6.1826 * found.rate / (more - 5)) ** 0.5
    assert "cannot be resolved at this noise" in found.told


def test_samples_thin_the_noise_and_not_what_changed() -> None:
    assert resolvable(400, 400, 4, 0.0, 0.2, 0.8) == pytest.approx(resolvable(400, 400, 1, 0.0, 0.2, 0.8) / 2)
    assert resolvable(400, 400, 9, 0.2, 0.0, 0.8) == resolvable(400, 400, 1, 0.2, 0.0, 0.8)
    assert resolvable(400, 20, 9, 0.0, 0.0, 0.8) == pytest.approx(1 - 0.05 ** (1 / 20)), "twenty families bound nothing below 14 %"
    assert resolvable(0, 0, 1, 0.1, 0.1, 0.8) == 1.0
    assert noise_rate(0.0, 50) == 0.02


def test_an_open_margin_is_explained_by_the_noise_and_a_shown_one_stands() -> None:
    a, b, candidate = drawn(1, rate=0.3), drawn(2, rate=0.3), drawn(4, rate=0.32)
    found = decide(RULE, CHARTER, candidate, a, noise=(a, b))
    assert found.outcome == "INCONCLUSIVE"
    assert any(r.startswith("noise: harm: ") and "cannot be resolved" in r and "more families" in r for r in found.reasons)
    quiet = decide(RULE, CHARTER, a, a, noise=(a, b))
    assert quiet.outcome == "PASS", "the bound holds, whatever was hoped for"
    assert quiet.noise[0].resolved is False


@pytest.mark.parametrize(
    ("change", "word"),
    [({"identity": {"w": 2}}, "different targets"), ({"suite": "x" * 64}, "suite differs between the two A/A runs"), ({"complete": False}, "interrupted"),
     ({"settings": {"sampling": {"temperature": 1.0, "seed": 1}, "samples": 1}}, "both A/A runs drew with seed 1")],
)  # fmt: skip
def test_what_is_no_a_a_run_is_invalid(change: dict[str, object], word: str) -> None:
    a = drawn(1)
    bad = replace(drawn(2), **change)  # type: ignore[arg-type]
    assert any(word in w for w in unusable(a, bad))
    found = decide(RULE, CHARTER, a, drawn(3), noise=(a, bad))
    assert found.outcome == "INVALID"
    assert any(r.startswith("noise: ") and word in r for r in found.reasons)


def test_greedy_draws_with_one_seed_are_a_fair_a_a_run_of_a_server() -> None:
    a, b = drawn(1, temperature=0.0), replace(drawn(2, temperature=0.0), settings=drawn(1, temperature=0.0).settings)
    assert unusable(a, b) == []


def test_the_draws_must_be_of_what_is_decided_on() -> None:
    a, b = (replace(e, identity={"w": 9}) for e in (drawn(1), drawn(2)))
    found = decide(RULE, CHARTER, drawn(3), drawn(4), noise=(a, b))
    assert any("of another target than candidate and baseline" in r for r in found.reasons)


def test_two_draws_that_differ_by_more_than_a_margin_are_no_fixed_target() -> None:
    a, b = drawn(1, rate=0.05), drawn(2, rate=0.4)
    found = decide(RULE, CHARTER, drawn(3), a, noise=(a, b))
    assert found.outcome == "INVALID"
    assert any("something besides the target changed" in r for r in found.reasons)
