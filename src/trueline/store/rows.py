"""How messages, tool calls and verdicts are written into columns and read back."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from trueline.charter.digests import canonical_json
from trueline.charter.turns import Message, ToolCall, messages_from
from trueline.core.records import Finding, Verdict


def messages_text(messages: Iterable[Message]) -> str:
    """A conversation as JSON text."""
    return canonical_json([m.to_dict() for m in messages])


def messages_read(text: str) -> tuple[Message, ...]:
    """A conversation out of JSON text."""
    raw = json.loads(text)
    return messages_from(raw) if raw else ()


def calls_text(calls: Iterable[ToolCall]) -> str:
    """Tool calls as JSON text."""
    return canonical_json([asdict(c) for c in calls])


def calls_read(text: str) -> tuple[ToolCall, ...]:
    """Tool calls out of JSON text."""
    return tuple(ToolCall(**c) for c in json.loads(text))


def verdict_text(verdict: Verdict | None) -> str:
    """A verdict as JSON text; `null` where none was given."""
    return canonical_json(None if verdict is None else asdict(verdict))


def verdict_read(text: str) -> Verdict | None:
    """A verdict out of JSON text."""
    raw: dict[str, Any] | None = json.loads(text)
    if raw is None:
        return None
    return Verdict(raw["action"], raw["clause"], raw["reason"], tuple(Finding(**f) for f in raw["findings"]))
