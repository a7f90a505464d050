"""Anytime-valid gate: look after every family and stop when the evidence suffices, at the same error as one look at the end.

A bettor who starts with 1 plays a game that is fair or worse where the candidate is as bad as the limit: family by family she bets on values
below the limit, M_t = product of (1 + l_t w_t (limit - x_t)). By Ville's inequality her wealth ever reaches 1 / alpha with chance at most
alpha, whenever one stops (Waudby-Smith & Ramdas 2024, 2010.09686, section 4). PASS: M >= 1 / alpha; a second bettor plays for FAIL.

The bet. l_t may depend on the past alone and may not let wealth go below 0: l in [0, 1 / (high - limit)] for PASS, [0, 1 / (limit - low)] for
FAIL, with values in [low, high]; for differences in [-1, 1] the first is [0, 1 / (1 - margin)]. She puts her money on `SHARES` of the largest
bet and lets it lie (Cover's universal portfolio; Orabona & Jun 2110.14099): the same as to bet, each time, the mean of the shares weighted by
what each would have earned so far. A quarter stands on the largest bet, which is best where nothing ever fails. aGRAPA, which estimates the
bet from mean and variance, was left out: near a rate of 0 values are so skewed that it bets far too high.

Families. One bet a family, on its mean, with w = its size over the largest size: so the game is fair exactly where the mean over *probes* is
the limit, what the gate's other bounds are of, if families are drawn at random or asked in an order that was. Without w it would test the
mean over families. A much larger family than all others makes small bets on these.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from trueline.algos.stats.clustered import Array
from trueline.errors import DataError

Kind = Literal["rate", "worsening"]
Outcome = Literal["PASS", "FAIL", "INCONCLUSIVE"]
RANGE: dict[Kind, tuple[float, float]] = {"rate": (0.0, 1.0), "worsening": (-1.0, 1.0)}
SHARES = np.append((np.arange(16) + 0.5) / 16, 1.0)  # of the largest bet
MONEY = np.append(np.full(16, 0.75 / 16), 0.25)


def log_wealth(gains: Array) -> Array:
    """log M after each family, in the shape of `gains` (..., families): w (limit - x) over the largest loss, so at least -1, in the order asked."""
    with np.errstate(divide="ignore"):
        grown = np.cumsum(np.log1p(np.maximum(gains[..., None] * SHARES, -1.0)), axis=-2) + np.log(MONEY)
    top = grown.max(axis=-1)
    return np.asarray(top + np.log(np.exp(grown - top[..., None]).sum(axis=-1)))


def gains_for(means: Array, sizes: Array, largest: float, limit: float, kind: Kind, wanted: Literal["PASS", "FAIL"]) -> Array:
    """What a bet of the largest size wins on each family: means, sizes (..., families); at least -1, and of mean <= 0 at the limit."""
    low, high = RANGE[kind]
    away, room = (limit - means, high - limit) if wanted == "PASS" else (means - limit, limit - low)
    return sizes / largest * away / room


@dataclass(frozen=True, slots=True)
class AnytimeResult:
    """Where the game stands. `outcome` at the first time a bettor had 1 / (1 - level), kept from then on; `families` and `probes` counted up to
    then (or so far, INCONCLUSIVE). `for_pass`, `for_fail`: the wealth (e-values) there, at least 1 / (1 - level) for the one that decided. estimate: mean
    over all probes given so far; lower, upper: one-sided bounds of it at `level` each, also valid whenever one looks."""

    outcome: Outcome
    families: int
    probes: int
    for_pass: float
    for_fail: float
    estimate: float
    lower: float
    upper: float
    level: float


@dataclass(frozen=True, slots=True)
class Anytime:
    """The state of the game: `step` gives the next. limit: cap or margin; largest: size of the largest family that will come; `seen`: (mean, size)
    of each family. Make it with `anytime`."""

    limit: float
    kind: Kind
    largest: int
    level: float = 0.95
    seen: tuple[tuple[float, int], ...] = ()
    decided: tuple[Outcome, int] = ("INCONCLUSIVE", 0)
    wealth: tuple[float, ...] = ()  # log, by share of the largest bet: first of the bettor for PASS, then of the one for FAIL

    def step(self, values: Sequence[float]) -> Anytime:
        """The state after one more family. values: its failures (0 or 1) or differences (-1, 0, 1), an unscored one at its worst. Raises `DataError`
        for values out of range, no value, or a family above `largest`."""
        low, high = RANGE[self.kind]
        if not len(values) or len(values) > self.largest or not all(low <= v <= high for v in values):
            got = f"got {len(values)} values {min(values, default=0):g} to {max(values, default=0):g}"
            raise DataError(
                f"{got}, expected 1 to {self.largest} in [{low:g}, {high:g}]", remedy="say the largest family's size beforehand"
            )
        mean, size = sum(values) / len(values), len(values)
        with np.errstate(divide="ignore"):
            won = [np.log1p(np.maximum(SHARES * self._gain(mean, size, w), -1.0)) for w in ("PASS", "FAIL")]
        grown = np.array(self.wealth or (0.0,) * (2 * len(SHARES))) + np.concatenate(won)
        after = replace(self, seen=(*self.seen, (mean, size)), wealth=tuple(grown.tolist()))
        if self.decided[0] != "INCONCLUSIVE":
            return after
        heard: tuple[tuple[Outcome, float], ...] = tuple(zip(("PASS", "FAIL"), after._evidence(), strict=True))
        for outcome, e in heard:
            if e >= math.log(1 / (1 - self.level)) - 1e-12:
                return replace(after, decided=(outcome, len(after.seen)))
        return after

    def _gain(self, mean: float, size: int, wanted: Literal["PASS", "FAIL"]) -> float:
        return float(gains_for(np.asarray(mean), np.asarray(size), self.largest, self.limit, self.kind, wanted))

    def _evidence(self) -> tuple[float, float]:
        """log wealth of the two bettors."""
        both = np.array(self.wealth).reshape(2, -1) + np.log(MONEY)
        return float(np.logaddexp.reduce(both[0])), float(np.logaddexp.reduce(both[1]))

    def result(self) -> AnytimeResult:
        """Where it stands now. Raises `DataError` before the first family."""
        if not self.seen:
            raise DataError("no family was graded: insufficient evidence", remedy="evaluate at least one family of probes")
        outcome, at = self.decided
        at = at or len(self.seen)
        means, sizes = (np.array(x, dtype=np.float64) for x in zip(*self.seen, strict=True))
        e = [float(np.exp(min(700.0, log_wealth(self._gains(means[:at], sizes[:at], self.limit, w))[-1]))) for w in ("PASS", "FAIL")]
        lower, upper = self._bounds(means, sizes)
        probes, estimate = int(sizes[:at].sum()), float(means @ sizes / sizes.sum())
        return AnytimeResult(outcome, at, probes, e[0], e[1], estimate, lower, upper, self.level)

    def _gains(self, means: Array, sizes: Array, limit: float, wanted: Literal["PASS", "FAIL"]) -> Array:
        return gains_for(means, sizes, self.largest, limit, self.kind, wanted)

    def _bounds(self, means: Array, sizes: Array) -> tuple[float, float]:
        """The limits that the two bettors cannot refuse: a gain rises (PASS) or falls (FAIL) in the limit, so does the wealth, and bisection finds
        where it is 1 / (1 - level)."""
        low, high = RANGE[self.kind]
        kinds = np.unique(np.stack([means, sizes]), axis=1, return_counts=True)
        (x, m), times = kinds[0], kinds[1]

        def refused(limit: float, wanted: Literal["PASS", "FAIL"]) -> bool:
            with np.errstate(divide="ignore"):
                each = np.log1p(np.maximum(self._gains(x, m, limit, wanted)[:, None] * SHARES, -1.0))
            return bool(np.logaddexp.reduce(times @ each + np.log(MONEY)) >= math.log(1 / (1 - self.level)))

        found = []
        for wanted, kept, out in (("FAIL", high, low), ("PASS", low, high)):
            for _ in range(40):
                middle = (kept + out) / 2
                kept, out = (kept, middle) if refused(middle, wanted) else (middle, out)  # type: ignore[arg-type]
            found.append(out)
        return max(low, found[0]), min(high, found[1])


def anytime(limit: float, kind: Kind, largest: int, level: float = 0.95) -> Anytime:
    """A new game. limit: the cap of a rate or the margin of a worsening, inside the values' range; largest: size of the largest family of the suite,
    samples of a probe counted; level: 1 - the chance of a wrong PASS, and likewise of a wrong FAIL. Raises `DataError` for a limit at the end of
    the range (nothing shows a rate of 0)."""
    low, high = RANGE[kind]
    if not low < limit < high or largest < 1 or not 0 < level < 1:
        got = f"limit {limit:g}, largest family {largest}, level {level:g}"
        raise DataError(f"got {got}, expected a limit inside ({low:g}, {high:g})", remedy="name a clause in zero_tolerance for a cap of 0")
    return Anytime(limit, kind, largest, level)


def decide_in_order(families: Iterable[Sequence[float]], limit: float, kind: Kind, *, largest: int, level: float = 0.95) -> AnytimeResult:
    """Feeds one family after another, in an order drawn at random beforehand, and stops at the first decision: later families are not taken from
    the iterable, so they need not be asked. Raises `DataError` as `step` and `result` do."""
    game = anytime(limit, kind, largest, level)
    for values in families:
        game = game.step(values)
        if game.decided[0] != "INCONCLUSIVE":
            break
    return game.result()
