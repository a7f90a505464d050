"""Exact phrases, and how much of a text could still become one: what a stream must hold back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


def lowered(text: str) -> str:
    """Lower case, character by character, so that offsets stay those of the original."""
    return "".join(low if len(low := c.lower()) == 1 else c for c in text)


@dataclass(frozen=True, slots=True)
class Hit:
    """A phrase found at [start, end) of the text."""

    phrase: str
    start: int
    end: int


def first_hit(text: str, phrases: Sequence[str]) -> Hit | None:
    """The hit that starts first (the longest of those), case-insensitive."""
    low = lowered(text)
    best: Hit | None = None
    for p in phrases:
        at = low.find(lowered(p))
        if at >= 0 and (best is None or (at, -len(p)) < (best.start, best.start - best.end)):
            best = Hit(p, at, at + len(p))
    return best


def open_tail(text: str, phrases: Sequence[str]) -> int:
    """Length of the longest suffix of the text that begins some phrase without completing it."""
    low = lowered(text)
    longest = 0
    for p in map(lowered, phrases):
        for n in range(min(len(p) - 1, len(low)), longest, -1):
            if low.endswith(p[:n]):
                longest = n
                break
    return longest
