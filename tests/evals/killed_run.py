"""A run to be killed: `python -m tests.evals.killed_run URL FOLDER PROBES SAMPLES`, what `run_suite` wires, with a grader of no weight."""

import asyncio
import sys
from pathlib import Path

from tests.evals.test_journal import GRADER, probes
from trueline.core.chat import Sampling
from trueline.core.evaluations import Evaluation
from trueline.data.evaluations import write_evaluation
from trueline.evals.runner import evaluate
from trueline.evals.suites import freeze
from trueline.models.cached import CachedChat
from trueline.models.openai_chat import OpenAIChat
from trueline.models.patient import PatientChat

CONCURRENCY = 8


async def go(url: str, folder: Path, n: int, samples: int) -> Evaluation:
    """The run, to its end."""
    cached = CachedChat(PatientChat(OpenAIChat("m", url)), folder / "cache.sqlite")
    try:
        return await evaluate(
            cached, freeze(probes(n)), GRADER, charter="c", sampling=Sampling(max_tokens=9), samples=samples, concurrency=CONCURRENCY,
            journal=folder / "journal.jsonl", target="killed",
        )  # fmt: skip
    finally:
        await cached.close()


if __name__ == "__main__":
    folder = Path(sys.argv[2])
    write_evaluation(folder, asyncio.run(go(sys.argv[1], folder, int(sys.argv[3]), int(sys.argv[4]))))
