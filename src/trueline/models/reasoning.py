"""What the user sees and what the model thought: reasoning blocks are split off before anything is graded or shown."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_TAGS = ("think", "thinking", "reasoning")
_BLOCK = re.compile(rf"^\s*<({'|'.join(_TAGS)})>(.*?)</\1>\s*", re.DOTALL)
_OPEN = re.compile(rf"^\s*<({'|'.join(_TAGS)})>")


def split_reasoning(text: str) -> tuple[str, str]:
    """(what the user sees, reasoning) of a text that may open with a reasoning block; an unclosed block is all reasoning."""
    found = _BLOCK.match(text)
    if found:
        return text[found.end() :].strip(), found.group(2).strip()
    opened = _OPEN.match(text)
    if opened:
        return "", text[opened.end() :].strip()
    return text, ""


@dataclass(slots=True)
class ReasoningSplitter:
    """The same for a stream: holds back only what may still become a tag. Joined and stripped, its text is that of `split_reasoning`."""

    _held: str = ""
    _tag: str = ""
    _state: str = field(default="start")

    def feed(self, text: str) -> tuple[str, str]:
        """(text to show, reasoning) that this piece settles."""
        self._held += text
        if self._state == "start":
            self._open()
        if self._state == "inside":
            return self._inside()
        if self._state == "after":
            self._held = self._held.lstrip()
            self._state = "text" if self._held else "after"
        if self._state == "text":
            shown, self._held = self._held, ""
            return shown, ""
        return "", ""

    def _open(self) -> None:
        opened = _OPEN.match(self._held)
        bare = self._held.lstrip()
        if opened:
            self._state, self._tag, self._held = "inside", opened.group(1), self._held[opened.end() :]
        elif not any(f"<{t}>".startswith(bare) for t in _TAGS):
            self._state = "text"

    def _inside(self) -> tuple[str, str]:
        close = f"</{self._tag}>"
        thought, found, rest = self._held.partition(close)
        if found:
            self._state, self._held = "after", rest
            shown, _ = self.feed("")
            return shown, thought
        keep = next((n for n in range(min(len(close) - 1, len(thought)), 0, -1) if close.startswith(thought[-n:])), 0)
        self._held = thought[len(thought) - keep :]
        return "", thought[: len(thought) - keep]

    def finish(self) -> tuple[str, str]:
        """What was still held back when the stream ended."""
        rest, self._held = self._held, ""
        return ("", rest) if self._state == "inside" else (rest, "") if self._state == "start" else ("", "")
