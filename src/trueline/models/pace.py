"""How a measurement paces the requests of the clients that it asks, however many wrappers stand between: a value of the running task.

The wire asks before each try, and tells after it what came. Where nobody paces (the gateway, a judge) both do nothing.
"""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Try:
    """One try of one request, when it is over. `fault`: why there is no answer ("" where there is one); `told`: an answer all the same, be it
    a refusal; `seconds` it took; tokens as the server counted them, None where it did not say."""

    seconds: float
    fault: str = ""
    told: bool = True
    input_tokens: int | None = None
    output_tokens: int | None = None

    @property
    def busy(self) -> bool:
        """Whether the server said, or showed, that it was asked too much."""
        return self.fault in BUSY or self.fault.startswith("no whole answer")


BUSY = frozenset({"HTTP 429", "HTTP 503", "HTTP 529", "no connection in time"})


@dataclass(frozen=True, slots=True)
class Turn:
    """Leave for one try: tokens reserved for what is sent and for the answer."""

    read: int = 0
    written: int = 0


class Pace(Protocol):
    """What decides when the next try may go. Called on one event loop only."""

    @property
    def timeout(self) -> float | None:
        """Seconds a try may take, None for the client's own."""

    async def before(self, size: int, most: int) -> Turn:
        """Waits for the turn of a try of `size` bytes that may be answered by `most` tokens. May raise to end the request."""

    def after(self, size: int, turn: Turn, seen: Try) -> None:
        """Hears what came of it; called once for each `before` that returned, also where the try was cancelled."""


class Unpaced:
    """No pace: every try goes at once."""

    timeout: float | None = None

    async def before(self, size: int, most: int) -> Turn:
        """Goes at once."""
        return Turn()

    def after(self, size: int, turn: Turn, seen: Try) -> None:
        """Hears nothing."""


PACE: ContextVar[Pace | None] = ContextVar("trueline_pace", default=None)
_UNPACED = Unpaced()


def pace() -> Pace:
    """The pace of the running task."""
    return PACE.get() or _UNPACED
