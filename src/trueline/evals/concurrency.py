"""How many requests to keep under way: as many as saturate the target, and no more. Pure; told the time, never reads a clock.

In order: begin with the most that was allowed, so that a target that answers flat loses nothing. Where replies take much longer than the
fastest one did, a queue is suspected, and tried: keep fewer under way for a window of replies and compare the rate. By Little's law (replies a
second = under way / seconds a reply) a saturated target loses nothing by it and one with room loses in proportion; the fewer are kept only
if the rate stays. Suspicion alone would not do: long replies look like a queue. "Too many requests" cuts by 30 % at once and then lets one
more at a time (additive increase, multiplicative decrease: Chiu and Jain 1989). What it leaves out: rates a second and budgets (rates, budget).
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from dataclasses import dataclass, field
from statistics import median

SLOW = 1.6  # times the fastest reply: above, a queue is suspected
STAYS = 0.8  # a rate at least this share of the one before has stayed
SMALLEST = 12  # replies a rate is taken from at least
CUT = 0.7
LONGEST_REST = 32  # windows between two tries


@dataclass(slots=True)
class Window:
    """Replies since `began` (seconds): the rate at one level."""

    began: float = math.nan
    took: list[float] = field(default_factory=list)

    def rate(self, now: float) -> float:
        """Replies a second."""
        return len(self.took) / max(now - self.began, 1e-9)


class Limiter:
    """`limit`: how many may be under way now, from 1 to `most`."""

    def __init__(self, most: int) -> None:
        self.most = self.limit = most
        self._fastest = math.inf
        self._window = Window()
        self._before: tuple[int, float] | None = None  # the level that a try is compared with, and its rate
        self._shares: list[float] = []  # levels still to be tried, as shares of the limit
        self._sure = False  # the next whole window is the rate that tries are compared with
        self._rest = self._rests = 0  # windows left until the next try, and how long the last rest was
        self._cut_at = -math.inf
        self._refused = False

    def started(self, now: float) -> None:
        """A request goes out."""
        if math.isnan(self._window.began):
            self._window.began = now

    def finished(self, now: float, seconds: float, flying: int) -> None:
        """A reply came after `seconds`; `flying` others are still under way."""
        self._fastest = min(self._fastest, seconds)
        if flying > self.limit:  # still draining to the new level: no measure of it
            self._window = Window(now)
            return
        self._window.took.append(seconds)
        first = self.limit // 4 if self._before is None and not self._sure else self.limit
        if len(self._window.took) >= max(SMALLEST, first):
            window, self._window = self._window, Window(now)
            self._judge(window, window.rate(now))

    def busy(self, now: float) -> None:
        """The server said, or showed, that it was asked too much. Counts once for all requests that were under way together."""
        if now - self._cut_at < max(0.25, 0.0 if math.isinf(self._fastest) else self._fastest):
            return
        self._cut_at, self._refused = now, True
        self.limit, self._window = max(1, int(self.limit * CUT)), Window(now)
        self._before, self._shares, self._sure, self._rest = None, [], False, 4

    def _judge(self, window: Window, rate: float) -> None:
        if self._before is not None:
            self._decide(rate)
        elif self._sure:
            self._sure = False
            little = math.ceil(1.25 * rate * self._fastest) / self.limit
            self._shares = [min(0.5, max(little, 0.125)), 0.5, 0.75]
            self._try(rate)
        elif self._rest > 0:
            self._rest -= 1
            if self._refused and self._rest == 0:
                self.limit, self._rest = min(self.most, self.limit + 1), 1
        elif median(window.took) > SLOW * self._fastest and self.limit > 1:
            self._sure = True
        elif self.limit < self.most:
            self._shares = [1.5]
            self._try(rate)

    def _try(self, rate: float) -> None:
        """Goes to the next level to be tried, or rests, longer each time."""
        levels = [max(1, min(self.most, round(self.limit * s))) for s in self._shares]
        while levels and levels[0] == self.limit:
            levels, self._shares = levels[1:], self._shares[1:]
        if not levels:
            self._before, self._rests = None, min(LONGEST_REST, max(4, 2 * self._rests))
            self._rest = self._rests
            return
        self._before, self._shares = (self.limit, rate), self._shares[1:]
        self.limit = levels[0]

    def _decide(self, rate: float) -> None:
        """Whether the level that was tried is kept: half of what would be lost (or gained) in proportion is the line."""
        assert self._before is not None
        level, before = self._before
        share = self.limit / level
        line = max((1 + share) / 2, STAYS) if share < 1 else (1 + share) / 2
        if rate >= line * before:
            self._shares = [0.5, 0.75] if share < 1 else [1.5]
            self._try(max(rate, before) if share < 1 else rate)
        else:
            self.limit = level
            self._try(before)


class Turns:
    """Lets as many tasks in as the limiter says, in the order in which they came."""

    def __init__(self, limiter: Limiter) -> None:
        self.limiter, self.flying = limiter, 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def enter(self) -> None:
        """Waits for a place."""
        if self.flying < self.limiter.limit and not self._waiting:
            self.flying += 1
            return
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():
                self.leave()
            raise

    def leave(self) -> None:
        """Gives the place back."""
        self.flying -= 1
        self.admit()

    def admit(self) -> None:
        """Lets in who may come now."""
        while self._waiting and self.flying < self.limiter.limit:
            place = self._waiting.popleft()
            if not place.done():
                self.flying += 1
                place.set_result(None)
