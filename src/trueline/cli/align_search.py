"""For a TARGET that cannot be trained: the search of `tune-prompt` over the run file's budgets and few-shots, under a bounded number of
requests. With `requests` it goes on from the best of them to other wordings, orders and examples."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

from trueline.charter.compile.tuned_file import write_tuned
from trueline.charter.probes import Probe
from trueline.charter.turns import Message
from trueline.cli.align_phases import Run
from trueline.cli.consent import ask_leave
from trueline.cli.progress import bar
from trueline.cli.project import Project
from trueline.cli.targets import Target
from trueline.cli.tune_search import CACHE, JOURNAL, Outcome, Plan, asker, file_of, search_key, space_of, teaching_side, whole_size
from trueline.errors import DataError
from trueline.evals.prompts.halving import Book, Search, development
from trueline.evals.prompts.objective import aims
from trueline.evals.prompts.space import MOST_SHOTS, Choice, Prompt, Space
from trueline.evals.suites import Suite
from trueline.train.runfile import SearchStage, beside

TUNED = "prompt.yaml"


@dataclass(frozen=True, slots=True)
class Candidate:
    """The prompt and few-shots that were found."""

    prompt: str
    examples: tuple[Message, ...]


def teach_probes(project: Project, most: int) -> tuple[Probe, ...]:
    """At most about so many grown probes of the teach side, the measures that have a cap in equal parts; hand-written ones are left to the gate.
    Raises `DataError` where there is none."""
    pool = [p for p in teaching_side(project) if p.origin != "written"]
    if not pool:
        raise DataError("the search needs probes of the teach side, got none", remedy="grow some with `trueline probes grow`")
    return development(pool, most, 0)


def agree(run: Run, stage: SearchStage, target: Target, yes: bool) -> None:
    """Asks for leave where somebody else serves the target, before anything is sent: the search, and the evaluations before and after it.
    Raises `TargetError` where it is not given."""
    dev = teach_probes(run.project, stage.probes)
    tried = len(dev) * len(stage.budgets) * len(stage.few_shots) + (stage.requests or 0)
    asked = (*itertools.islice(itertools.cycle(dev), tried), *run.suite.probes * 2 * run.file.evaluate.samples)
    longest = run.sampling().max_tokens
    ask_leave("align", Suite(asked, ""), {**target.chat.identity(), "prompt": run.prompt}, samples=1, max_tokens=longest, yes=yes)


def _first(run: Run, stage: SearchStage, space: Space) -> list[tuple[str, Prompt]]:
    """Every budget with every number of few-shots, named."""
    out = []
    for budget, n in itertools.product(stage.budgets, stage.few_shots):
        plain = space.plain(budget) if budget is not None else space.prompt(Choice())
        shots = space.spread(n, Random(f"shots|{run.file.seed}"))
        out.append((f"budget {budget or 'all'}, {n} shots", space.prompt(replace(plain.choice, shots=shots))))
    return out


def search(run: Run, stage: SearchStage, target: Target, folder: Path) -> Candidate:
    """Tries every combination on the same teach probes; the best worst margin under the caps wins, then the shorter prompt. Writes the diff
    that was found, `prompt.yaml`, and closes the target."""
    dev, project = teach_probes(run.project, stage.probes), run.project
    space = space_of(project, target, whole_size(project, target))
    first = _first(run, stage, space)
    space.budget = max(p.tokens for _, p in first)
    plan = Plan(run.sampling(), space.budget, stage.requests or 0, len(dev), 8, MOST_SHOTS, run.file.seed, run.file.evaluate.concurrency)
    book = Book(asker(target, project, plan, folder / CACHE), folder / JOURNAL, search_key(project, target, plan))

    async def whole() -> Outcome:
        try:
            with bar("search") as advance:
                found = Search(space, book, dev, aims(project.loaded.charter.gate), plan.requests, plan.seed, plan.width, run.say, advance)
                for name, prompt in first:
                    results = await book.results(prompt, dev)
                    failed = sum(results[p.id] != "pass" for p in dev) / len(dev)
                    run.say(f"search: {name}: {100 * failed:.1f} % of {len(dev)} teach probes failed")
                best = await found.run([prompt for _, prompt in first])
                return Outcome(await found.tried(first[0][1], len(dev)), None, best, book.asked, dev, tuple(found.rounds), None)
        finally:
            await target.chat.close()

    outcome = asyncio.run(whole())
    probes = str(beside(run.path, run.file.data.probes).resolve()) if run.file.data.probes else None
    write_tuned(folder / TUNED, file_of(outcome, outcome.best, target, project, plan, probes))
    return Candidate(outcome.best.prompt.text, outcome.best.prompt.shots)


def with_prompt(run: Run, best: Candidate) -> Run:
    """The run behind the prompt that was found."""
    return replace(run, prompt=best.prompt, shots=best.examples, tuned=TUNED)
