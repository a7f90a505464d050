"""The OpenAI wire form of chat completions, for the engine's own server: request in, completion and chunks out."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from typing import Any

from trueline.charter.turns import messages_from
from trueline.core.chat import ChatDelta, ChatReply, ChatRequest, Sampling
from trueline.errors import DataError

_READ = frozenset({
    "model", "messages", "temperature", "top_p", "max_tokens", "max_completion_tokens", "seed", "stop", "stream",
    "stream_options", "n", "user", "metadata", "store", "tools", "tool_choice", "parallel_tool_calls",
})  # fmt: skip
"""What is understood; anything else that would change the reply is refused, not ignored."""
_NEUTRAL: Mapping[str, tuple[Any, ...]] = {
    "frequency_penalty": (0, None),
    "presence_penalty": (0, None),
    "logprobs": (False, None),
    "top_logprobs": (0, None),
    "logit_bias": ({}, None),
    "response_format": ({"type": "text"}, None),
    "n": (1, None),
}


def _number(body: Mapping[str, Any], name: str, low: float, high: float, default: float) -> float:
    value = body.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise DataError(f"{name} is {value!r}, expected a number from {low:g} to {high:g}", remedy="mend the request")
    return float(value)


def _stop(value: Any) -> tuple[str, ...]:
    found = [value] if isinstance(value, str) else value or []
    if not isinstance(found, list) or not all(isinstance(s, str) for s in found):
        raise DataError(f"stop is {value!r}, expected a string or a list of strings", remedy="mend the request")
    return tuple(s for s in found if s)


def request_from(body: object, default: Sampling) -> ChatRequest:
    """Reads a request body. `default`: sampling where the body is silent. Raises `DataError` for everything that is not
    understood or would have no effect."""
    if not isinstance(body, Mapping):
        raise DataError(f"the body must be a JSON object, got {type(body).__name__}", remedy="send an object")
    for name, value in body.items():
        if name in _NEUTRAL:
            if value not in _NEUTRAL[name]:
                raise DataError(f"{name}={value!r} has no effect on a local model", remedy=f"leave {name} out")
        elif name not in _READ:
            raise DataError(f"unknown field {name!r}", remedy="leave it out")
    if not isinstance(body.get("stream_options") or {}, Mapping):
        raise DataError("stream_options must be an object", remedy="mend the request")
    length = body.get("max_completion_tokens") or body.get("max_tokens")
    seed = body.get("seed")
    if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int)):
        raise DataError(f"seed is {seed!r}, expected an integer", remedy="mend the request")
    sampling = Sampling(
        temperature=_number(body, "temperature", 0, 2, default.temperature),
        top_p=_number(body, "top_p", 0, 1, default.top_p),
        max_tokens=int(_number({"max_tokens": length}, "max_tokens", 1, 1_000_000, default.max_tokens)),
        # an unseeded request at a temperature must differ from the last one
        seed=seed if seed is not None else secrets.randbits(31),
        stop=_stop(body.get("stop")),
    )
    return ChatRequest(messages_from(body.get("messages")), sampling, tuple(body.get("tools") or ()))


def _usage(given: int, made: int) -> dict[str, int]:
    return {"prompt_tokens": given, "completion_tokens": made, "total_tokens": given + made}


def completion(ident: str, created: int, model: str, reply: ChatReply) -> dict[str, Any]:
    """A whole `chat.completion`."""
    message: dict[str, Any] = {"role": "assistant", "content": reply.text}
    if reply.reasoning:
        message["reasoning_content"] = reply.reasoning
    return {
        "id": ident,
        "object": "chat.completion",
        "created": created,
        "model": model,
        "system_fingerprint": reply.fingerprint,
        "choices": [{"index": 0, "message": message, "finish_reason": reply.finish_reason, "logprobs": None}],
        "usage": _usage(reply.input_tokens, reply.output_tokens),
    }


def chunk(ident: str, created: int, model: str, delta: ChatDelta, *, first: bool = False) -> dict[str, Any]:
    """A `chat.completion.chunk`."""
    content: dict[str, Any] = {"role": "assistant"} if first else {}
    if delta.text or first:
        content["content"] = delta.text
    if delta.reasoning:
        content["reasoning_content"] = delta.reasoning
    return {
        "id": ident,
        "object": "chat.completion.chunk",
        "created": created,
        "model": model,
        "choices": [{"index": 0, "delta": content, "finish_reason": delta.finish_reason}],
    }


def usage_chunk(ident: str, created: int, model: str, last: ChatDelta) -> dict[str, Any]:
    """The closing chunk that `stream_options.include_usage` asks for."""
    counts = _usage(last.input_tokens, last.output_tokens)
    return {**chunk(ident, created, model, last), "choices": [], "usage": counts}


def event(value: Mapping[str, Any] | str) -> str:
    """One server-sent event."""
    return f"data: {value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}\n\n"


def error_body(message: str, kind: str = "invalid_request_error") -> dict[str, Any]:
    """The OpenAI form of an error."""
    return {"error": {"message": message, "type": kind, "param": None, "code": None}}
