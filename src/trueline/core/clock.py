"""Time and randomness come in from outside, so that a run can be repeated and a test can stand still."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """The present moment in UTC."""
    return datetime.now(UTC)


def iso(moment: datetime) -> str:
    """The one form in which times are written: ISO 8601 in UTC, to the microsecond."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


@dataclass(slots=True)
class FixedClock:
    """The fake clock: stands still until `advance` is called."""

    now: datetime = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        """The present moment."""
        return self.now

    def advance(self, seconds: float) -> None:
        """Moves on by `seconds`."""
        self.now += timedelta(seconds=seconds)


def generator(seed: int, *names: str) -> random.Random:
    """A random source of its own for each purpose: the same seed and names give the same draws."""
    return random.Random(f"{seed}|" + "|".join(names))
