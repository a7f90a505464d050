"""One reply in pieces: shows exactly what no rule could still touch; the result does not depend on how the stream was cut.

Held back is the longest suffix that could still become a phrase or a number. When a phrase completes, nothing from its first
character on is ever shown.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from trueline.algos.detectors.numbers import find_numbers, number_tail
from trueline.algos.detectors.phrases import first_hit, open_tail
from trueline.core.records import Verdict

REDACTED = "[removed]"


def redact(text: str) -> str:
    """The text with card numbers and IBANs replaced."""
    for n in reversed(find_numbers(text)):
        text = text[: n.start] + REDACTED + text[n.end :]
    return text


class StreamGuard:
    """`judge` gives the verdict on a whole text; `phrases` are those that stop a reply."""

    def __init__(self, judge: Callable[[str], Verdict], phrases: Sequence[str]) -> None:
        self._judge, self._phrases = judge, phrases
        self._text, self._shown = "", 0
        self._stopped = False

    def feed(self, text: str) -> str:
        """Takes the next piece; returns what is now safe to show, redacted."""
        self._text += text
        if self._stopped:
            return ""
        hit = first_hit(self._text, self._phrases)
        if hit is not None:
            self._stopped = True
            return self._show(hit.start)
        held = max(open_tail(self._text, self._phrases), number_tail(self._text))
        return self._show(len(self._text) - held)

    def _show(self, end: int) -> str:
        """Everything up to `end` that was not shown. A number that begins before `end` and goes on behind it waits."""
        for n in find_numbers(self._text):
            if n.start < end < n.end:
                end = n.start
        # the character before a piece decides whether a number may begin there, so numbers are found in the whole text
        piece, at = "", self._shown
        for n in find_numbers(self._text):
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
        verdict = self._judge(self._text)
        if verdict.action not in ("allow", "redact"):
            return "", verdict
        return self._show(len(self._text)), verdict
