"""What ships: a model behind its prompt, few-shot examples and sampling settings."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from trueline.charter.turns import Message
from trueline.core.chat import ChatDelta, ChatModel, ChatReply, ChatRequest, ScoredChat, StreamingChat, TokenChat
from trueline.errors import ModelError


class SystemChat:
    """Puts the system prompt and the shots before each conversation. A conversation's own system messages follow the
    prompt: they may add, they do not replace."""

    def __init__(self, inner: ChatModel, prompt: str = "", shots: Sequence[Message] = ()) -> None:
        self._inner, self._prompt, self._shots = inner, prompt, tuple(shots)

    @property
    def name(self) -> str:
        """The TARGET string of the model inside."""
        return self._inner.name

    @property
    def inner(self) -> ChatModel:
        """The model inside."""
        return self._inner

    def identity(self) -> Mapping[str, Any]:
        """Model, prompt and shots decide."""
        return {**self._inner.identity(), "prompt": self._prompt, "shots": [m.to_dict() for m in self._shots]}

    def _whole(self, request: ChatRequest) -> ChatRequest:
        own = [m for m in request.messages if m.role == "system"]
        rest = [m for m in request.messages if m.role != "system"]
        text = "\n\n".join(t for t in (self._prompt, *(m.content for m in own)) if t)
        head = [Message("system", text)] if text else []
        return replace(request, messages=(*head, *self._shots, *rest))

    async def reply(self, request: ChatRequest) -> ChatReply:
        """Answers behind the prompt."""
        return await self._inner.reply(self._whole(request))

    async def stream(self, request: ChatRequest) -> AsyncIterator[ChatDelta]:
        """Streams behind the prompt."""
        if not isinstance(self._inner, StreamingChat):
            raise ModelError(f"{self.name} cannot stream", remedy="ask without streaming")
        async for delta in self._inner.stream(self._whole(request)):
            yield delta

    def _silent(self) -> ModelError:
        what = f"{self.name} gives no log-probabilities, so that its confidence cannot be measured"
        return ModelError(what, remedy="measure another model; what a model says of its own confidence is not used")

    async def score(self, messages: Sequence[Message], options: Sequence[str]) -> tuple[float, ...]:
        """Scores behind the prompt. Raises `ModelError` where the model inside gives no log-probabilities."""
        if not isinstance(self._inner, ScoredChat):
            raise self._silent()
        return await self._inner.score(self._whole(ChatRequest(tuple(messages))).messages, options)

    async def first_token(self, request: ChatRequest) -> Mapping[str, float]:
        """How the reply behind the prompt would begin. Raises `ModelError` where the model inside does not say."""
        if not isinstance(self._inner, TokenChat):
            raise self._silent()
        return await self._inner.first_token(self._whole(request))

    async def close(self) -> None:
        """Closes the model inside."""
        await self._inner.close()
