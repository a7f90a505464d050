"""A bound that may be looked at after every family: betting martingales (Waudby-Smith & Ramdas 2024, 10.1093/jrsssb/qkad009).

To show that the mean of values in [low, high] lies below `limit`, bet against it: M_t = product of (1 + l (limit - d_i)), l in
[0, 1 / (high - limit)]. While the true mean is at or above the limit, M_t reaches 1 / alpha with probability alpha at most, however
often it is looked at (Ville). Bets of several sizes run side by side and are averaged, which needs no tuning and is itself such a
martingale; its value does not depend on the order of what was seen. The other direction is the mirror image.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

FRACTIONS = (0.02, 0.05, 0.1, 0.2, 0.35, 0.55, 0.8, 0.95)  # of the largest bet
ALPHA = 0.05


@dataclass(slots=True)
class Bet:
    """One-sided evidence that the mean of what is fed lies below `limit`. `highest`: the largest value that can come."""

    limit: float
    highest: float
    logs: list[float] = field(default_factory=lambda: [0.0] * len(FRACTIONS))
    best: float = 1.0  # the largest wealth so far: once decided, decided

    def feed(self, value: float) -> float:
        """Takes in one family's mean; returns the wealth. A limit at or above the largest value is never in doubt and tells nothing."""
        room = self.highest - self.limit
        if room <= 0:
            return self.best
        for i, fraction in enumerate(FRACTIONS):
            self.logs[i] += math.log1p(fraction / room * (self.limit - value))
        top = max(self.logs)
        wealth = math.exp(min(top, 700.0)) * sum(math.exp(x - top) for x in self.logs) / len(self.logs)
        self.best = max(self.best, wealth)
        return wealth

    @property
    def decided(self) -> bool:
        """Whether the mean is shown to lie below the limit."""
        return self.best >= 1 / ALPHA


@dataclass(slots=True)
class TwoBets:
    """Evidence that a mean lies below a limit, and that it lies above. `low`, `high`: the range of what is fed to either side."""

    below: Bet
    above: Bet  # fed the negative

    @classmethod
    def on(cls, limit: float, high: float, low: float) -> TwoBets:
        """Bets on `limit`; values for `below` reach up to `high`, values for `above` down to `low`."""
        return cls(Bet(limit, high), Bet(-limit, -low))

    def feed(self, worst: float, best: float) -> None:
        """One family: `worst` is taken where it must be shown that the mean is low, `best` where that it is high."""
        self.below.feed(worst)
        self.above.feed(-best)

    @property
    def evidence(self) -> float:
        """The larger wealth so far."""
        return max(self.below.best, self.above.best)
