"""How the pages say things: times, who spoke, what a conversation asks, what a verdict means, characters that do not show."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from trueline.charter.turns import Message
from trueline.core.records import Action

ROLES = {"user": "Customer", "assistant": "Assistant", "tool": "Tool", "system": "Instruction"}
JUDGED = {"answer": "answer it", "careful": "answer with care", "refuse": "do not answer"}
SHOWN = "\n\t"
VERDICTS: Mapping[Action, str] = {
    "allow": "Allowed", "redact": "Shown with personal numbers removed", "refuse": "Refused", "redirect": "Redirected",
    "hold": "Held for a person",
}  # fmt: skip


def moment(text: str) -> str:
    """2026-11-24 17:37 UTC, of a time as it is stored."""
    return f"{text[:16].replace('T', ' ')} UTC"


def left(until: str, now: str) -> str:
    """How long it still is: `3 h 58 min`, `40 s`, `no time`."""
    seconds = int((datetime.fromisoformat(until) - datetime.fromisoformat(now)).total_seconds())
    if seconds <= 0:
        return "no time"
    if seconds < 60:
        return f"{seconds} s"
    minutes = seconds // 60
    days, hours = divmod(minutes // 60, 24)
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes % 60} min" if hours else f"{minutes} min"


def asked(messages: Sequence[Message]) -> str:
    """What a conversation asks: the last thing that a customer said, else the last thing that was said."""
    said = next((m.content for m in reversed(messages) if m.role == "user" and m.content.strip()), None)
    return said or next((m.content for m in reversed(messages) if m.content.strip()), "(no words)")


def speaker(role: str) -> str:
    """Who spoke, in words."""
    return ROLES.get(role, role)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")
    return found


def pretty(arguments: str) -> str:
    """A tool call's arguments, indented where they are plain JSON; anything else (also a name that stands twice, of which a reader of
    JSON would drop one) exactly as the model wrote it."""
    try:
        return json.dumps(json.loads(arguments, object_pairs_hook=_once), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return arguments


def unseen(text: str) -> str:
    """Characters that do not show or that turn the text around, as `U+202E (2)`; empty where there are none."""
    found: dict[str, int] = {}
    for c in text:
        if c not in SHOWN and unicodedata.category(c) in ("Cf", "Cc", "Co", "Cn"):
            found[c] = found.get(c, 0) + 1
    return ", ".join(f"U+{ord(c):04X} ({n})" for c, n in sorted(found.items()))


def judged(judgement: str) -> str:
    """A judgement in words."""
    return JUDGED.get(judgement, judgement)


def verdict(action: Action, clause: str | None) -> str:
    """What was decided, in words."""
    return VERDICTS[action] + (f" by the clause {clause}" if clause else "")


FILTERS: Mapping[str, Callable[..., Any]] = {
    "moment": moment, "left": left, "asked": asked, "speaker": speaker, "pretty": pretty, "unseen": unseen, "judged": judged,
}  # fmt: skip
