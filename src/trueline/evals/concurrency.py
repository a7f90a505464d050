"""How many requests to keep under way: as many as saturate the target, and no more. Pure; told the time, never reads a clock.

In order: begin with the most that was allowed, so that a target that answers flat loses nothing. Where even the quickest replies of a window take
much longer than those of an earlier one did, and again in the next, a queue is suspected, and tried: keep fewer under way for a window of replies and compare the rate. By Little's law (replies a
second = under way / seconds a reply) a saturated target loses nothing by it and one with room loses in proportion; the fewer are kept only
if the rate stays. Suspicion alone would not do: long replies look like a queue. "Too many requests" cuts by 30 % at once and then lets one
more at a time (additive increase, multiplicative decrease: Chiu and Jain 1989). What it leaves out: rates a second and budgets (rates, budget).
"""

from __future__ import annotations

import asyncio
import math
from collections import deque

SLOW = 2.0  # times the quickest tenth of the best window: above, a queue is suspected
STAYS = 0.8  # a rate at least this share of the one before has stayed
SMALLEST = 20  # replies a rate is taken from at least
GAIN = 0.9  # of the limit: a level above is not worth a try
CUT = 0.7
LONGEST_REST = 32  # windows between two tries


class Limiter:
    """`limit`: how many may be under way now, from 1 to `most`."""

    def __init__(self, most: int) -> None:
        self.most = self.limit = most
        self._quick = math.inf  # of the best window so far
        self._since = math.nan  # seconds on the clock: since when no more than the limit are under way
        self._from, self._came = math.nan, 0  # when the window began, and the replies that came in it
        self._took: list[float] = []  # seconds of replies to requests sent since the level was reached
        self._before: tuple[int, float] | None = None  # the level that a try is compared with, and its rate
        self._guessed = False  # whether the level that is tried comes from the rate at the one before
        self._rest = self._rests = 0  # windows left until the next try, and how long the last rest was
        self._cut_at = -math.inf
        self._refused = False
        self._suspected: float | None = None  # rate of the window before, where that was slow

    def started(self, now: float) -> None:
        """A request goes out."""
        if math.isnan(self._since):
            self._level(now)

    def finished(self, now: float, seconds: float, flying: int) -> None:
        """A reply came after `seconds`; `flying` others are still under way."""
        if flying > self.limit or math.isnan(self._since):  # still draining to the new level: no measure of it
            self._level(now)
            return
        self._came += 1
        if now - seconds >= self._since - 1e-6:
            self._took.append(seconds)
        if len(self._took) >= max(SMALLEST, self.limit):
            took, level = self._took, self.limit
            by_clock, by_law = self._came / max(now - self._from, 1e-9), level * len(took) / max(sum(took), 1e-9)
            self._from, self._came, self._took = now, 0, []
            self._judge(sorted(took)[len(took) // 10], min(by_clock, by_law))
            if self.limit != level:
                self._level(now)

    def _level(self, now: float) -> None:
        self._since = self._from = now
        self._came, self._took = 0, []

    def busy(self, now: float) -> None:
        """The server said, or showed, that it was asked too much. Counts once for all requests that were under way together."""
        if now - self._cut_at < max(0.25, 0.0 if math.isinf(self._quick) else self._quick):
            return
        self._cut_at, self._refused = now, True
        self.limit = max(1, int(self.limit * CUT))
        self._level(now)
        self._before, self._rest = None, 4

    def _judge(self, quick: float, rate: float) -> None:
        """Learns from a window: its quickest tenth (seconds) and its rate. That is the smaller of two: replies by the clock, which takes a
        cohort that was sent at once, and comes back at once, for speed; and Little's law (under way / mean seconds), which takes short
        replies, which come first, for speed."""
        slow = quick > SLOW * self._quick
        self._quick = min(self._quick, quick)
        if self._before is not None:
            self._decide(rate)
        elif self._rest > 0:
            self._rest -= 1
            if self._refused and self._rest == 0:
                self.limit, self._rest = min(self.most, self.limit + 1), 1
        elif slow and self.limit > 1 and self._suspected is None:
            self._suspected = rate  # one slow window may be a stall of ours or theirs, whose rate is no measure of this level
            return
        elif slow and self.limit > 1:
            rate = max(rate, self._suspected or 0.0)
            little = math.ceil(1.25 * rate * self._quick) / self.limit
            self._try(rate, min(0.5, max(little, 0.125)))
        elif self.limit < self.most:
            self._try(rate, 1.5)
        self._suspected = None

    def _try(self, rate: float, share: float | None) -> None:
        """Goes to a level to be tried, a share of the limit, or rests, longer each time."""
        level = self.limit if share is None else max(1, min(self.most, round(self.limit * share)))
        if level == self.limit:
            self._before, self._guessed, self._rests = None, False, min(LONGEST_REST, max(8, 2 * self._rests))
            self._rest = self._rests
        else:
            self._before, self.limit = (self.limit, rate), level

    def _decide(self, rate: float) -> None:
        """Whether the level that was tried is kept: half of what would be lost (or gained) in proportion is the line."""
        assert self._before is not None
        level, before = self._before
        share, stayed = self.limit / level, rate / before
        line = max((1 + share) / 2, STAYS) if share < 1 else (1 + share) / 2
        if stayed >= line and share < 1:
            self._try(max(rate, before), 0.5)
        elif stayed >= line:
            self._try(rate, 1.5)
        else:
            knee = 1.1 * share / max(stayed, 1e-9)  # of a target whose rate grows in proportion up to a level, and no further
            again = share < 1 and not self._guessed and knee < GAIN
            self.limit, self._guessed = level, again
            self._try(before, knee if again else None)


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
