"""Propositions have the values their table says; the fitted weights are the optimum, by brute force, by subgradient and by another solver."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import lsq_linear, minimize

from trueline.algos import rules
from trueline.algos.rule_weights import Fit, fitted_weights
from trueline.algos.rules import PROPOSITIONS, proposition
from trueline.charter.turns import Message
from trueline.errors import RunFileError, TrainingError

ASKED = (Message("system", "Be kind."), Message("user", "Where is the nearest branch of the bank?"))
USED: dict[str, dict[str, Any]] = {
    "contains": {"phrases": ("sorry", "I apologise")},
    "starts_with": {"phrases": ("Sorry", "No.")},
    "matches": {"pattern": r"\b\d{4}\b"},
    "words_at_most": {"words": 4},
    "words_at_least": {"words": 4},
}


@pytest.mark.parametrize(
    ("name", "reply", "value"),
    [
        ("contains", "I am SORRY about that", 1.0),
        ("contains", "i  apologise", 1.0),
        ("contains", "I am ѕorry", 1.0),  # a Cyrillic letter that looks like s
        ("contains", "no", 0.0),
        ("starts_with", "  sorry, no", 1.0),
        ("starts_with", "I am sorry", 0.0),
        ("starts_with", "no way", 0.0),
        ("starts_with", "", 0.0),
        ("matches", "It is 1234.", 1.0),
        ("matches", "It is 12345.", 0.0),
        ("words_at_most", "one two three four", 1.0),
        ("words_at_most", "one two three four five", 0.5),  # (1.5 x 4 - 5) / (0.5 x 4)
        ("words_at_most", "one two three four five six", 0.0),
        ("words_at_most", "1 2 3 4 5 6 7 8", 0.0),
        ("words_at_most", "", 1.0),
        ("words_at_least", "it's one", 0.5),
        ("words_at_least", "東京です。", 1.0),  # four characters, each a word
        ("words_at_least", "a b c d e f", 1.0),
        ("ends_whole", 'He said "No." ', 1.0),
        ("ends_whole", "東京です。", 1.0),
        ("ends_whole", "and then the", 0.0),
        ("ends_whole", "", 0.0),
        ("repeats", "a b c a b c", 0.25),  # abc bca cab abc: one of four was there
        ("repeats", "No no no no no", 2 / 3),  # three times the same
        ("repeats", "a b", 0.0),
        ("copies_prompt", "The nearest branch of the bank is here", 0.5),  # tnbot? yes, nbotb yes, botbi no, otbih no
        ("copies_prompt", "The nearest branch", 0.0),
        ("same_script", "By the river", 1.0),
        ("same_script", "да no", 0.5),
        ("same_script", "𝐁𝐨𝐥𝐝", 1.0),
        ("same_script", "123", 1.0),
    ],
)
def test_values(name: str, reply: str, value: float) -> None:
    assert proposition(name, USED.get(name, {}))(ASKED, reply) == pytest.approx(value)


def test_scripts_that_are_asked_in_may_answer() -> None:
    of = proposition("same_script", {})
    assert of((Message("user", "Was heißt привет?"),), "Hallo привет") == 1
    assert of((Message("user", "東京"),), "ひらがな カタカナ") == 1
    assert of((Message("user", "?"),), "hello") == 1
    assert of((Message("user", "привет"), Message("assistant", "hello"), Message("user", "well")), "привет") == 0


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=80), st.text(max_size=80))
def test_every_value_lies_in_the_unit_interval(asked: str, reply: str) -> None:
    for name in PROPOSITIONS:
        assert 0 <= proposition(name, USED.get(name, {}))((Message("user", asked),), reply) <= 1, name


@pytest.mark.parametrize("name", list(PROPOSITIONS))
def test_options_are_those_of_the_table(name: str) -> None:
    assert set(USED.get(name, {})) == set(PROPOSITIONS[name].uses)
    for option, value in {"phrases": ("a",), "pattern": "a", "words": 3}.items():
        if option not in PROPOSITIONS[name].uses:
            with pytest.raises(RunFileError, match=f"{option} has no effect on {name}; remove it, or use"):
                proposition(name, {**USED.get(name, {}), option: value})
        else:
            with pytest.raises(RunFileError, match=f"{name} needs {option}"):
                proposition(name, {})


@pytest.mark.parametrize(
    ("name", "options", "word"),
    [
        ("polite", {}, "unknown proposition 'polite', expected one of contains"),
        ("contains", {"phrase": "a"}, "unknown option 'phrase'"),
        ("contains", {"phrases": ("a", " \u200b")}, "nothing to find"),
        ("matches", {"pattern": "(a"}, "is not valid: missing \\)"),
        ("matches", {"pattern": "a" * 1001}, "1001 characters"),
        ("words_at_most", {"words": -2}, "at least 1, got -2"),
    ],
)
def test_mistakes(name: str, options: dict[str, Any], word: str) -> None:
    with pytest.raises(RunFileError, match=word):
        proposition(name, options)


def test_a_pattern_reads_the_first_characters_and_cannot_hold_up_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    of = proposition("matches", {"pattern": "end"})
    assert of((), "x" * (rules.CAP - 3) + "end") == 1
    assert of((), "x" * (rules.CAP - 2) + "end") == 0
    monkeypatch.setattr(rules, "SLOWEST", 0.05)
    with pytest.raises(TrainingError, match=r"takes more than 0\.05 s on a reply of 4001 characters"):
        proposition("matches", {"pattern": "(a+)+$"})((), "a" * 3999 + "!!")


# --- the fit ---


def pairs(n: int, k: int, seed: int, steps: bool = False) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    source = np.random.default_rng(seed)
    phi = source.random((n, 2, k))
    return source.normal(size=(n, 2)), phi.round() if steps else phi, source.random(n) + 0.1


def objective(base: np.ndarray, phi: np.ndarray, v: np.ndarray, ridge: float, margin: float = 1.0) -> Callable[[np.ndarray], float]:
    d, x, share = base[:, 0] - base[:, 1], phi[:, 0] - phi[:, 1], v / v.sum()
    return lambda w: float(share @ np.maximum(0, margin - d - x @ np.asarray(w)) + ridge / 2 * np.sum(np.square(w)))


def test_one_pair_by_hand() -> None:
    """max(0, 1 - (0.25 + w)) + ridge/2 w^2: at ridge 2 the slope -1 + 2 w is 0 at w = 1/2, before the knot at 3/4; at ridge 1 it is still
    below 0 at the knot, and above it there is only the ridge: w = 3/4."""
    base, phi = np.array([[0.25, 0.0]]), np.array([[[1.0], [0.0]]])
    assert fitted_weights(base, phi, ridge=2.0).weights == pytest.approx((0.5,), abs=1e-8)
    fit = fitted_weights(base, phi, ridge=1.0)
    assert fit.weights == pytest.approx((0.75,), abs=1e-8)
    assert (fit.hinge_before, fit.hinge_after) == pytest.approx((0.75, 0.0), abs=1e-8)
    assert (fit.accuracy_before, fit.accuracy_after, fit.n) == (1.0, 1.0, 1)
    assert fitted_weights(base, phi, margin=0.2, ridge=1.0).weights == pytest.approx((0.0,), abs=1e-6), "already ahead by the margin"


def test_a_weight_turns_a_wrong_order_and_a_tie_is_wrong() -> None:
    """Base: one right by 1/2, one wrong by 1/2, one tie; phi says which is better each time."""
    base = np.array([[0.5, 0.0], [0.0, 0.5], [0.0, 0.0]])
    fit = fitted_weights(base, np.array([[[1.0], [0.0]]] * 3), ridge=1e-3)
    assert (fit.accuracy_before, fit.accuracy_after) == (1 / 3, 1.0)
    assert fit.hinge_before == pytest.approx((0.5 + 1.5 + 1.0) / 3)
    assert fit.weights == pytest.approx((1.5,), abs=1e-6)  # the knot of the wrong pair: below it the slope is -1/3 + 0.0015


@pytest.mark.parametrize(("n", "k", "seed", "ridge"), [(1, 1, 0, 0.3), (7, 1, 1, 0.01), (40, 2, 2, 0.01), (200, 2, 3, 1e-3)])
def test_no_point_of_a_grid_is_better(n: int, k: int, seed: int, ridge: float) -> None:
    base, phi, v = pairs(n, k, seed)
    fit = fitted_weights(base, phi, ridge=ridge, weights=v)
    value = objective(base, phi, v, ridge)
    best = value(np.array(fit.weights))
    for width, points in ((10.0, 41), (0.1, 41), (1e-3, 21)):
        axes = [np.linspace(w - width, w + width, points) for w in fit.weights]
        found = min(value(np.array(at)) for at in np.array(np.meshgrid(*axes)).reshape(k, -1).T)
        assert found >= best - 1e-9
    assert fit.gap <= 1e-9


@pytest.mark.parametrize(("n", "k", "steps"), [(30, 1, True), (300, 3, False), (300, 3, True), (1500, 8, False)])
def test_zero_is_a_subgradient(n: int, k: int, steps: bool) -> None:
    """ridge w = sum of a_n x_n with a_n = v_n below the margin, 0 above it, and anything between at the knot (steps: many pairs there)."""
    base, phi, v = pairs(n, k, n + k, steps)
    if steps:
        base, v = base.round(), np.ones(n)
    w = np.array(fitted_weights(base, phi, ridge=0.01, weights=v).weights)
    d, x, share = base[:, 0] - base[:, 1], phi[:, 0] - phi[:, 1], v / v.sum()
    left = 1 - d - x @ w
    knot = np.abs(left) < 1e-5
    rest = 0.01 * w - x.T @ (share * ((left > 0) & ~knot))
    if knot.any():
        rest = rest - x[knot].T @ lsq_linear(x[knot].T, rest, (0, share[knot]), tol=1e-14).x
    assert np.abs(rest).max() < 1e-6


def test_another_solver_of_the_dual_agrees() -> None:
    base, phi, v = pairs(150, 4, 9)
    d, x, share = base[:, 0] - base[:, 1], phi[:, 0] - phi[:, 1], v / v.sum()

    def dual(a: np.ndarray) -> tuple[float, np.ndarray]:
        u = x.T @ a
        return float(u @ u / 0.2 - a @ (1 - d)), x @ u / 0.1 - (1 - d)

    bounds = [(0.0, c) for c in share]
    a = minimize(dual, share / 2, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 20_000, "ftol": 1e-15, "gtol": 1e-10}).x
    assert fitted_weights(base, phi, ridge=0.1, weights=v).weights == pytest.approx(tuple(x.T @ a / 0.1), abs=1e-4)


def close(a: Fit, b: Fit) -> bool:
    return np.allclose(a.weights, b.weights, atol=1e-5) and np.isclose(a.hinge_after, b.hinge_after, atol=1e-6)


def test_order_weights_and_shifts() -> None:
    """The order of pairs is free; weight 2 is the pair twice; weight 0 is no pair; an offset of a prompt's rewards changes nothing."""
    base, phi, _ = pairs(60, 3, 4)
    fit, order = fitted_weights(base, phi), np.random.default_rng(0).permutation(60)
    assert close(fit, fitted_weights(base[order], phi[order]))
    assert close(fit, fitted_weights(base + np.arange(60.0)[:, None], phi))
    twice = np.concatenate([np.arange(60), np.arange(20)])
    v = np.where(np.arange(60) < 20, 2.0, 1.0)
    assert close(fitted_weights(base[twice], phi[twice]), fitted_weights(base, phi, weights=v))
    assert close(fitted_weights(base[:40], phi[:40]), fitted_weights(base, phi, weights=np.arange(60) < 40))
    assert fit == fitted_weights(base, phi), "the same numbers give the same fit"


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_scale_of_the_reward(scale: float) -> None:
    """Reward and margin x s, ridge / s: weights x s."""
    base, phi, _ = pairs(50, 2, 5)
    w = np.array(fitted_weights(base, phi, ridge=0.05).weights)
    scaled = fitted_weights(base * scale, phi, margin=scale, ridge=0.05 / scale)
    assert np.array(scaled.weights) / scale == pytest.approx(w, rel=1e-9)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"base": np.zeros((0, 2)), "phi": np.zeros((0, 2, 1))}, "no pairs"),
        ({"base": np.zeros((3, 1))}, r"shapes do not fit: base \(3, 1\)"),
        ({"phi": np.zeros((3, 2, 0))}, "k at least 1"),
        ({"base": np.array([[0, 0], [0, np.nan], [0, 0.0]])}, "base of pair 2 is not finite"),
        ({"weights": np.array([1, 1, -1.0])}, "weights from -1"),
        ({"weights": np.zeros(3)}, "sum 0"),
        ({"margin": 0.0}, "margin must be"),
        ({"ridge": 0.0}, "ridge must be"),
        ({"ridge": float("nan")}, "ridge must be"),
    ],
)
def test_what_cannot_be_fitted(change: dict[str, Any], word: str) -> None:
    with pytest.raises(TrainingError, match=word):
        fitted_weights(**{"base": np.zeros((3, 2)), "phi": np.ones((3, 2, 1)), **change})
