"""`LocalChat`: a local model as a `ChatModel`. Concurrent calls are gathered into batches on one worker thread."""

from __future__ import annotations

import asyncio
import queue
import re
import threading
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from trueline.core.chat import ChatDelta, ChatReply, ChatRequest, Sampling
from trueline.engine.loading import LocalModel
from trueline.engine.sampling import Generated, generate
from trueline.engine.templates import PLAIN_STOP, encode_prompt
from trueline.errors import ModelError, TruelineError
from trueline.models.reasoning import split_reasoning


@dataclass(frozen=True, slots=True)
class _Job:
    prompt: list[int]
    sampling: Sampling
    done: Future[Generated]


class LocalChat:
    """Answers with a local model. `batch` is the most rows at once. Close it to end the worker thread."""

    def __init__(self, local: LocalModel, *, name: str | None = None, batch: int = 64) -> None:
        self.local, self._name, self._batch = local, name or str(local.path), batch
        self._jobs: queue.Queue[_Job | None] = queue.Queue()
        self._worker = threading.Thread(target=self._work, name="trueline-sampler", daemon=True)
        self._worker.start()

    @property
    def name(self) -> str:
        """The TARGET string."""
        return self._name

    def identity(self) -> Mapping[str, Any]:
        """The digest of the weights decides."""
        return {"weights": self.local.digest}

    def _gather(self) -> list[_Job] | None:
        first = self._jobs.get()
        if first is None:
            return None
        jobs = [first]
        while len(jobs) < self._batch:
            try:
                job = self._jobs.get(timeout=0.005)
            except queue.Empty:
                break
            if job is None:
                self._jobs.put(None)
                break
            jobs.append(job)
        return jobs

    def _work(self) -> None:
        while (jobs := self._gather()) is not None:
            live = [j for j in jobs if j.done.set_running_or_notify_cancel()]
            if not live:
                continue
            try:
                for job, made in zip(live, generate(self.local, [j.prompt for j in live], [j.sampling for j in live]), strict=True):
                    job.done.set_result(made)
            except TruelineError as e:
                self._alone(live, e)
            except (RuntimeError, ValueError, IndexError, TypeError) as e:
                why = f"the local model failed: {type(e).__name__}: {' '.join(str(e).split())[:160]}"
                for job in live:
                    job.done.set_exception(ModelError(why, remedy="try a smaller batch or a shorter conversation"))

    def _alone(self, jobs: list[_Job], error: TruelineError) -> None:
        """One bad conversation must not spoil its batch: each is tried by itself."""
        for job in jobs:
            try:
                job.done.set_result(generate(self.local, [job.prompt], [job.sampling])[0])
            except TruelineError as e:
                job.done.set_exception(e if len(jobs) > 1 else error)

    def _submit(self, request: ChatRequest) -> Future[Generated]:
        sampling = request.sampling
        if not self.local.tokenizer.chat_template:
            sampling = Sampling(**{**sampling.to_dict(), "stop": (*sampling.stop, PLAIN_STOP)})
        done: Future[Generated] = Future()
        self._jobs.put(_Job(encode_prompt(self.local.tokenizer, request.messages), sampling, done))
        return done

    async def reply(self, request: ChatRequest) -> ChatReply:
        """Answers one conversation; calls made at the same time share a batch."""
        made = await asyncio.wrap_future(self._submit(request))
        text, reasoning = split_reasoning(made.text)
        return ChatReply(text, made.finish_reason, reasoning, model=self._name, output_tokens=len(made.ids))

    async def stream(self, request: ChatRequest) -> AsyncIterator[ChatDelta]:
        """The same reply in pieces. Sampled whole (batches share the model), then handed on word by word."""
        made = await self.reply(request)
        if made.reasoning:
            yield ChatDelta(reasoning=made.reasoning)
        for piece in re.findall(r"\S+\s*|\s+", made.text):
            yield ChatDelta(piece)
        yield ChatDelta(finish_reason=made.finish_reason, output_tokens=made.output_tokens)

    async def close(self) -> None:
        """Ends the worker thread."""
        self._jobs.put(None)
        await asyncio.to_thread(self._worker.join, 30)
