"""An Anthropic-compatible server as a `ChatModel`: `/v1/messages`, plain and streaming, tools translated both ways."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

from trueline.charter.digests import canonical_json
from trueline.charter.turns import Message, ToolCall
from trueline.core.chat import ChatDelta, ChatReply, ChatRequest, FinishReason
from trueline.errors import ModelError
from trueline.models.dialects import is_block
from trueline.models.wire import RequestRefused, Unreadable, Wire, count_of, key_from

_FINISH: Mapping[str, FinishReason] = {
    "end_turn": "stop", "stop_sequence": "stop", "max_tokens": "length", "tool_use": "tool_calls", "refusal": "content_filter",
    "model_context_window_exceeded": "length",
}  # fmt: skip


def _arguments(text: str) -> object:
    try:
        return json.loads(text or "{}")
    except json.JSONDecodeError:
        return {"arguments": text}  # a model wrote broken JSON; the server must still be told what was called


def _turn(m: Message) -> dict[str, Any]:
    """One message in the Anthropic form: tool calls and their results are content blocks there."""
    if m.role == "tool":
        return {"role": "user", "content": [{"type": "tool_result", "tool_use_id": m.tool_call_id or "", "content": m.content}]}
    if not m.tool_calls:
        return {"role": m.role, "content": m.content}
    text = [{"type": "text", "text": m.content}] if m.content else []
    uses = [{"type": "tool_use", "id": c.id, "name": c.name, "input": _arguments(c.arguments)} for c in m.tool_calls]
    return {"role": m.role, "content": [*text, *uses]}


def _tool(tool: Mapping[str, Any]) -> dict[str, Any]:
    """An OpenAI tool object in the Anthropic form; one that is so already stays as it is."""
    function = tool.get("function")
    if not isinstance(function, Mapping):
        return dict(tool)
    out = {"name": function.get("name"), "input_schema": function.get("parameters") or {"type": "object", "properties": {}}}
    return {**out, "description": function["description"]} if function.get("description") else out


class AnthropicChat:
    """`model` at `url` (the part before /v1/messages). System messages go into `system`, the key comes from the environment.
    The protocol has no seed: repeated samples differ by chance alone."""

    def __init__(self, model: str, url: str = "https://api.anthropic.com", *, key: str | None = None, tries: int = 5) -> None:
        self._model, self._url = model, url.rstrip("/").removesuffix("/v1")
        key = key or key_from("ANTHROPIC_API_KEY", "TRUELINE_API_KEY")
        self._wire = Wire(self._url, {"anthropic-version": "2023-06-01", **({"x-api-key": key} if key else {})}, tries=tries)

    @property
    def name(self) -> str:
        """The TARGET string."""
        return f"anthropic:{self._model}@{self._url}"

    def identity(self) -> Mapping[str, Any]:
        """Model and address."""
        return {"anthropic": self._model, "url": self._url}

    def _body(self, request: ChatRequest) -> dict[str, Any]:
        s = request.sampling
        turns = [_turn(m) for m in request.messages if m.role != "system"]
        body: dict[str, Any] = {"model": self._model, "messages": turns, "max_tokens": s.max_tokens, "temperature": s.temperature}
        system = "\n\n".join(m.content for m in request.messages if m.role == "system")
        optional = {
            "system": system,
            "top_p": s.top_p if s.top_p < 1 else None,
            "stop_sequences": list(s.stop),
            "tools": [_tool(t) for t in request.tools],
        }
        return {**body, **{k: v for k, v in optional.items() if v}}

    async def reply(self, request: ChatRequest) -> ChatReply:
        """One answer. Raises `ModelError`, `ModelUnavailable`; `stop_reason: refusal` is a reply that says `blocked`."""
        try:
            told = await self._wire.post("/v1/messages", self._body(request))
        except RequestRefused as e:
            if is_block(e):
                return ChatReply("", "content_filter", model=self._model, blocked=True)
            raise
        raw = told.raw
        blocks = raw.get("content")
        if not isinstance(blocks, list):
            raise Unreadable(f"{self._url} answered without content blocks", remedy="check that it speaks /v1/messages")
        parts = [b for b in blocks if isinstance(b, dict)]
        finish = _FINISH.get(str(raw.get("stop_reason")), "stop")
        return ChatReply(
            text="".join(str(b.get("text", "")) for b in parts if b.get("type") == "text").strip(),
            finish_reason=finish,
            reasoning="".join(str(b.get("thinking", "")) for b in parts if b.get("type") == "thinking"),
            tool_calls=tuple(
                ToolCall(str(b.get("id", "")), str(b.get("name", "")), canonical_json(b.get("input") or {}))
                for b in parts
                if b.get("type") == "tool_use"
            ),
            model=str(raw.get("model") or self._model),
            blocked=finish == "content_filter",
            input_tokens=count_of(raw.get("usage"), "input_tokens"),
            output_tokens=count_of(raw.get("usage"), "output_tokens"),
            seconds=told.seconds,
        )

    async def stream(self, request: ChatRequest) -> AsyncIterator[ChatDelta]:
        """The answer in pieces of text and thinking; tool calls come whole with the last piece, as do the token counts."""
        try:
            async for delta in self._pieces(request):
                yield delta
        except RequestRefused as e:  # always before the first piece
            if not is_block(e):
                raise
            yield ChatDelta(finish_reason="content_filter")

    async def _pieces(self, request: ChatRequest) -> AsyncIterator[ChatDelta]:
        finish: FinishReason | None = None
        calls: dict[int, list[str]] = {}
        read = written = 0
        async for event in self._wire.events("/v1/messages", {**self._body(request), "stream": True}):
            kind = event.get("type")
            if kind == "error":
                raise ModelError(f"{self._url} failed in mid-stream", remedy="ask again")
            if kind == "message_start" and isinstance(event.get("message"), dict):
                read = count_of(event["message"].get("usage"), "input_tokens")
            elif kind == "content_block_start":
                _begin(calls, event)
            elif kind == "content_block_delta":
                piece = _piece(calls, event)
                if piece is not None:
                    yield piece
            elif kind == "message_delta":
                delta = event.get("delta")
                if isinstance(delta, dict) and delta.get("stop_reason"):
                    finish = _FINISH.get(str(delta["stop_reason"]), "stop")
                written = count_of(event.get("usage"), "output_tokens") or written
        if finish is None:
            raise ModelError(f"{self._url} ended the stream without a stop_reason", remedy="ask again")
        done = tuple(ToolCall(i, n, a or "{}") for i, n, a in (calls[k] for k in sorted(calls)))
        yield ChatDelta(tool_calls=done, finish_reason=finish, input_tokens=read, output_tokens=written)

    async def close(self) -> None:
        """Closes the connections."""
        await self._wire.close()


def _index(event: Mapping[str, Any]) -> int:
    found = event.get("index")
    return found if isinstance(found, int) else 0


def _begin(calls: dict[int, list[str]], event: Mapping[str, Any]) -> None:
    """Remembers a tool call that begins: [id, name, arguments so far]."""
    block = event.get("content_block")
    if isinstance(block, dict) and block.get("type") == "tool_use":
        calls[_index(event)] = [str(block.get("id", "")), str(block.get("name", "")), ""]


def _piece(calls: dict[int, list[str]], event: Mapping[str, Any]) -> ChatDelta | None:
    """What a delta event adds: text or thinking to show, or arguments to the call that is being written."""
    delta = event.get("delta")
    if not isinstance(delta, dict):
        return None
    kind = delta.get("type")
    if kind == "input_json_delta" and _index(event) in calls:
        calls[_index(event)][2] += str(delta.get("partial_json", ""))
    if kind == "text_delta":
        return ChatDelta(text=str(delta.get("text", "")))
    return ChatDelta(reasoning=str(delta.get("thinking", ""))) if kind == "thinking_delta" else None
