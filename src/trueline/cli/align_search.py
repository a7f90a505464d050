"""For a TARGET that cannot be trained: search prompt budget and few-shots on teach probes, under a bounded number of requests."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass, replace
from pathlib import Path

from trueline.charter.compile.prompt import count_words, system_prompt
from trueline.charter.compile.shots import few_shots
from trueline.charter.digests import digest_of
from trueline.charter.probes import Probe
from trueline.charter.turns import Message
from trueline.cli.align_phases import Run
from trueline.cli.progress import bar
from trueline.cli.project import Project
from trueline.cli.targets import Target
from trueline.errors import DataError
from trueline.evals.runner import evaluate
from trueline.evals.suites import freeze
from trueline.models.cached import CachedChat
from trueline.models.patient import PatientChat
from trueline.models.system import SystemChat
from trueline.train.runfile import SearchStage


@dataclass(frozen=True, slots=True)
class Candidate:
    """A prompt and shots, with its failure rate on the teach probes (unscored counted as failed)."""

    budget: int | None
    shots: int
    prompt: str
    examples: tuple[Message, ...]
    failed: float


def teach_probes(project: Project, most: int) -> tuple[Probe, ...]:
    """At most so many probes of the teach side, chosen by digest. Raises `DataError` where there is none."""
    pool = sorted((p for p in project.probes if p.side == "teach"), key=lambda p: digest_of(p.id))
    if not pool:
        raise DataError("the search needs probes of the teach side, got none", remedy="grow some with `trueline probes grow`")
    return tuple(pool[:most])


def search(run: Run, stage: SearchStage, target: Target, folder: Path) -> Candidate:
    """Tries every combination on the same teach probes; the fewest failures win, then the shorter prompt."""
    suite = freeze(teach_probes(run.project, stage.probes))
    charter = run.project.loaded.charter
    combinations = list(itertools.product(stage.budgets, stage.few_shots))
    tried: list[Candidate] = []

    async def go() -> None:
        for i, (budget, shots) in enumerate(combinations):
            prompt = system_prompt(charter, budget=budget, count=target.count or count_words)
            examples = few_shots(charter, shots)
            model = CachedChat(PatientChat(SystemChat(target.chat, prompt, examples)), folder / "cache.sqlite")
            try:
                with bar(f"search {i + 1}/{len(combinations)}") as advance:
                    found = await evaluate(
                        model, suite, run.project.grader(), charter=run.project.loaded.digest, progress=advance, sampling=run.sampling(),
                        concurrency=run.file.evaluate.concurrency,
                    )  # fmt: skip
            finally:
                model.forget()
            failed = sum(r.result != "pass" for r in found.rows) / len(found.rows)
            tried.append(Candidate(budget, shots, prompt, examples, failed))
            run.say(f"search: budget {budget or 'all'}, {shots} shots: {100 * failed:.1f} % of {len(found.rows)} teach probes failed")

    async def whole() -> None:
        try:
            await go()
        finally:
            await target.chat.close()

    asyncio.run(whole())
    return min(tried, key=lambda c: (c.failed, len(c.prompt), c.shots))


def with_prompt(run: Run, best: Candidate) -> Run:
    """The run behind the prompt that was found."""
    return replace(run, prompt=best.prompt, shots=best.examples)
