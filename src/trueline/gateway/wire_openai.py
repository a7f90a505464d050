"""The OpenAI wire form of chat completions: reads requests, writes completions, chunks and errors. No decisions here."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from trueline.charter.turns import ToolCall, messages_from
from trueline.core.chat import ChatRequest, Sampling
from trueline.errors import DataError
from trueline.store.exchanges import Exchange
from trueline.store.holds import Hold

_READ = frozenset({
    "model", "messages", "temperature", "top_p", "max_tokens", "max_completion_tokens", "seed", "stop", "stream", "stream_options",
    "n", "user", "metadata", "store", "tools", "tool_choice", "parallel_tool_calls", "service_tier", "safety_identifier", "prompt_cache_key",
})  # fmt: skip
_NEUTRAL: Mapping[str, tuple[Any, ...]] = {
    "frequency_penalty": (0, None), "presence_penalty": (0, None), "logprobs": (False, None), "top_logprobs": (0, None),
    "logit_bias": ({}, None), "response_format": ({"type": "text"}, None), "n": (1, None), "tool_choice": ("auto", None),
}  # fmt: skip
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")  # written by json.dumps; two backslashes are one of the text itself


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as read: the conversation, how the client wants to hear the answer, and for which of its users it asks."""

    chat: ChatRequest
    stream: bool
    usage: bool
    user: str = ""


def _number(body: Mapping[str, Any], name: str, low: float, high: float, default: float) -> float:
    value = body.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise DataError(f"{name} is {value!r:.40}, expected a number from {low:g} to {high:g}", remedy="mend the request")
    return float(value)


def _sampling(body: Mapping[str, Any], default: Sampling) -> Sampling:
    stop = [body["stop"]] if isinstance(body.get("stop"), str) else body.get("stop") or list(default.stop)
    if not isinstance(stop, list) or not all(isinstance(s, str) for s in stop):
        raise DataError("stop must be a string or a list of strings", remedy="mend the request")
    seed = body.get("seed")
    if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int) or not -(2**63) <= seed < 2**63):
        raise DataError(f"seed is {seed!r:.40}, expected an integer of 64 bits", remedy="mend the request")
    length = body.get("max_tokens") if body.get("max_completion_tokens") is None else body["max_completion_tokens"]
    if isinstance(length, float):
        raise DataError(f"max_tokens is {length!r:.40}, expected an integer", remedy="mend the request")
    temperature = _number(body, "temperature", 0, 2, default.temperature)
    return Sampling(
        temperature=temperature,
        top_p=_number(body, "top_p", 0, 1, default.top_p),
        max_tokens=int(_number({"max_tokens": length}, "max_tokens", 1, 1_000_000, default.max_tokens)),
        seed=seed if seed is not None else (secrets.randbits(31) if temperature else default.seed),
        stop=tuple(s for s in stop if s),
    )


def _parsed(raw: bytes) -> Any:
    """The JSON of a body, if it can be kept and sent on as it is: no NaN, no halves of characters, no NUL, no numbers of thousands of
    digits, no nesting beyond reason. Raises `DataError`."""
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        raise DataError("the body is no JSON", remedy="send a JSON object") from None
    try:
        kept = json.dumps(body, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError):
        raise DataError("the body holds NaN, half a character, or nests too deep", remedy="send plain JSON") from None
    if _NUL.search(kept):
        raise DataError("the body holds the character NUL", remedy="leave it out")
    return body


def read_request(raw: bytes, model: str, default: Sampling) -> Asked:
    """Reads a request body. Raises `DataError` for what is not understood or would be ignored; a `model` other than the one served
    is refused, so that nobody takes the answers of one model for those of another."""
    body = _parsed(raw)
    if not isinstance(body, Mapping):
        raise DataError(f"the body must be a JSON object, got {type(body).__name__}", remedy="send an object")
    for name, value in body.items():
        if name in _NEUTRAL and value not in _NEUTRAL[name]:
            raise DataError(f"{name}={value!r:.40} is not supported by this gateway", remedy=f"leave {name} out")
        if name not in _NEUTRAL and name not in _READ:
            raise DataError(f"unknown field {name!r:.40}", remedy="leave it out")
    if body.get("model") not in (None, "", model):
        raise DataError(f"the model {body['model']!r:.60} is not served here", remedy=f"ask for {model!r}")
    options, tools, said = body.get("stream_options") or {}, body.get("tools") or [], body.get("messages")
    if not isinstance(options, Mapping) or not isinstance(tools, list) or not all(isinstance(t, Mapping) for t in tools):
        raise DataError("stream_options must be an object and tools a list of objects", remedy="mend the request")
    if not isinstance(body.get("stream"), bool | None):
        raise DataError(f"stream is {body['stream']!r:.40}, expected true or false", remedy="mend the request")
    if not isinstance(said, list):
        raise DataError("messages must be a list", remedy='send {"messages": [{"role": "user", "content": ...}]}')
    # `developer` is what newer clients call `system`
    said = [{**m, "role": "system"} if isinstance(m, Mapping) and m.get("role") == "developer" else m for m in said]
    chat = ChatRequest(messages_from(said), _sampling(body, default), tuple(tools))
    user = str(body.get("safety_identifier") or body.get("user") or "")
    return Asked(chat, bool(body.get("stream")), bool(options.get("include_usage")), user)


def error_body(message: str, kind: str = "invalid_request_error", code: str | None = None) -> dict[str, Any]:
    """The OpenAI form of an error."""
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def _calls(calls: tuple[ToolCall, ...]) -> list[dict[str, Any]]:
    return [{"id": c.id, "type": "function", "function": {"name": c.name, "arguments": c.arguments}} for c in calls]


def extra(e: Exchange, hold: Hold | None) -> dict[str, Any]:
    """The field `trueline`: what was decided about this reply, without reasons or anything of a held draft."""
    out: dict[str, Any] = {"status": "held" if e.state == "held" else "completed", "action": e.action, "clause": e.clause}
    if hold is not None:
        out |= {"review_id": hold.id, "expires": hold.expires}
        if hold.state != "pending":
            out["decision"] = hold.state
    return out


def _head(e: Exchange, kind: str) -> dict[str, Any]:
    return {"id": e.id, "object": kind, "created": int(datetime.fromisoformat(e.created).timestamp()), "model": e.model}


def usage(e: Exchange) -> dict[str, int]:
    """Tokens as the upstream counted them; of a held draft not even its length is told."""
    if e.state != "completed":
        return {"prompt_tokens": e.input_tokens, "completion_tokens": 0, "total_tokens": e.input_tokens}
    return {"prompt_tokens": e.input_tokens, "completion_tokens": e.output_tokens, "total_tokens": e.input_tokens + e.output_tokens}


def visible(e: Exchange, hold: Hold | None) -> tuple[str, tuple[ToolCall, ...], str]:
    """(text, tool calls, finish_reason) that the client may see now: of a pending hold only its neutral sentence."""
    if e.state != "completed":
        return (hold.neutral if hold else ""), (), "content_filter"
    return e.reply or "", e.tool_calls, e.finish_reason or "stop"


def completion(e: Exchange, hold: Hold | None) -> dict[str, Any]:
    """A whole `chat.completion`."""
    text, calls, finish = visible(e, hold)
    message: dict[str, Any] = {"role": "assistant", "content": text if text or not calls else None, "refusal": None}
    if calls:
        message["tool_calls"] = _calls(calls)
    choice = {"index": 0, "message": message, "finish_reason": finish, "logprobs": None}
    return {**_head(e, "chat.completion"), "choices": [choice], "usage": usage(e), "trueline": extra(e, hold)}


def chunk(e: Exchange, delta: Mapping[str, Any], finish: str | None = None) -> dict[str, Any]:
    """A `chat.completion.chunk`."""
    choice = {"index": 0, "delta": dict(delta), "finish_reason": finish, "logprobs": None}
    return {**_head(e, "chat.completion.chunk"), "choices": [choice]}


def closing(e: Exchange, hold: Hold | None, with_usage: bool) -> Iterator[dict[str, Any] | str]:
    """The last events of a stream: tool calls, the finish, the usage, `[DONE]`."""
    _, calls, finish = visible(e, hold)
    if calls:
        yield chunk(e, {"tool_calls": [{"index": i, **c} for i, c in enumerate(_calls(calls))]})
    yield {**chunk(e, {}, finish), "trueline": extra(e, hold)}
    if with_usage:
        yield {**_head(e, "chat.completion.chunk"), "choices": [], "usage": usage(e)}
    yield "[DONE]"


def event(value: Mapping[str, Any] | str) -> str:
    """One server-sent event."""
    return f"data: {value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}\n\n"
