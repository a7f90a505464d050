"""Rates that a person allows: requests a second, tokens a minute. Evenly spaced, so that no second and no minute holds a burst."""

from __future__ import annotations

import math


class Rate:
    """`per_second` of something. Pure: told the time in seconds."""

    def __init__(self, per_second: float) -> None:
        self.per_second, self._free = per_second, -math.inf

    def take(self, n: float, now: float) -> float:
        """Takes `n` and returns the seconds to wait before using them: 0 where the ones before are used up."""
        wait = max(0.0, self._free - now)
        self._free = max(self._free, now) + n / self.per_second
        return wait

    def give_back(self, n: float) -> None:
        """`n` of what was taken were not used (negative: more were used)."""
        self._free -= n / self.per_second
