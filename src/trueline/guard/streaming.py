"""One reply in pieces: shows exactly what no rule could still touch; the result does not depend on how the stream was cut.

Held back is the longest suffix that could still become a phrase or a number. When a phrase completes, nothing from its first
character on is ever shown. Each piece is read together with what is held back before it, not with the whole reply again.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from trueline.algos.detectors.numbers import find_numbers, number_tail
from trueline.algos.detectors.phrases import Phrases
from trueline.core.records import Verdict

REDACTED = "[removed]"
_EDGE = re.compile(r"[^0-9A-Z -]")  # in no number: before one of these nothing matters to what follows


def redact(text: str) -> str:
    """The text with card numbers and IBANs replaced."""
    for n in reversed(find_numbers(text)):
        text = text[: n.start] + REDACTED + text[n.end :]
    return text


class StreamGuard:
    """`judge` gives the verdict on a whole text; `phrases` are those that stop a reply."""

    def __init__(self, judge: Callable[[str], Verdict], phrases: Phrases) -> None:
        self._judge, self._phrases = judge, phrases
        self._whole: list[str] = []
        self._text, self._shown = "", 0  # the part still read, from an edge before what is held back on, and how much of it was shown
        self._stopped = False

    def feed(self, text: str) -> str:
        """Takes the next piece; returns what is now safe to show, redacted."""
        self._whole.append(text)
        if self._stopped:
            return ""
        self._text += text
        hit = self._phrases.first(self._text[self._shown :])
        if hit is not None:
            self._stopped = True
            return self._show(self._shown + hit.start)
        held = max(self._phrases.open_tail(self._text[self._shown :]), number_tail(self._text))
        piece = self._show(len(self._text) - held)
        edge = max((m.start() for m in _EDGE.finditer(self._text, 0, self._shown)), default=0)
        self._text, self._shown = self._text[edge:], self._shown - edge
        return piece

    def _show(self, end: int) -> str:
        """Everything up to `end` that was not shown. A number that begins before `end` and goes on behind it waits."""
        numbers = find_numbers(self._text)
        for n in numbers:
            if n.start < end < n.end:
                end = n.start
        # the character before a piece decides whether a number may begin there, so numbers are found from an edge on
        piece, at = "", self._shown
        for n in numbers:
            if n.start >= at and n.end <= end:
                piece += self._text[at : n.start] + REDACTED
                at = n.end
        if end > at:
            piece += self._text[at:end]
            at = end
        self._shown = max(self._shown, at)
        return piece

    def finish(self) -> tuple[str, Verdict]:
        """The rest that is safe to show, and the verdict on the whole text."""
        verdict = self._judge("".join(self._whole))
        if verdict.action not in ("allow", "redact"):
            return "", verdict
        return self._show(len(self._text)), verdict
