"""One run's pace: places, rates and budget, and the count of what went wrong. It hears every try of the wire (models/pace)."""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from trueline.evals.budget import Budget, Caps, Spent
from trueline.evals.concurrency import Limiter, Turns
from trueline.evals.rates import Rate
from trueline.models.pace import Try, Turn


@dataclass(frozen=True, slots=True)
class Limits:
    """How hard a target may be asked. `concurrency`: the most requests under way; `adaptive`: fewer where the target is saturated by fewer;
    `max_rps` requests a second, `max_tpm` tokens a minute (None: no such limit); `timeout`: seconds a try may take (None: the client's own)."""

    concurrency: int = 64
    adaptive: bool = True
    max_rps: float | None = None
    max_tpm: float | None = None
    timeout: float | None = None
    caps: Caps = field(default_factory=Caps)

    def shared(self, workers: int, number: int = 0) -> Limits:
        """The same for worker `number` (from 0) of so many: together they keep to it, but each may have one request under way."""
        c = self.caps
        caps = Caps(
            c.requests and (c.requests + workers - 1 - number) // workers,
            c.tokens and (c.tokens + workers - 1 - number) // workers,
            c.money and c.money / workers,
            c.price_in,
            c.price_out,
        )
        return Limits(
            max(1, self.concurrency // workers), self.adaptive, self.max_rps and self.max_rps / workers, self.max_tpm and self.max_tpm / workers,
            self.timeout, caps,
        )  # fmt: skip


class Pacer:
    """Implements `models.pace.Pace`, and lets askers in through `turns`."""

    def __init__(
        self,
        limits: Limits,
        spent: Spent | None = None,
        *,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.limits, self._now, self._sleep = limits, now, sleep
        self.turns = Turns(Limiter(limits.concurrency))
        self.budget = Budget(limits.caps, spent)
        self.faults: Counter[str] = Counter()  # tries without an answer, by kind
        self._requests = Rate(limits.max_rps) if limits.max_rps else None
        self._tokens = Rate(limits.max_tpm / 60.0) if limits.max_tpm else None
        self._most_at_once = 0

    @property
    def timeout(self) -> float | None:
        """Seconds a try may take."""
        return self.limits.timeout

    async def before(self, size: int, most: int) -> Turn:
        """Waits for budget and rates. Raises `BudgetSpent`."""
        turn = await self.budget.reserve(size, most)
        wait = 0.0
        for rate, n in ((self._requests, 1), (self._tokens, self._minute(turn.read + turn.written))):
            if rate is not None:
                wait = max(wait, rate.take(n, self._now()))
        if wait > 0:
            try:
                await self._sleep(wait)
            except BaseException:
                self.budget.settle(size, turn, Try(0.0, "given up", told=False, input_tokens=0, output_tokens=0))
                raise
        self._most_at_once = max(self._most_at_once, self.turns.flying)
        self.turns.limiter.started(self._now())
        return turn

    def _minute(self, tokens: int) -> float:
        """At most the tokens of a minute: by what a server says it counted no request may wait for days."""
        return min(tokens, self.limits.max_tpm or math.inf)

    def after(self, size: int, turn: Turn, seen: Try) -> None:
        """Counts, settles, and lets the limiter learn."""
        self.budget.settle(size, turn, seen)
        if self._tokens is not None and seen.input_tokens is not None and seen.output_tokens is not None:
            taken, used = turn.read + turn.written, seen.input_tokens + seen.output_tokens
            self._tokens.give_back(self._minute(taken) - self._minute(used))
        if seen.fault:
            self.faults[seen.fault] += 1
        if not self.limits.adaptive:
            return
        if seen.busy:
            self.turns.limiter.busy(self._now())
        elif not seen.fault:
            self.turns.limiter.finished(self._now(), seen.seconds, self.turns.flying - 1)
            self.turns.admit()

    def report(self) -> dict[str, Any]:
        """What the run cost and met, for its record and for people."""
        s = self.budget.spent
        money = {"money": round(self.budget.money, 6)} if self.limits.caps.price_in or self.limits.caps.price_out else {}
        spent = {"requests": s.requests, "tokens_read": s.read, "tokens_written": s.written, **money}
        return {
            **spent,
            "concurrency": {"most": self._most_at_once, "last": self.turns.limiter.limit},
            "faults": dict(sorted(self.faults.items())),
        }
