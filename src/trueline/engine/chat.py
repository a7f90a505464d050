"""`LocalChat`: a local model as a `ChatModel`. Concurrent calls are gathered into batches on one worker thread."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

from trueline.charter.turns import Message
from trueline.core.chat import ChatDelta, ChatReply, ChatRequest
from trueline.engine.loading import LocalModel
from trueline.engine.pieces import OPEN, Pieces, Shown, split_reasoning
from trueline.engine.sampling import Generated, check_room
from trueline.engine.templates import PLAIN_STOP, encode_prompt
from trueline.engine.worker import Job, Worker
from trueline.errors import ModelError

__all__ = ["LocalChat", "split_reasoning"]


class LocalChat:
    """Answers with a local model. `batch` is the most rows at once. Close it to end the worker thread."""

    def __init__(self, local: LocalModel, *, name: str | None = None, batch: int = 64) -> None:
        self.local, self._name = local, name or str(local.path)
        self._worker = Worker(local, batch)

    @property
    def name(self) -> str:
        """The TARGET string."""
        return self._name

    def identity(self) -> Mapping[str, Any]:
        """What decides the replies: the digest of weights and tokenizer, the number format, how turns are written."""
        return {"weights": self.local.digest, "dtype": self.local.dtype, "template": self.local.template}

    def _job(self, request: ChatRequest) -> Job:
        if request.tools:
            what = f"a local model is offered no tools, got {len(request.tools)}"
            raise ModelError(what, remedy="leave tools out, or serve the model behind a server that parses tool calls")
        sampling = request.sampling
        if not self.local.tokenizer.chat_template:
            sampling = dataclasses.replace(sampling, stop=(*sampling.stop, PLAIN_STOP))
        prompt = encode_prompt(self.local.tokenizer, request.messages)
        check_room(self.local, prompt, sampling)
        end = self.local.tokenizer.decode(prompt[-8:]).rstrip()
        return Job(prompt, sampling, pieces=Pieces(sampling.stop), opened=OPEN if end.endswith(OPEN) else "")

    def check(self, request: ChatRequest) -> None:
        """Raises `ModelError` where the model could never answer this request, without asking it."""
        self._job(request)

    async def reply(self, request: ChatRequest) -> ChatReply:
        """Answers one conversation; calls made at the same time share a batch. Raises `ModelError`."""
        job = self._job(request)
        began = time.monotonic()
        self._worker.submit(job)
        made = await asyncio.wrap_future(job.done)
        text, reasoning = split_reasoning(job.opened + made.text)
        return ChatReply(
            text,
            made.finish_reason,
            reasoning,
            model=self._name,
            fingerprint=self.local.digest[:12],
            input_tokens=len(job.prompt),
            output_tokens=len(made.ids),
            seconds=time.monotonic() - began,
        )

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ChatDelta, None]:
        """The same reply as it is made: whole characters, nothing that may become a stop string. A reader that goes
        away ends the row."""
        job, loop = self._job(request), asyncio.get_running_loop()
        heard: asyncio.Queue[Shown | None] = asyncio.Queue()

        def hear(new: Shown | None) -> None:
            """Called on the worker thread; None ends the stream."""
            if not loop.is_closed():
                loop.call_soon_threadsafe(heard.put_nowait, new)

        job.hear = hear
        job.done.add_done_callback(lambda _: hear(None))
        self._worker.submit(job)
        try:
            while (new := await heard.get()) is not None:
                yield ChatDelta(new.text, new.reasoning)
            made: Generated = job.done.result()
            yield ChatDelta(finish_reason=made.finish_reason, input_tokens=len(job.prompt), output_tokens=len(made.ids))
        finally:
            job.give_up()

    async def score(self, messages: Sequence[Message], options: Sequence[str]) -> tuple[float, ...]:
        """Log-probability (nats) of each option as the whole reply, end of turn counted. Raises `ModelError`."""
        from trueline.engine.logprobs import completion_logprobs

        return tuple(await asyncio.to_thread(completion_logprobs, self.local, [(tuple(messages), o) for o in options]))

    async def close(self) -> None:
        """Ends the worker thread; calls under way get a `ModelError`."""
        await asyncio.to_thread(self._worker.close)
