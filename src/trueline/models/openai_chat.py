"""An OpenAI-compatible server as a `ChatModel`: `/chat/completions`, plain and streaming."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

from trueline.charter.turns import ToolCall
from trueline.core.chat import ChatDelta, ChatReply, ChatRequest, FinishReason
from trueline.errors import ModelError
from trueline.models.dialects import NOTES, REWRITES, is_block, unknown_to
from trueline.models.reasoning import ReasoningSplitter, split_reasoning
from trueline.models.wire import RequestRefused, Told, Unreadable, Wire, count_of, key_from

_FINISH: Mapping[str, FinishReason] = {
    "stop": "stop", "length": "length", "content_filter": "content_filter", "tool_calls": "tool_calls", "function_call": "tool_calls",
}  # fmt: skip


TOP = 20  # as many as the protocol allows
ROUNDING = 1e-3  # a log-probability above 0 by less is a certainty, rounded


def _finish(raw: object) -> FinishReason:
    """Why the reply ended. Some servers write why a filter stopped it: `content_filter: SAFETY`."""
    told = str(raw)
    return "content_filter" if told.lower().startswith(("content_filter", "content filter")) else _FINISH.get(told, "stop")


def _calls(raw: object) -> tuple[ToolCall, ...]:
    if not isinstance(raw, list):
        return ()
    found = []
    for c in raw:
        function = c.get("function") if isinstance(c, dict) else None
        if isinstance(function, dict) and function.get("name"):
            found.append(ToolCall(str(c.get("id", "")), str(function["name"]), str(function.get("arguments", ""))))
    return tuple(found)


def _text(content: object) -> str:
    """Text of a message's content: a string, or the text parts of a list of parts."""
    if isinstance(content, list):
        return "".join(str(p.get("text", "")) for p in content if isinstance(p, dict) and p.get("type") in ("text", "output_text"))
    return content if isinstance(content, str) else ""


def _first(raw: Mapping[str, Any], part: str) -> tuple[Mapping[str, Any], Mapping[str, Any]] | None:
    """(choices[0], its `part`) where both are objects."""
    choices = raw.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    inner = choice.get(part) if isinstance(choice, dict) else None
    if isinstance(choice, dict) and inner is None and _finish(choice.get("finish_reason")) == "content_filter":
        inner = {}  # what a filter stopped has no message at all with some servers
    return (choice, inner) if isinstance(choice, dict) and isinstance(inner, dict) else None


def _likeliest(choice: Mapping[str, Any]) -> dict[str, float] | None:
    """Tokens that the reply may begin with -> log-probability; none where a filter stopped it or it would be empty, None where the server does
    not say. What is no number, or above 0 by more than rounding, is left out."""
    logs = choice.get("logprobs")
    content = logs.get("content") if isinstance(logs, dict) else None
    if content == [] or _finish(choice.get("finish_reason")) == "content_filter":
        return {}
    top = content[0].get("top_logprobs") if isinstance(content, list) and isinstance(content[0], dict) else None
    out: dict[str, float] = {}
    for row in top if isinstance(top, list) else ():
        token, log = (row.get("token"), row.get("logprob")) if isinstance(row, dict) else (None, None)
        if isinstance(token, str) and isinstance(log, int | float) and not isinstance(log, bool) and -1e6 <= log <= ROUNDING:
            out[token] = min(float(log), 0.0)
    return out or None


class OpenAIChat:
    """`model` at `url` (the part before /chat/completions). The key comes from the environment, never from a file."""

    def __init__(self, model: str, url: str = "https://api.openai.com/v1", *, key: str | None = None, tries: int = 5) -> None:
        self._model, self._url = model, url
        key = key or key_from("OPENAI_API_KEY", "TRUELINE_API_KEY")
        self._wire = Wire(url, {"authorization": f"Bearer {key}"} if key else {}, tries=tries)
        self._rewrites: list[str] = []  # fields that this server was found not to take

    @property
    def name(self) -> str:
        """The TARGET string."""
        return f"openai:{self._model}@{self._url}"

    def identity(self) -> Mapping[str, Any]:
        """Model and address; the version that the server names is recorded with each reply."""
        return {"openai": self._model, "url": self._url}

    @property
    def notes(self) -> tuple[str, ...]:
        """What was said otherwise than asked, where a person should know it."""
        return tuple(NOTES[name] for name in self._rewrites if name in NOTES)

    def _body(self, request: ChatRequest) -> dict[str, Any]:
        s = request.sampling
        body: dict[str, Any] = {
            "model": self._model, "messages": [m.to_dict() for m in request.messages], "temperature": s.temperature,
            "top_p": s.top_p, "max_tokens": s.max_tokens, "seed": s.seed,
        }  # fmt: skip
        if s.top_p >= 1:
            del body["top_p"]
        if s.stop:
            body["stop"] = list(s.stop)
        if request.tools:
            body["tools"] = [dict(t) for t in request.tools]
        return body

    def _said(self, body: dict[str, Any]) -> dict[str, Any]:
        for name in self._rewrites:
            body = REWRITES[name](body)
        return body

    def _learn(self, refused: RequestRefused, body: Mapping[str, Any]) -> bool:
        """Whether the request can be said otherwise; remembered for the requests that follow."""
        name = unknown_to(refused, body)
        if name is not None and name not in self._rewrites:
            self._rewrites.append(name)
        return name is not None

    async def _posted(self, body: Mapping[str, Any]) -> Told:
        """Asks, in other words where the server does not take these. Raises `RequestRefused` where it takes none."""
        while True:
            said = self._said(dict(body))
            try:
                return await self._wire.post("/chat/completions", said)
            except RequestRefused as e:
                if is_block(e) or not self._learn(e, said):
                    raise

    async def reply(self, request: ChatRequest) -> ChatReply:
        """One answer. Raises `ModelError`, `ModelUnavailable`; a provider's block is a reply that says `blocked`."""
        try:
            return self._read(await self._posted(self._body(request)))
        except RequestRefused as e:
            if is_block(e):
                return ChatReply("", "content_filter", model=self._model, blocked=True)
            raise

    def _choice(self, raw: Mapping[str, Any]) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """(choices[0], its message). Raises `Unreadable` where there is none."""
        found = _first(raw, "message")
        if found is None:
            raise Unreadable(f"{self._url} answered without choices[0].message", remedy="check that it speaks /chat/completions")
        return found

    def _read(self, told: Told) -> ChatReply:
        raw = told.raw
        choice, message = self._choice(raw)
        text, inline = split_reasoning(_text(message.get("content")) or _text(message.get("refusal")))
        finish = _finish(choice.get("finish_reason"))
        return ChatReply(
            text=text,
            finish_reason=finish,
            reasoning=_text(message.get("reasoning_content")) or _text(message.get("reasoning")) or inline,
            tool_calls=_calls(message.get("tool_calls")),
            model=str(raw.get("model") or self._model),
            fingerprint=str(raw.get("system_fingerprint") or ""),
            blocked=finish == "content_filter",
            input_tokens=count_of(raw.get("usage"), "prompt_tokens"),
            output_tokens=count_of(raw.get("usage"), "completion_tokens"),
            seconds=told.seconds,
        )

    async def first_token(self, request: ChatRequest) -> Mapping[str, float]:
        """The twenty likeliest tokens that the reply may begin with; none where a filter stopped it or it would be empty. Raises `ModelError`
        where the server names no log-probabilities."""
        try:
            told = await self._posted({**self._body(request), "max_tokens": 1, "logprobs": True, "top_logprobs": TOP})
        except RequestRefused as e:
            if is_block(e):
                return {}
            what = f"{self._url} takes no question for log-probabilities ({e.what})"
            raise ModelError(what, remedy="leave --calibration out") from None
        found = _likeliest(self._choice(told.raw)[0])
        if found is None:
            what = f"{self.name} names no log-probabilities (logprobs, top_logprobs), so that its confidence cannot be measured"
            raise ModelError(what, remedy="leave --calibration out; what a model says of its own confidence is not used")
        return found

    async def stream(self, request: ChatRequest) -> AsyncIterator[ChatDelta]:
        """The answer in pieces; tool calls are gathered and come whole with the last piece, as do the token counts."""
        while True:
            body = self._said({**self._body(request), "stream": True, "stream_options": {"include_usage": True}})
            try:
                async for delta in self._pieces(body):
                    yield delta
                return
            except RequestRefused as e:  # always before the first piece: a refusal is a status, and a begun stream has had its own
                if is_block(e):
                    yield ChatDelta(finish_reason="content_filter")
                    return
                if not self._learn(e, body):
                    raise

    async def _pieces(self, body: Mapping[str, Any]) -> AsyncIterator[ChatDelta]:
        calls: dict[int, list[str]] = {}
        finish: FinishReason | None = None
        usage: object = None
        splitter = ReasoningSplitter()
        async for event in self._wire.events("/chat/completions", body):
            if event.get("error"):
                raise ModelError(f"{self._url} failed in mid-stream", remedy="ask again")
            usage = event.get("usage") or usage
            found = _first(event, "delta")
            if found is None:
                continue
            choice, delta = found
            _gather(calls, delta.get("tool_calls"))
            shown, inline = splitter.feed(_text(delta.get("content")) or _text(delta.get("refusal")))
            thought = (_text(delta.get("reasoning_content")) or _text(delta.get("reasoning"))) + inline
            if shown or thought:
                yield ChatDelta(text=shown, reasoning=thought)
            if choice.get("finish_reason"):
                finish = _finish(choice["finish_reason"])
        if finish is None:
            raise ModelError(f"{self._url} ended the stream without a finish_reason", remedy="ask again")
        shown, thought = splitter.finish()
        yield ChatDelta(
            text=shown,
            reasoning=thought,
            tool_calls=tuple(ToolCall(*calls[i]) for i in sorted(calls)),
            finish_reason=finish,
            input_tokens=count_of(usage, "prompt_tokens"),
            output_tokens=count_of(usage, "completion_tokens"),
        )

    async def close(self) -> None:
        """Closes the connections."""
        await self._wire.close()


def _gather(calls: dict[int, list[str]], pieces: object) -> None:
    """Adds the pieces of tool calls to [id, name, arguments] by index; what has another shape is no call."""
    for piece in pieces if isinstance(pieces, list) else ():
        function = piece.get("function") if isinstance(piece, dict) else None
        if not isinstance(function, dict):
            continue
        index = piece.get("index", 0)
        held = calls.setdefault(index if isinstance(index, int) else 0, ["", "", ""])
        for at, part in enumerate((piece.get("id"), function.get("name"), function.get("arguments"))):
            held[at] += part if isinstance(part, str) else ""
