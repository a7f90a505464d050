"""The port `ChatModel`: one way to talk to any model, and its public scripted fake."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

from trueline.charter.digests import digest_of
from trueline.charter.turns import Message, ToolCall
from trueline.core.records import Action, Layer

FinishReason = Literal["stop", "length", "content_filter", "tool_calls"]


@dataclass(frozen=True, slots=True)
class Sampling:
    """How replies are drawn. `temperature` 0 is greedy; `max_tokens` in tokens of the model; `seed` per request."""

    temperature: float = 0.0
    top_p: float = 1.0
    max_tokens: int = 128
    seed: int = 0
    stop: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON form, for digests and records."""
        return {
            "temperature": self.temperature,
            "top_p": self.top_p,
            "max_tokens": self.max_tokens,
            "seed": self.seed,
            "stop": list(self.stop),
        }


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A conversation and how to answer it. `tools` are wire objects, passed on untouched."""

    messages: tuple[Message, ...]
    sampling: Sampling = Sampling()
    tools: tuple[Mapping[str, Any], ...] = ()

    def digest(self) -> str:
        """Content address of the request: equal requests share a cache entry."""
        return digest_of(
            {
                "messages": [m.to_dict() for m in self.messages],
                "sampling": self.sampling.to_dict(),
                "tools": [dict(t) for t in self.tools],
            }
        )


@dataclass(frozen=True, slots=True)
class ChatReply:
    """What came back. `text` is what the user sees; `reasoning` is apart; `blocked`: the provider's own filter
    stopped it; `fingerprint` is the version that the provider names (empty if none). Behind a guard `decided` is the layer whose word the
    text is, `action` its verdict and `decided_clause` the clause it acted for; a bare model decides all by itself. `seconds`: how long this one request took, without waits
    and retries; 0 where nobody measured it."""

    text: str
    finish_reason: FinishReason = "stop"
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    model: str = ""
    fingerprint: str = ""
    blocked: bool = False
    input_tokens: int = 0
    output_tokens: int = 0
    decided: Layer = "model"
    action: Action = "allow"
    decided_clause: str = ""
    seconds: float = field(default=0.0, compare=False)

    @property
    def withheld(self) -> bool:
        """Whether a guard put a sentence of its own in the place of what the model said, or would have said."""
        return self.action not in ("allow", "redact")


@dataclass(frozen=True, slots=True)
class ChatDelta:
    """A piece of a streamed reply. The last one carries `finish_reason` (and the token counts)."""

    text: str = ""
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    finish_reason: FinishReason | None = None
    input_tokens: int = 0
    output_tokens: int = 0


@runtime_checkable
class ChatModel(Protocol):
    """Anything that answers conversations. Implementations are safe to call concurrently; batching is theirs."""

    @property
    def name(self) -> str:
        """The TARGET string, for people."""

    def identity(self) -> Mapping[str, Any]:
        """JSON-able facts that decide its replies (weights digest or URL + model name, prompt, ...)."""

    async def reply(self, request: ChatRequest) -> ChatReply:
        """Answers one conversation. Raises `ModelError` (or `ModelUnavailable` after all retries)."""

    async def close(self) -> None:
        """Frees connections, threads and processes."""


@runtime_checkable
class StreamingChat(ChatModel, Protocol):
    """A `ChatModel` that can also answer piece by piece."""

    def stream(self, request: ChatRequest) -> AsyncIterator[ChatDelta]:
        """Yields the reply as it is made. Errors as for `reply`, also in mid-stream."""


@runtime_checkable
class ScoredChat(ChatModel, Protocol):
    """A `ChatModel` that can also say how likely it would be to answer each of some options."""

    async def score(self, messages: Sequence[Message], options: Sequence[str]) -> tuple[float, ...]:
        """Log-probability (nats) of each option as the whole reply, end of turn counted. Raises `ModelError` where it cannot say."""


@runtime_checkable
class TokenChat(ChatModel, Protocol):
    """A `ChatModel` that can also say how its reply would begin."""

    async def first_token(self, request: ChatRequest) -> Mapping[str, float]:
        """The tokens that the reply may begin with -> log-probability (nats), the likeliest ones. Raises `ModelError` where it names none."""


Script = Mapping[str, str] | Sequence[str] | Callable[[ChatRequest], str | ChatReply]


@dataclass(slots=True)
class ScriptedChat:
    """The fake of `ChatModel`: answers from a mapping (last user message -> reply), a sequence (in order, then
    `DataError`-free repeat of the last) or a function. `requests` records everything it was asked."""

    script: Script
    name: str = "scripted"
    requests: list[ChatRequest] = field(default_factory=list)

    def identity(self) -> Mapping[str, Any]:
        """Its name: the fake has nothing else."""
        return {"scripted": self.name}

    async def reply(self, request: ChatRequest) -> ChatReply:
        """Answers from the script."""
        self.requests.append(request)
        if callable(self.script):
            answer = self.script(request)
            return answer if isinstance(answer, ChatReply) else ChatReply(answer, model=self.name)
        if isinstance(self.script, Mapping):
            asked = next((m.content for m in reversed(request.messages) if m.role == "user"), "")
            return ChatReply(self.script.get(asked, self.script.get("*", "")), model=self.name)
        return ChatReply(self.script[min(len(self.requests), len(self.script)) - 1], model=self.name)

    async def stream(self, request: ChatRequest) -> AsyncIterator[ChatDelta]:
        """The same answer, word by word."""
        answer = await self.reply(request)
        for word in re.findall(r"\S+\s*|\s+", answer.text):
            yield ChatDelta(word)
        yield ChatDelta(tool_calls=answer.tool_calls, finish_reason=answer.finish_reason)

    async def close(self) -> None:
        """Nothing to free."""
