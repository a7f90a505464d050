"""Reward over-optimisation: the laws of gold reward against distance, and when measurements say that a run must stop.

Distances are d = sqrt(KL to the starting model), KL in nats. Laws: Gao, Schulman & Hilton (2210.10760). The stop decision is a sequence
of paired tests, corrected at once for the looks and for the choice of the best earlier value; see `judged`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from trueline.algos.stats.length_bias import length_correlation
from trueline.errors import DataError, RunFileError

Kind = Literal["rl", "best_of_n"]
Reason = Literal["none", "over-optimisation", "kl budget"]
FEWEST_PROMPTS = 16  # below, bounds by Student's t at the levels needed here say nothing
ROUNDING = 1e-9  # of the largest reward: a fall below this is arithmetic
Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Law:
    """A fitted law. alpha, beta with standard errors (reward per unit of d; they take the residuals as independent); r2: share of the
    variance of the gains explained, below 0 where their mean fits better, None where all gains are equal; n: points with d > 0.

    peak: the d at which the fitted gain is largest, None where it never turns; furthest: largest measured d. A peak
    beyond `furthest` is an extrapolation."""

    kind: Kind
    alpha: float
    beta: float
    alpha_error: float
    beta_error: float
    r2: float | None
    n: int
    peak: float | None
    furthest: float

    def gain(self, d: float) -> float:
        """The fitted gain at distance d >= 0; 0 at 0. Raises `DataError` for d below 0."""
        if not d >= 0:
            raise DataError(f"distance {d}, expected at least 0", remedy="give the square root of the KL")
        return 0.0 if d == 0 else d * (self.alpha - self.beta * float(_bend(self.kind, np.array(d))))


def _bend(kind: Kind, d: Array) -> Array:
    """What beta is multiplied with: log d for RL, d for best-of-n (2210.10760, section 1)."""
    return np.log(d) if kind == "rl" else d


def _peak(kind: Kind, alpha: float, beta: float) -> float | None:
    """Where the gain turns. RL: alpha - beta log d - beta = 0, d = exp(alpha / beta - 1); best-of-n: d = alpha / (2 beta), or 0 where it
    falls from the start. None for beta <= 0 (it never turns), and where the peak is too far to be a number."""
    if beta <= 0:
        return None
    if kind == "best_of_n":
        return max(alpha / (2 * beta), 0.0)
    return math.exp(alpha / beta - 1) if alpha / beta < 700 else None


def fitted_law(kind: Kind, distances: Sequence[float], gains: Sequence[float], weights: Sequence[float] | None = None) -> Law | None:
    """Gold gain over the starting model, R(d) = d (alpha - beta log d) for RL or d (alpha - beta d) for best-of-n, by least squares.

    distances: sqrt(KL), at least 0; gains: reward less that of the starting model; weights: relative precision (1 / variance) of each gain,
    0 leaves it out. Both laws pass through the origin, so a point at d = 0 has no say in alpha and beta. None, insufficient evidence, for
    fewer than 3 distinct distances above 0. Raises `DataError` where lengths differ or a number is not finite or below 0."""
    d, y = np.asarray(distances, dtype=np.float64), np.asarray(gains, dtype=np.float64)
    w = np.ones_like(d) if weights is None else np.asarray(weights, dtype=np.float64)
    if d.ndim != 1 or d.shape != y.shape or d.shape != w.shape:
        raise DataError(f"{d.shape} distances, {y.shape} gains, {w.shape} weights", remedy="give one gain and weight a distance")
    if not (np.isfinite(y).all() and all(np.isfinite(x).all() and (x >= 0).all() for x in (d, w))):
        raise DataError("distances and weights must be finite and at least 0, gains finite", remedy="leave out what was not measured")
    d, y, w = (x[(d > 0) & (w > 0)] for x in (d, y, w))
    n = len(d)
    if len({f"{x:.6g}" for x in d}) < 3:  # distances closer than rounding carry no curvature
        return None
    x, root = np.stack([d, -d * _bend(kind, d)], axis=1), np.sqrt(w)
    (alpha, beta), *_ = np.linalg.lstsq(x * root[:, None], y * root, rcond=None)
    left = w @ (y - x @ np.array([alpha, beta])) ** 2
    errors = np.sqrt(np.diag(np.linalg.inv((x * w[:, None]).T @ x)) * left / (n - 2))
    spread = w @ (y - w @ y / w.sum()) ** 2
    r2 = float(1 - left / spread) if spread > 0 else None
    fitted = float(alpha), float(beta), float(errors[0]), float(errors[1])
    return Law(kind, *fitted, r2, n, _peak(kind, fitted[0], fitted[1]), float(d.max()))


def best_of_n_kl(n: int) -> float:
    """log n - (n - 1) / n, nats: the KL of best-of-n to its model (2009.01325, appendix G.3; 2210.10760), an upper bound where replies
    repeat (2401.01879). Raises `DataError` for n below 1."""
    if n < 1:
        raise DataError(f"best of {n}, expected at least 1", remedy="give how many replies are drawn")
    return math.log(n) - (n - 1) / n


@dataclass(frozen=True, slots=True)
class Measurement:
    """One look at a run. kl: mean KL of a reply to the starting model, nats (as an estimate it may be below 0). proxy: the reward trained
    on; held_out: a reward it never saw; characters: lengths of the replies, if known. One number a prompt, all in the same order of
    the prompts at every look. Raises `DataError` where lengths differ or a number is not finite."""

    step: int
    kl: float
    proxy: tuple[float, ...]
    held_out: tuple[float, ...]
    characters: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if len(self.proxy) != len(self.held_out) or (self.characters is not None and len(self.characters) != len(self.proxy)):
            raise DataError(f"step {self.step}: {len(self.proxy)} proxy and {len(self.held_out)} held-out rewards", remedy="one a prompt")
        if not all(map(math.isfinite, (self.kl, *self.proxy, *self.held_out))):
            raise DataError(f"step {self.step}: a number is not finite", remedy="leave a prompt that has no reward out at every step")


@dataclass(frozen=True, slots=True)
class StopSettings:
    """looks: measurements planned in the whole run, more are an error. level: chance, over all looks together, of a stop for
    over-optimisation where the held-out reward never fell. window: measurements averaged on each side of a comparison; the
    first test is at look 2 x window. kl_budget: nats, None for no budget. Raises `RunFileError` out of range."""

    looks: int
    level: float = 0.05
    window: int = 2
    kl_budget: float | None = None

    def __post_init__(self) -> None:
        if self.window < 1 or self.looks < 2 * self.window:
            got = f"{self.looks} looks with a window of {self.window}"
            raise RunFileError(f"{got} leave nothing to compare, expected at least 2 windows", remedy="measure more often")
        if not 0 < self.level < 0.5:
            raise RunFileError(f"level must lie in (0, 0.5), got {self.level}", remedy="0.05 is usual")
        if self.kl_budget is not None and not 0 < self.kl_budget < math.inf:
            raise RunFileError(f"kl_budget must be finite and above 0, got {self.kl_budget}", remedy="leave it out for no budget")


@dataclass(frozen=True, slots=True)
class Finding:
    """Whether to stop, and why. best_step: of the measurements within the KL budget (on over-optimisation: and before the last window) the
    one with the highest mean held-out reward, the earliest of equals, None where there is none. fallen: lower bound of how
    far the held-out reward is below its best earlier value, above 0 where it fell; None before the first test."""

    stop: bool
    reason: Reason
    best_step: int | None
    text: str
    fallen: float | None = None


def _table(history: Sequence[Measurement], settings: StopSettings) -> tuple[Array, Array]:
    """(proxy, held out), each (looks, prompts), of a history that can be judged."""
    if not history:
        raise DataError("no measurement: insufficient evidence", remedy="measure the starting model first")
    if len(history) > settings.looks:
        raise DataError(f"{len(history)} measurements, planned were {settings.looks}", remedy="set looks to all of the run")
    if any(b.step <= a.step for a, b in pairwise(history)):
        raise DataError("the steps of the measurements do not rise", remedy="give them in the order of the run, each once")
    n = len(history[0].proxy)
    if n < FEWEST_PROMPTS or any(len(m.proxy) != n for m in history):
        got = f"measurements on {sorted({len(m.proxy) for m in history})} prompts, expected one number of them"
        raise DataError(f"{got}, at least {FEWEST_PROMPTS}", remedy="measure on the same prompts at every look")
    return np.array([m.proxy for m in history]), np.array([m.held_out for m in history])


def _falls(values: Array, window: int) -> Array:
    """(earlier windows, prompts): the mean of each earlier window less that of the last one. Sorted within a row: then the order of
    the prompts cannot matter, to the last bit."""
    means = np.lib.stride_tricks.sliding_window_view(values, window, axis=0).mean(axis=-1)
    return np.sort(means[: len(values) - 2 * window + 1] - means[-1], axis=1)


def _lower(falls: Array, level: float) -> Array:
    """Lower bound of each row's mean by Student's t, one-sided at 1 - level."""
    from scipy.special import stdtrit

    n = falls.shape[1]
    return np.asarray(falls.mean(axis=1) + stdtrit(n - 1, level) * falls.std(axis=1, ddof=1) / math.sqrt(n))


@dataclass(frozen=True, slots=True)
class _Fall:
    """bound: lower bound of the fall of the held-out reward; held_out, proxy: whether it fell, and whether the proxy did since then."""

    bound: float
    held_out: bool
    proxy: bool
    text: str


def _largest_fall(history: Sequence[Measurement], settings: StopSettings) -> _Fall | None:
    """The fall to the last window from the earlier window for which its bound is highest; None before the first test."""
    proxy, held_out = _table(history, settings)
    w, tests = settings.window, len(history) - 2 * settings.window + 1
    if tests < 1:
        return None
    bounds = _lower(_falls(held_out, w), settings.level / ((settings.looks - 2 * w + 1) * tests))
    at, bound = int(bounds.argmax()), float(bounds.max())
    since = _falls(proxy, w)[at : at + 1]
    fell = bound > ROUNDING * float(np.abs(held_out).max())
    too = float(_lower(since, settings.level)[0]) > ROUNDING * float(np.abs(proxy).max())
    if not fell:
        return _Fall(bound, fell, too, "The held-out reward has not fallen significantly below an earlier value.")
    steps = f"step {history[at].step}" if w == 1 else f"steps {history[at].step} to {history[at + w - 1].step}"
    verdict = "No over-optimisation, yet a failing run" if too else "Over-optimisation"
    change = f"the proxy changed by {-float(since.mean()):+.3g}"
    return _Fall(bound, fell, too, f"{verdict}: since {steps} the held-out reward fell by at least {bound:.3g}, {change}.")


def judged(history: Sequence[Measurement], settings: StopSettings) -> Finding:
    """What the latest measurement says, given all earlier ones of the run; to be asked after each.

    Over-optimisation: the held-out reward of the last window is below that of some earlier window, prompt by prompt, and the proxy has not
    fallen between the two (it rose or is tied: its fall is not significant at `level`). Every earlier window is tested,
    none is picked, each at level / (looks that test x earlier windows): by the union bound `level` holds for any dependence
    between steps, and the best earlier value brings no winner's curse. Choosing the best on one half of the prompts and testing on the
    other, pooled over both ways, was tried and left out: the halves are dependent, and at a nominal 5 % with 20 looks it stopped 6 % of
    flat runs (8 % with halves drawn anew at each look), this rule 4 %. A fall of 0.5 standard deviations of a prompt's noise that stays is
    found, with 64 prompts, within four looks in 66 % of runs after a sharp peak and in 98 % after a plateau.
    Limits: prompts must be independent, and a mean carried by rare prompts deceives Student's t. Where every prompt lost a little and 5 % won
    much, the mean unchanged, 10 % of runs were stopped with 64 prompts and 38 % with 16.

    KL budget: the latest kl is above it. Raises `DataError` for a history that cannot be judged."""
    fall = _largest_fall(history, settings)
    hacked = fall is not None and fall.held_out and not fall.proxy
    over = settings.kl_budget is not None and history[-1].kl > settings.kl_budget
    best = _best_step(history[: -settings.window] if hacked else history, settings.kl_budget)
    early = f"Insufficient evidence of over-optimisation: {len(history)} of {2 * settings.window} measurements."
    said = [early if fall is None else fall.text]
    if over:
        said.append(f"The KL of {history[-1].kl:.3g} nats is above the budget of {settings.kl_budget:g}.")
    said.append("No measurement is within the KL budget." if best is None else f"Best held-out reward: step {best}.")
    reason: Reason = "over-optimisation" if hacked else "kl budget" if over else "none"
    return Finding(hacked or over, reason, best, " ".join(said), None if fall is None else fall.bound)


def _best_step(history: Sequence[Measurement], budget: float | None) -> int | None:
    within = [m for m in history if budget is None or m.kl <= budget]
    return max(within, key=lambda m: (math.fsum(m.held_out), -m.step)).step if within else None


@dataclass(frozen=True, slots=True)
class Summary:
    """A run for a report; the tuples have one entry a measurement. distances: sqrt(KL), 0 where the estimate is below 0. proxy_gain,
    held_out_gain: mean rewards less those of the first measurement. gap: proxy less held-out gain, each in standard deviations of that reward
    over the prompts at the start, since two rewards have two scales; None where one does not vary. law: the RL law of the held-out gains.
    length_growth: mean characters of the last over the first measurement; length_correlation: over prompts, of the change in proxy with
    the change in log length (`length_bias`). None where not measured, or nothing differs."""

    steps: tuple[int, ...]
    distances: tuple[float, ...]
    proxy_gain: tuple[float, ...]
    held_out_gain: tuple[float, ...]
    gap: tuple[float, ...] | None
    law: Law | None
    length_growth: float | None
    length_correlation: float | None


def summary(history: Sequence[Measurement], settings: StopSettings) -> Summary:
    """The figures of a whole run. The first measurement must be of the starting model, for the law passes through it: law is None
    where its kl is above 0.001 nats. Raises `DataError` as `judged` does."""
    proxy, held_out = _table(history, settings)
    distances = [math.sqrt(max(m.kl, 0.0)) for m in history]
    gains = [np.sort(x - x[0], axis=1).mean(axis=1) for x in (proxy, held_out)]
    scales = [float(np.sort(x[0]).std(ddof=1)) for x in (proxy, held_out)]
    gap = tuple((gains[0] / scales[0] - gains[1] / scales[1]).tolist()) if min(scales) > 0 else None
    law = fitted_law("rl", distances, gains[1].tolist()) if history[0].kl <= 1e-3 else None
    first, last = history[0].characters, history[-1].characters
    growth = correlation = None
    if first is not None and last is not None:
        growth = sum(last) / sum(first) if sum(first) else None
        correlation = length_correlation(proxy[[-1, 0]].T, np.log1p(np.array([last, first], dtype=np.float64)).T)
    curves = tuple(gains[0].tolist()), tuple(gains[1].tolist())
    return Summary(tuple(m.step for m in history), tuple(distances), *curves, gap, law, growth, correlation)
