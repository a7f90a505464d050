"""What the user sees and what the model thought: reasoning blocks are split off before anything is graded."""

from __future__ import annotations

import re

_BLOCK = re.compile(r"^\s*<(think|thinking|reasoning)>(.*?)</\1>\s*", re.DOTALL)
_OPEN = re.compile(r"^\s*<(think|thinking|reasoning)>")


def split_reasoning(text: str) -> tuple[str, str]:
    """(what the user sees, reasoning) of a text that may open with a reasoning block; an unclosed block is all reasoning."""
    found = _BLOCK.match(text)
    if found:
        return text[found.end() :].strip(), found.group(2).strip()
    opened = _OPEN.match(text)
    if opened:
        return "", text[opened.end() :].strip()
    return text, ""
