"""What a run may cost: requests, tokens, money. Every try is reserved at its worst before it goes, so that no cap is ever exceeded.

The worst of a try is its bytes as tokens, at the highest share seen so far (and half a token a byte before anything was seen), and the most
tokens that it may be answered with. When the answer comes the server's own count takes the place of the reservation; where it gives none the
reservation stays spent. A try that fails has cost its reservation too: who knows what the server counted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from trueline.errors import TruelineError
from trueline.models.pace import Try, Turn

FIRST_SHARE = 0.5  # tokens a byte before anything was seen; English has about a quarter
SURPLUS = 1.25


class BudgetSpent(TruelineError):
    """The next request could exceed the budget. What was answered is kept, and the same command with a larger budget goes on."""

    exit_code = 130


@dataclass(frozen=True, slots=True)
class Caps:
    """At most so many requests (tries that fail count), tokens (read and written), and so much money; None for no cap. Prices in the same
    money for a million tokens."""

    requests: int | None = None
    tokens: int | None = None
    money: float | None = None
    price_in: float = 0.0
    price_out: float = 0.0

    def __post_init__(self) -> None:
        if self.money is not None and not (self.price_in or self.price_out):
            raise TruelineError("a budget in money needs prices", remedy="give --price-in and --price-out, for a million tokens each")

    def cost(self, read: int, written: int) -> float:
        """Money for so many tokens."""
        return (read * self.price_in + written * self.price_out) / 1e6


@dataclass(slots=True)
class Spent:
    """Requests, tokens read, tokens written."""

    requests: int = 0
    read: int = 0
    written: int = 0

    def add(self, requests: int, read: int, written: int) -> None:
        """Counts more (or, negative, less)."""
        self.requests += requests
        self.read += read
        self.written += written


class Budget:
    """Reserves and settles. `spent` is what was used, `_held` what is reserved for tries under way."""

    def __init__(self, caps: Caps, spent: Spent | None = None) -> None:
        self.caps, self.spent, self._held = caps, spent or Spent(), Spent()
        self.heard: Callable[[Spent], None] | None = None  # is told of `spent` after each try
        self._share: float | None = None
        self._settled = asyncio.Event()

    def tokens_of(self, size: int) -> int:
        """The most tokens that `size` bytes may be."""
        return int(size * (FIRST_SHARE if self._share is None else self._share * SURPLUS)) + 1

    @property
    def money(self) -> float:
        """Money spent so far."""
        return self.caps.cost(self.spent.read, self.spent.written)

    def _exceeded(self, read: int, written: int) -> str | None:
        """The cap that one more such try could exceed, besides what is under way, or None."""
        s, h, c = self.spent, self._held, self.caps
        total_read, total_written = s.read + h.read + read, s.written + h.written + written
        asked: tuple[tuple[str, float | None, Callable[[], float]], ...] = (
            ("requests", c.requests, lambda: s.requests + h.requests + 1),
            ("tokens", c.tokens, lambda: total_read + total_written),
            ("money", c.money, lambda: c.cost(total_read, total_written)),
        )
        return next((name for name, cap, would in asked if cap is not None and would() > cap), None)

    async def reserve(self, size: int, most: int) -> Turn:
        """Reserves one try. Waits while tries under way may turn out cheaper. Raises `BudgetSpent`."""
        while (cap := self._exceeded(self.tokens_of(size), most)) is not None:
            if not self._held.requests:
                raise BudgetSpent(
                    f"the budget of {cap} is spent: {self.told()}", remedy=f"the same command with a larger --budget-{cap} goes on"
                )
            self._settled.clear()
            await self._settled.wait()
        turn = Turn(self.tokens_of(size), most)
        self._held.add(1, turn.read, turn.written)
        return turn

    def settle(self, size: int, turn: Turn, seen: Try) -> None:
        """What a try cost in truth, as far as the server says."""
        self._held.add(-1, -turn.read, -turn.written)
        read = turn.read if seen.input_tokens is None else seen.input_tokens
        written = turn.written if seen.output_tokens is None else seen.output_tokens
        if seen.input_tokens is not None and size:
            self._share = max(self._share or 0.0, seen.input_tokens / size)
        self.spent.add(1, read, written)
        if self.heard is not None:
            self.heard(self.spent)
        self._settled.set()

    def told(self) -> str:
        """What was spent, in one line."""
        s = self.spent
        money = f", {self.money:.4f} in money" if self.caps.price_in or self.caps.price_out else ""
        return f"{s.requests} requests, {s.read} tokens read, {s.written} written{money}"
