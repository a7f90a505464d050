"""The worker thread of a local model: gathers requests into batches and decodes several batches side by side.

In order: take what waits, run its prompts, let it join a running batch (or stand beside it), give every batch one token,
deliver, repeat. A request that comes while others are answered does not wait for their end.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field

import torch

from trueline.core.chat import Sampling
from trueline.engine.loading import LocalModel
from trueline.engine.pieces import Pieces, Shown
from trueline.engine.prefill import batches_truly
from trueline.engine.sampling import Decoding, Generated, Row, batches
from trueline.errors import ModelError

GATHER = 0.005
"""Seconds that an idle worker waits for one more request of the same moment."""
PATIENCE = 0.5
"""Seconds after which a waiting request gets a batch, however small, beside those that run."""
SIDE_BY_SIDE = 4
"""Batches decoded at the same time."""


@dataclass(eq=False)
class Job:
    """One request. `hear` gets the new text after each token (streams only)."""

    prompt: list[int]
    sampling: Sampling
    hear: Callable[[Shown], None] | None = None
    done: Future[Generated] = field(default_factory=Future)
    came: float = field(default_factory=time.monotonic)
    pieces: Pieces = field(default_factory=Pieces)
    opened: str = ""
    """What the prompt has already begun of the reply: a template may open the <think> block itself."""
    heard: int = 0
    left: bool = False

    def give_up(self) -> None:
        """Nobody reads any more: the row leaves its batch."""
        self.left = True
        self.done.cancel()  # in vain once it runs: then `left` tells the worker


@dataclass(eq=False)
class _Batch:
    jobs: list[Job]
    decoding: Decoding

    def pairs(self) -> list[tuple[Job, Row]]:
        """Each request with its row."""
        return list(zip(self.jobs, self.decoding.rows, strict=True))


def _alike(rows: list[Row]) -> bool:
    """Whether the shortest row is at least half the longest: else its padding costs more than a step of its own."""
    lengths = [r.prompt + len(r.ids) for r in rows]
    return 2 * min(lengths) >= max(lengths)


def ran_out_of_memory(error: Exception) -> bool:
    """Whether torch could not get memory: a class of its own on an accelerator, a sentence on the CPU."""
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


class Worker:
    """Owns the model: nothing else may run it meanwhile. `most` is the most rows of one batch."""

    def __init__(self, local: LocalModel, most: int) -> None:
        self._local, self._most = local, most
        self._inbox: queue.Queue[Job | None] = queue.Queue()
        self._waiting: list[Job] = []
        self._running: list[_Batch] = []
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._work, name="trueline-sampler", daemon=True)
        self._thread.start()

    def submit(self, job: Job) -> None:
        """Hands a job in. Raises `ModelError` once the worker is closed."""
        if self._closing.is_set():
            raise ModelError(f"the model {self._local.path} is closed", remedy="open it again")
        self._inbox.put(job)

    def close(self, seconds: float = 30.0) -> None:
        """Ends the thread after the present step; who still waits gets a `ModelError`."""
        self._closing.set()
        self._inbox.put(None)
        self._thread.join(seconds)

    def _collect(self) -> None:
        """Moves new jobs to the waiting ones; blocks only while there is nothing to do."""
        idle = not self._running and not self._waiting
        while not self._closing.is_set():
            try:
                job = self._inbox.get(timeout=None if idle else GATHER) if not self._running else self._inbox.get_nowait()
            except queue.Empty:
                return
            idle = False
            if job is not None:
                self._waiting.append(job)
            if len(self._waiting) >= self._most and not self._running:
                return

    def _due(self) -> bool:
        if not self._waiting or len(self._running) >= SIDE_BY_SIDE:
            return False
        live = sum(b.decoding.live for b in self._running)
        if 2 * len(self._waiting) >= live:
            return True
        return time.monotonic() - self._waiting[0].came > PATIENCE

    def _work(self) -> None:
        while not self._closing.is_set():
            self._collect()
            if self._due():
                taken, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
                self._start([j for j in taken if j.done.set_running_or_notify_cancel()])
            for batch in self._running:
                self._step(batch)
            self._running = [b for b in self._running if b.decoding.live]
        self._abandon()

    def _start(self, jobs: list[Job]) -> None:
        if not jobs:
            return
        try:
            parts = batches(self._local, [j.prompt for j in jobs], self._most)
        except Exception as e:  # noqa: BLE001  # as below
            self._fail(jobs, e)
            return
        for chosen in parts:
            some = [jobs[i] for i in chosen]
            try:
                self._place(_Batch(some, Decoding(self._local, [j.prompt for j in some], [j.sampling for j in some])))
            except Exception as e:  # noqa: BLE001  # the thread must live on; whoever asked gets the error
                self._fail(some, e)

    def _place(self, new: _Batch) -> None:
        """Beside the running batches, or into one that has room: one large step is cheaper than two small ones."""
        for old in self._running:
            rows = [r for b in (old, new) for r in b.decoding.rows if r.live]
            if batches_truly(self._local) and old.decoding.live and len(rows) <= self._most and _alike(rows):
                old.decoding.absorb(new.decoding)
                old.jobs = [*old.jobs, *new.jobs]
                return
        self._running.append(new)

    def _step(self, batch: _Batch) -> None:
        for job, row in batch.pairs():
            row.dropped = row.dropped or job.left
        if not batch.decoding.live:
            return
        try:
            batch.decoding.step()
            for job, row in batch.pairs():
                self._deliver(job, row)
        except Exception as e:  # noqa: BLE001  # as above
            left = [j for j in batch.jobs if not j.done.done()]
            for row in batch.decoding.rows:
                row.dropped = True
            self._fail(left, e)

    def _deliver(self, job: Job, row: Row) -> None:
        if job.done.done() or row.dropped:
            return
        if job.hear is not None and (row.reason is not None or len(row.ids) > job.heard):
            job.heard = len(row.ids)
            new = job.pieces.feed(job.opened + row.text(self._local), final=row.reason is not None)
            if new != Shown():
                job.hear(new)
        if row.reason is not None:
            job.done.set_result(row.generated(self._local))

    def _fail(self, jobs: list[Job], error: Exception) -> None:
        """Memory that ran out: half the batch at a time. Anything else goes to those who asked."""
        if ran_out_of_memory(error) and len(jobs) > 1:
            self._most = max(1, len(jobs) // 2)
            for part in (jobs[: self._most], jobs[self._most :]):
                self._start(part)
            return
        if not isinstance(error, ModelError):
            why = " ".join(str(error).split())[:160]
            error = ModelError(
                f"the local model failed: {type(error).__name__}: {why}",
                remedy="try a shorter conversation; if it happens again, check the model with `trueline doctor`",
            )
        for job in jobs:
            if not job.done.done():
                job.done.set_exception(error)

    def _abandon(self) -> None:
        while not self._inbox.empty():
            job = self._inbox.get_nowait()
            if job is not None:
                self._waiting.append(job)
        left = [j for j in self._waiting if j.done.set_running_or_notify_cancel()]
        left += [j for b in self._running for j in b.jobs]
        self._fail(left, ModelError(f"the model {self._local.path} was closed meanwhile", remedy="open it again"))
