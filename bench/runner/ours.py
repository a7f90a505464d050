"""Our side: what `trueline eval` does with a served TARGET, timed inside the process after its imports. Prints one JSON object.

`seconds` and `cpu` (user + system, all threads) are those of asking, caching, journalling and grading until the last row is written;
`grading_cpu` is what grading the same replies costs by itself, which is part of `cpu`; `startup` is from the first line of this file, imports
among it, to the first request.
"""

from __future__ import annotations

import time

BEGAN = time.monotonic()

import argparse  # noqa: E402
import asyncio  # noqa: E402
import json  # noqa: E402
import resource  # noqa: E402
import tempfile  # noqa: E402
from pathlib import Path  # noqa: E402

from trueline.cli.project import dressed, open_project  # noqa: E402
from trueline.cli.targets import open_target  # noqa: E402
from trueline.core.chat import ChatReply, Sampling  # noqa: E402
from trueline.core.ports import Grader  # noqa: E402
from trueline.evals.pacing import Limits, Pacer  # noqa: E402
from trueline.evals.runner import evaluate  # noqa: E402
from trueline.evals.suites import Suite, freeze, suite_for  # noqa: E402
from trueline.models.cached import CachedChat  # noqa: E402
from trueline.models.patient import PatientChat  # noqa: E402


def cpu() -> float:
    """CPU seconds of this process so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def graded_apart(grader: Grader, suite: Suite, text: str) -> float:
    """CPU seconds of grading this reply to every probe."""

    async def go() -> None:
        for probe in suite.probes:
            await grader.grade(probe, ChatReply(text))

    before = cpu()
    asyncio.run(go())
    return cpu() - before


def main() -> None:
    """One run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--probes", type=int, default=500)
    parser.add_argument("--concurrency", type=int, default=64)
    given = parser.parse_args()
    project = open_project("bundled:harbor_bank")
    suite = freeze(suite_for(project.loaded.charter, project.probes).probes[: given.probes])
    assert len(suite.probes) == given.probes, len(suite.probes)
    grader = project.grader()
    model, _ = dressed(project, open_target(f"openai:local@{given.url}"), None, 0, False)
    pacer = Pacer(Limits(given.concurrency))
    with tempfile.TemporaryDirectory() as folder:

        async def go() -> tuple[float, float, str]:
            cached = CachedChat(PatientChat(model), Path(folder) / "cache.sqlite")
            before, wall = cpu(), time.monotonic()
            found = await evaluate(
                cached, suite, grader, charter=project.loaded.digest, sampling=Sampling(max_tokens=64), journal=Path(folder) / "journal.jsonl",
                pacer=pacer,
            )  # fmt: skip
            took = time.monotonic() - wall, cpu() - before, found.rows[0].reply
            await cached.close()
            return took

        startup = time.monotonic() - BEGAN
        seconds, used, text = asyncio.run(go())
    apart = graded_apart(grader, suite, text)
    print(json.dumps({"seconds": seconds, "cpu": used, "grading_cpu": apart, "startup": startup, "run": pacer.report()}))


if __name__ == "__main__":
    main()
