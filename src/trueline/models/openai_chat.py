"""An OpenAI-compatible server as a `ChatModel`: `/chat/completions`, plain and streaming."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

from trueline.charter.turns import ToolCall
from trueline.core.chat import ChatDelta, ChatReply, ChatRequest, FinishReason
from trueline.errors import ModelError
from trueline.models.reasoning import split_reasoning
from trueline.models.wire import Wire, key_from

_FINISH: Mapping[str, FinishReason] = {
    "stop": "stop", "length": "length", "content_filter": "content_filter", "tool_calls": "tool_calls", "function_call": "tool_calls",
}  # fmt: skip


def _calls(raw: object) -> tuple[ToolCall, ...]:
    if not isinstance(raw, list):
        return ()
    found = []
    for c in raw:
        function = c.get("function") if isinstance(c, dict) else None
        if isinstance(function, dict) and function.get("name"):
            found.append(ToolCall(str(c.get("id", "")), str(function["name"]), str(function.get("arguments", ""))))
    return tuple(found)


class OpenAIChat:
    """`model` at `url` (the part before /chat/completions). The key comes from the environment, never from a file."""

    def __init__(self, model: str, url: str = "https://api.openai.com/v1", *, key: str | None = None, tries: int = 5) -> None:
        self._model, self._url = model, url
        key = key or key_from("OPENAI_API_KEY", "TRUELINE_API_KEY")
        self._wire = Wire(url, {"authorization": f"Bearer {key}"} if key else {}, tries=tries)

    @property
    def name(self) -> str:
        """The TARGET string."""
        return f"openai:{self._model}@{self._url}"

    def identity(self) -> Mapping[str, Any]:
        """Model and address; the version that the server names is recorded with each reply."""
        return {"openai": self._model, "url": self._url}

    def _body(self, request: ChatRequest) -> dict[str, Any]:
        s = request.sampling
        body: dict[str, Any] = {
            "model": self._model, "messages": [m.to_dict() for m in request.messages], "temperature": s.temperature,
            "top_p": s.top_p, "max_tokens": s.max_tokens, "seed": s.seed,
        }  # fmt: skip
        if s.stop:
            body["stop"] = list(s.stop)
        if request.tools:
            body["tools"] = [dict(t) for t in request.tools]
        return body

    async def reply(self, request: ChatRequest) -> ChatReply:
        """One answer."""
        raw = await self._wire.post("/chat/completions", self._body(request))
        try:
            choice = raw["choices"][0]
            message = choice["message"]
            content = message.get("content") or message.get("refusal") or ""
        except (KeyError, IndexError, TypeError, AttributeError):
            raise ModelError(f"{self._url} answered without choices[0].message", remedy="check that it speaks /chat/completions") from None
        text, inline = split_reasoning(str(content))
        finish = _FINISH.get(str(choice.get("finish_reason")), "stop")
        usage = raw.get("usage") or {}
        return ChatReply(
            text=text,
            finish_reason=finish,
            reasoning=str(message.get("reasoning_content") or message.get("reasoning") or inline),
            tool_calls=_calls(message.get("tool_calls")),
            model=str(raw.get("model", self._model)),
            fingerprint=str(raw.get("system_fingerprint") or ""),
            blocked=finish == "content_filter",
            input_tokens=int(usage.get("prompt_tokens") or 0),
            output_tokens=int(usage.get("completion_tokens") or 0),
        )

    async def stream(self, request: ChatRequest) -> AsyncIterator[ChatDelta]:
        """The answer in pieces; tool calls are gathered and come whole with the last piece."""
        calls: dict[int, list[str]] = {}
        finish: FinishReason | None = None
        body = {**self._body(request), "stream": True}
        async for event in self._wire.events("/chat/completions", body):
            if event.get("error"):
                raise ModelError(f"{self._url} failed in mid-stream", remedy="ask again")
            choice = (event.get("choices") or [{}])[0]
            delta = choice.get("delta") or {}
            for piece in delta.get("tool_calls") or []:
                held = calls.setdefault(int(piece.get("index", 0)), ["", "", ""])
                function = piece.get("function") or {}
                held[0] += piece.get("id") or ""
                held[1] += function.get("name") or ""
                held[2] += function.get("arguments") or ""
            thought = delta.get("reasoning_content") or delta.get("reasoning") or ""
            if delta.get("content") or thought:
                yield ChatDelta(text=delta.get("content") or "", reasoning=thought)
            if choice.get("finish_reason"):
                finish = _FINISH.get(str(choice["finish_reason"]), "stop")
        if finish is None:
            raise ModelError(f"{self._url} ended the stream without a finish_reason", remedy="ask again")
        yield ChatDelta(tool_calls=tuple(ToolCall(*c) for c in calls.values()), finish_reason=finish)

    async def close(self) -> None:
        """Closes the connections."""
        await self._wire.close()
