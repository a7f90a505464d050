"""Runs a suite on a model: concurrent, journalled row by row, resumed without asking anything twice.

In order: read the journal, ask what is missing, grade each reply, write it at once; then judge fairness pairs as pairs. Asking comes first:
a reply is handed on to be graded, and the next request goes out. A probe that nobody answers is unscored and says why; the run ends in an error
only where that is so of all of them. What it leaves out on purpose: rates, intervals and verdicts (the gate's business).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from trueline.charter.digests import digest_of
from trueline.charter.probes import Probe
from trueline.core.chat import ChatModel, ChatReply, ChatRequest, Sampling
from trueline.core.clock import iso, utc_now
from trueline.core.evaluations import Evaluation
from trueline.core.ports import Grader
from trueline.core.records import Grade
from trueline.errors import ModelError
from trueline.evals.budget import BudgetSpent
from trueline.evals.fairness import judge_pairs
from trueline.evals.journal import Journal
from trueline.evals.order import Early, Job, Reading, families
from trueline.evals.pacing import Limits, Pacer
from trueline.evals.rows import Breaker, nothing, row_of
from trueline.evals.suites import Suite
from trueline.models.pace import PACE

Progress = Callable[[int, int], None]
PAUSE = 0.002  # seconds without a reply after which there is time for grading
LONGEST_DELAY = 0.25  # seconds that grading may be put off
GRADED_AT_ONCE = 64  # replies with a judge
BETWEEN = 2  # turns of the event loop from one asker's start to the next one's
GRADED_A_TURN = 4  # of the event loop: about a millisecond where the grading is done here


def settings_of(sampling: Sampling, samples: int) -> dict[str, Any]:
    """What decides the evaluation besides target, suite, charter and graders."""
    return {"sampling": sampling.to_dict(), "samples": samples}


class Run:
    """What the askers and the graders of one run share."""

    def __init__(
        self,
        model: ChatModel,
        grader: Grader,
        sampling: Sampling,
        journal: Journal,
        pacer: Pacer,
        reading: Reading,
        heard: Callable[[], None],
    ) -> None:
        self._model, self._grader, self._sampling = model, grader, sampling
        self._journal, self._pacer, self._reading, self._heard = journal, pacer, reading, heard
        self._breaker = Breaker()
        self._over = self._sent = False  # nothing more is to be asked; the last request is on its way
        self._came = 0.0  # when the last reply came
        self._replies: asyncio.Queue[tuple[Probe, int, ChatReply, Grade | None] | None] = asyncio.Queue()
        self.short: BudgetSpent | None = None

    async def ask_all(self, jobs: Sequence[Job]) -> None:
        """Asks and grades. Whatever ends it, what was answered before is graded and in the journal."""
        if self._reading.look(self._journal.rows) or not jobs:
            return
        asking = asyncio.create_task(_alone(self._ask(jobs)))
        grading = asyncio.create_task(_alone(self._grade()))
        try:
            await asyncio.wait({asking, grading}, return_when=asyncio.FIRST_COMPLETED)
            if not asking.done():  # a grader failed
                asking.cancel()
            self._sent = True
            self._replies.put_nowait(None)
            await asyncio.wait({asking, grading})
        finally:
            asking.cancel()
            grading.cancel()
        await grading
        await asking

    async def _ask(self, jobs: Sequence[Job]) -> None:
        """The askers start one by one: a request then leaves when it is ready, and not when the last of the first burst is. Replies come back as
        they were sent, so that the whole run stays even (bench/runner: 30 ms of 0.95 s)."""
        waiting = iter(jobs)
        drawn = {n: replace(self._sampling, seed=self._sampling.seed + n) for n in {sample for _, sample in jobs}}
        async with asyncio.TaskGroup() as group:
            for _ in range(min(self._pacer.limits.concurrency, len(jobs))):
                group.create_task(self._asker(waiting, drawn))
                for _ in range(BETWEEN):
                    await asyncio.sleep(0)

    async def _asker(self, waiting: Iterator[Job], drawn: Mapping[int, Sampling]) -> None:
        """Asks one probe after the other. What is not this probe's own fault is raised."""
        PACE.set(self._pacer)
        turns = self._pacer.turns
        for probe, sample in waiting:
            await turns.enter()
            try:
                if self._over:
                    return
                self._replies.put_nowait((probe, sample, await self._model.reply(ChatRequest(probe.messages, drawn[sample])), None))
                self._came = time.monotonic()
                self._breaker.answered()
            except BudgetSpent as e:
                self._over, self.short = True, e
            except ModelError as e:
                self._replies.put_nowait((probe, sample, ChatReply(""), self._breaker.grade(e)))
            finally:
                turns.leave()
        self._sent = True

    async def _grade(self) -> None:
        """Grades what comes, until None comes. Requests have precedence: while replies come in, grading waits for a pause, a moment at most;
        and few grades begin in each turn of the event loop, so that no request waits for many. Nothing waits once the last request is on its
        way, nor where a rule may end the run: what it would have stopped must not be asked meanwhile."""
        free, began, turn = asyncio.Semaphore(GRADED_AT_ONCE), time.monotonic(), 0
        async with asyncio.TaskGroup() as group:
            while (item := await self._replies.get()) is not None:
                while (
                    not self._reading.ruled
                    and not self._sent
                    and (now := time.monotonic()) - self._came < PAUSE
                    and now - began < LONGEST_DELAY
                ):
                    await asyncio.sleep(PAUSE)
                if self._replies.empty():
                    began = time.monotonic()
                await free.acquire()
                group.create_task(self._graded(*item)).add_done_callback(lambda _: free.release())
                turn = (turn + 1) % GRADED_A_TURN
                if not turn or self._reading.ruled:
                    await asyncio.sleep(0)

    async def _graded(self, probe: Probe, sample: int, reply: ChatReply, grade: Grade | None) -> None:
        self._journal.add([row_of(probe, sample, reply, grade or await self._grader.grade(probe, reply))])
        self._over = self._reading.look(self._journal.rows) or self._over
        self._heard()


async def _alone(work: Coroutine[Any, Any, None]) -> None:
    """The first error of a group, without the group."""
    try:
        await work
    except BaseExceptionGroup as e:
        raise e.exceptions[0] from None


async def evaluate(
    model: ChatModel,
    suite: Suite,
    grader: Grader,
    *,
    charter: str,
    sampling: Sampling,
    samples: int = 1,
    concurrency: int = 64,
    journal: Path | None = None,
    progress: Progress | None = None,
    target: str | None = None,
    may_be_silent: bool = False,
    pacer: Pacer | None = None,
    early: Early | None = None,
    order: int | None = None,
) -> Evaluation:
    """Asks every probe `samples` times. Raises the model's error when it stays away and `BudgetSpent` at a cap; what was graded is in the
    journal. `may_be_silent`: a model that never says a word (random weights before training) is recorded, all unscored, and no error.
    `pacer`: limits and budget, in place of `concurrency` alone. `early`: a rule that may end the run; then `settings` has `stopped`.
    `order`: seed of a random order of the families, which changes no row."""
    began = time.monotonic()
    settings = settings_of(sampling, samples)
    graders: Mapping[str, Mapping[str, Any]] = {grader.name: grader.identity()}
    key = digest_of([dict(model.identity()), suite.digest, charter, settings, {k: dict(v) for k, v in graders.items()}])
    book = Journal(journal, key)
    pacer = pacer or Pacer(Limits(concurrency))
    pacer.budget.spent, pacer.budget.heard = book.spent, book.paid
    groups = families(suite.probes, samples, early.seed if early else order)
    reading = Reading(groups, early)
    jobs = [(p, s) for group in groups for p, s in group if (p.id, s) not in book.rows]
    total = len(suite.probes) * samples
    run = Run(model, grader, sampling, book, pacer, reading, lambda: progress(len(book.rows), total) if progress else None)
    try:
        await run.ask_all(jobs)
    finally:
        book.close()
    kept = reading.kept()
    if run.short is not None and kept is None:
        raise BudgetSpent(f"{run.short.what}; {total - len(book.rows)} of {total} replies are missing", remedy=run.short.remedy)
    wanted = [(p.id, s) for p in suite.probes for s in range(samples) if kept is None or (p.id, s) in kept]
    ordered = tuple(book.rows[k] for k in wanted)
    if why := nothing(ordered, may_be_silent):
        book.remove()  # the next try must ask again
        raise ModelError(why, remedy="mend the server or the settings")
    if early is not None and kept is not None:
        settings["stopped"] = {"families": reading.read, "of": len(groups), "order": early.seed, "why": reading.stopped}
    return Evaluation(
        target=target or model.name,
        identity=dict(model.identity()),
        charter=charter,
        suite=suite.digest,
        settings=settings,
        graders={k: dict(v) for k, v in graders.items()},
        rows=judge_pairs(ordered),
        created=iso(utc_now()),
        seconds=round(time.monotonic() - began, 3),
    )
