"""Asks another target the very conversations of earlier attempts, and grades them anew: the same attacks on another layer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

from trueline.charter.probes import Probe
from trueline.core.chat import ChatModel, Sampling
from trueline.core.ports import Grader
from trueline.evals.redteam.asking import asked
from trueline.evals.redteam.attempts import Attempted, answered
from trueline.evals.rows import Breaker

Progress = Callable[[int, int], None]


async def replay(
    model: ChatModel,
    grader: Grader,
    attempts: Sequence[Attempted],
    requests: Mapping[str, Probe],
    sampling: Sampling,
    *,
    concurrency: int = 64,
    progress: Progress | None = None,
) -> tuple[Attempted, ...]:
    """One attempt for each given one, in their order. `requests` by id. Raises the model's error when it stays away."""
    limit, breaker, done = asyncio.Semaphore(concurrency), Breaker(), 0

    async def one(a: Attempted) -> Attempted:
        nonlocal done
        async with limit:
            found = await asked(model, grader, requests[a.request], a.messages, sampling, breaker)
        done += 1
        if progress is not None:
            progress(done, len(attempts))
        return answered(a, found)

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(a)) for a in attempts]
    except BaseExceptionGroup as e:
        raise e.exceptions[0] from None
    return tuple(t.result() for t in tasks)
