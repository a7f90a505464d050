"""What of a growing reply may be shown: whole characters, nothing that could still become a stop string or the mark of
a reasoning block. What was shown never changes, however the tokens were cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from trueline.engine.sampling import cut

OPEN, CLOSE = "<think>", "</think>"


@dataclass(frozen=True, slots=True)
class Shown:
    """`text` is what the user sees, `reasoning` the content of a leading <think> block."""

    text: str = ""
    reasoning: str = ""


def split_reasoning(text: str) -> tuple[str, str]:
    """(what the user sees, reasoning) of a finished text; an unclosed block is all reasoning."""
    done = shown(text, final=True)
    return done.text, done.reasoning


def held_back(text: str, marks: Sequence[str]) -> int:
    """Length of the longest end of `text` that is a proper beginning of one of `marks`."""
    longest = max((len(m) for m in marks), default=1) - 1
    for n in range(min(longest, len(text)), 0, -1):
        if any(len(m) > n and m.startswith(text[-n:]) for m in marks):
            return n
    return 0


def shown(text: str, *, final: bool, stops: Sequence[str] = ()) -> Shown:
    """The part of `text` (all that was sampled so far) that is safe to show; all of it once `final`."""
    stopped = cut(text, stops)
    final = final or len(stopped) < len(text)
    if not final:
        stopped = stopped.rstrip("\ufffd")  # bytes of a character that is not whole yet
        if stops:  # before spaces go: a stop may begin with one
            stopped = stopped[: len(stopped) - held_back(stopped, stops)]
    body = stopped.lstrip()
    if not final and OPEN.startswith(body):
        return Shown()
    if not body.startswith(OPEN):
        return Shown(body.rstrip(), "")
    thought, closed, after = body[len(OPEN) :].partition(CLOSE)
    if not closed and not final:
        thought = thought[: len(thought) - held_back(thought, (CLOSE,))]
    return Shown(after.strip() if closed else "", thought.strip())


class Pieces:
    """Turns a growing text into deltas."""

    def __init__(self, stops: Sequence[str] = ()) -> None:
        self._stops, self._sent = tuple(stops), Shown()

    def feed(self, text: str, *, final: bool = False) -> Shown:
        """What is new since the last call, given all text so far."""
        now = shown(text, final=final, stops=self._stops)
        new = Shown(now.text[len(self._sent.text) :], now.reasoning[len(self._sent.reasoning) :])
        self._sent = now
        return new
