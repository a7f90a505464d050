"""Messages of a conversation: the one type that every room passes on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from trueline.errors import DataError

Role = Literal["system", "user", "assistant", "tool"]
ROLES: tuple[str, ...] = get_args(Role)


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call of a tool that the model asks for. `arguments` is the JSON text exactly as the model wrote it."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Message:
    """One message. `tool_calls` only on the assistant's, `tool_call_id` only on a tool's answer."""

    role: Role
    content: str
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """The OpenAI wire form, without empty fields."""
        out: dict[str, Any] = {"role": self.role, "content": self.content}
        if self.tool_calls:
            out["tool_calls"] = [
                {"id": c.id, "type": "function", "function": {"name": c.name, "arguments": c.arguments}} for c in self.tool_calls
            ]
        if self.tool_call_id is not None:
            out["tool_call_id"] = self.tool_call_id
        return out


def _content(value: Any) -> str | None:
    """Text of a wire `content`: a string, or the text parts of a list of parts; None where it is neither."""
    if isinstance(value, str):
        return value
    if isinstance(value, Sequence):
        parts = [p.get("text") for p in value if isinstance(p, Mapping)]
        return "".join(map(str, parts)) if len(parts) == len(value) and all(isinstance(p, str) for p in parts) else None
    return None


def message_from(raw: object) -> Message:
    """Reads one message in the OpenAI wire form. Raises `DataError` that names what was wrong."""
    if not isinstance(raw, Mapping):
        raise DataError(f"a message must be an object, got {type(raw).__name__}", remedy='write {"role": ..., "content": ...}')
    role = raw.get("role")
    if role not in ROLES:
        raise DataError(f"unknown role {role!r}, expected one of {', '.join(ROLES)}", remedy="mend the role")
    given, answered = raw.get("tool_calls") or (), raw.get("tool_call_id")
    if not isinstance(given, Sequence) or isinstance(given, str):
        raise DataError(f"tool_calls must be a list, got {type(given).__name__}", remedy="give a list of calls")
    if not isinstance(answered, str | None):
        raise DataError(f"tool_call_id must be text, got {type(answered).__name__}", remedy="give the id of the call")
    calls = tuple(
        ToolCall(str(c.get("id", "")), str(c["function"]["name"]), str(c["function"].get("arguments", "")))
        for c in given
        if isinstance(c, Mapping) and isinstance(c.get("function"), Mapping) and "name" in c["function"]
    )
    content = _content(raw.get("content") if raw.get("content") is not None else ("" if calls else None))
    if content is None:
        raise DataError(f"message content must be text, got {type(raw.get('content')).__name__}", remedy="give a string")
    return Message(role, content, calls, answered)


def messages_from(raw: object) -> tuple[Message, ...]:
    """Reads a conversation: a list of wire messages, or a plain string taken as one user message."""
    if isinstance(raw, str):
        return (Message("user", raw),)
    if not isinstance(raw, Sequence) or not raw:
        raise DataError(f"a conversation must be a non-empty list of messages, got {type(raw).__name__}", remedy="give a list")
    return tuple(message_from(m) for m in raw)


def behind(prompt: str, messages: Sequence[Message]) -> tuple[Message, ...]:
    """The conversation with the system prompt first, as the model will see it in use; without one (""), as it is."""
    return (Message("system", prompt), *messages) if prompt else tuple(messages)
