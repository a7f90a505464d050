"""Exact phrases, and how much of a text could still become one: what a stream must hold back.

Phrases are found in what the text reads as: case, look-alike and wide letters, runs of white space and characters that do not show make
no difference. Offsets are those of the original.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from trueline.algos.text.views import folded_char


@dataclass(frozen=True, slots=True)
class Folded:
    """What a text reads as; `starts[i]` is where its character i stands in the original."""

    text: str
    starts: tuple[int, ...]


def fold(text: str) -> Folded:
    """Folds character by character, white space to one space; linear."""
    out: list[str] = []
    starts: list[int] = []
    for i, c in enumerate(text):
        read = folded_char(c)
        if read and not (read == " " and out and out[-1] == " "):
            out.append(read)
            starts.append(i)
    return Folded("".join(out), tuple(starts))


@dataclass(frozen=True, slots=True)
class Hit:
    """A phrase found at [start, end) of the text."""

    phrase: str
    start: int
    end: int


class Phrases:
    """A set of phrases, made ready once."""

    def __init__(self, phrases: Iterable[str]) -> None:
        self._known = {read: p for p in phrases if (read := fold(p).text.strip())}
        self._begun = frozenset(read[:n] for read in self._known for n in range(1, len(read)))
        self._longest = max(map(len, self._known), default=0)

    def first(self, text: str) -> Hit | None:
        """The hit that is complete first, of those the longest: the one that a reader character by character meets."""
        folded = fold(text)
        best: tuple[int, int, str] | None = None
        for read, phrase in self._known.items():
            at = folded.text.find(read)
            if at >= 0 and (best is None or (at + len(read), at) < best[:2]):
                best = (at + len(read), at, phrase)
        return None if best is None else Hit(best[2], folded.starts[best[1]], folded.starts[best[0] - 1] + 1)

    def open_tail(self, text: str) -> int:
        """Length of the longest suffix of the text that begins some phrase without completing it."""
        folded = fold(text)
        for n in range(min(self._longest - 1, len(folded.text)), 0, -1):
            if folded.text[-n:] in self._begun:
                return len(text) - folded.starts[-n]
        return 0
