"""An Anthropic-compatible server as a `ChatModel`: `/v1/messages`, plain and streaming."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

from trueline.charter.digests import canonical_json as dumps
from trueline.charter.turns import ToolCall
from trueline.core.chat import ChatDelta, ChatReply, ChatRequest, FinishReason
from trueline.errors import ModelError
from trueline.models.wire import Wire, key_from

_FINISH: Mapping[str, FinishReason] = {
    "end_turn": "stop", "stop_sequence": "stop", "max_tokens": "length", "tool_use": "tool_calls", "refusal": "content_filter",
}  # fmt: skip


class AnthropicChat:
    """`model` at `url` (the part before /v1/messages). System messages go into `system`, the key comes from the environment."""

    def __init__(self, model: str, url: str = "https://api.anthropic.com", *, key: str | None = None, tries: int = 5) -> None:
        self._model, self._url = model, url
        key = key or key_from("ANTHROPIC_API_KEY", "TRUELINE_API_KEY")
        self._wire = Wire(url, {"anthropic-version": "2023-06-01", **({"x-api-key": key} if key else {})}, tries=tries)

    @property
    def name(self) -> str:
        """The TARGET string."""
        return f"anthropic:{self._model}@{self._url}"

    def identity(self) -> Mapping[str, Any]:
        """Model and address."""
        return {"anthropic": self._model, "url": self._url}

    def _body(self, request: ChatRequest) -> dict[str, Any]:
        s = request.sampling
        turns = [{"role": "user" if m.role == "tool" else m.role, "content": m.content} for m in request.messages if m.role != "system"]
        body: dict[str, Any] = {"model": self._model, "messages": turns, "max_tokens": s.max_tokens, "temperature": s.temperature}
        system = "\n\n".join(m.content for m in request.messages if m.role == "system")
        if system:
            body["system"] = system
        if s.top_p < 1:
            body["top_p"] = s.top_p
        if s.stop:
            body["stop_sequences"] = list(s.stop)
        return body

    async def reply(self, request: ChatRequest) -> ChatReply:
        """One answer."""
        raw = await self._wire.post("/v1/messages", self._body(request))
        blocks = raw.get("content")
        if not isinstance(blocks, list):
            raise ModelError(f"{self._url} answered without content blocks", remedy="check that it speaks /v1/messages")
        parts = [b for b in blocks if isinstance(b, dict)]
        finish = _FINISH.get(str(raw.get("stop_reason")), "stop")
        usage = raw.get("usage") or {}
        return ChatReply(
            text="".join(str(b.get("text", "")) for b in parts if b.get("type") == "text").strip(),
            finish_reason=finish,
            reasoning="".join(str(b.get("thinking", "")) for b in parts if b.get("type") == "thinking"),
            tool_calls=tuple(
                ToolCall(str(b.get("id")), str(b.get("name")), dumps(b.get("input") or {})) for b in parts if b.get("type") == "tool_use"
            ),
            model=str(raw.get("model", self._model)),
            blocked=finish == "content_filter",
            input_tokens=int(usage.get("input_tokens") or 0),
            output_tokens=int(usage.get("output_tokens") or 0),
        )

    async def stream(self, request: ChatRequest) -> AsyncIterator[ChatDelta]:
        """The answer in pieces of text and thinking."""
        finish: FinishReason | None = None
        async for event in self._wire.events("/v1/messages", {**self._body(request), "stream": True}):
            delta = event.get("delta") or {}
            if event.get("type") == "content_block_delta" and delta.get("type") == "text_delta":
                yield ChatDelta(text=str(delta.get("text", "")))
            elif event.get("type") == "content_block_delta" and delta.get("type") == "thinking_delta":
                yield ChatDelta(reasoning=str(delta.get("thinking", "")))
            elif event.get("type") == "message_delta" and delta.get("stop_reason"):
                finish = _FINISH.get(str(delta["stop_reason"]), "stop")
            elif event.get("type") == "error":
                raise ModelError(f"{self._url} failed in mid-stream", remedy="ask again")
        if finish is None:
            raise ModelError(f"{self._url} ended the stream without a stop_reason", remedy="ask again")
        yield ChatDelta(finish_reason=finish)

    async def close(self) -> None:
        """Closes the connections."""
        await self._wire.close()
