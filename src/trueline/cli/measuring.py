"""Runs a suite on an opened model and writes the evaluation folder: what `eval`, `align` and `demo` share."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from trueline.charter.digests import digest_of
from trueline.charter.turns import Message, message_from
from trueline.cli.progress import bar
from trueline.cli.project import Project
from trueline.core.chat import ChatModel, Sampling
from trueline.core.evaluations import Evaluation
from trueline.core.ports import Grader
from trueline.data.contamination import contaminated, taught
from trueline.data.evaluations import JOURNAL, write_evaluation
from trueline.data.jsonl import write_json
from trueline.evals.journal import NO_ANSWER
from trueline.evals.order import Early
from trueline.evals.pacing import Limits, Pacer
from trueline.evals.rows import NOT_TAKEN
from trueline.evals.runner import evaluate
from trueline.evals.suites import Suite
from trueline.models.cached import CachedChat
from trueline.models.patient import PatientChat

RUN = "run.json"  # what the last try cost and met; no part of the evaluation


def evaluation_folder(base: Path, kind: str, suite: Suite, target: str, *rest: Any) -> Path:
    """The folder of an evaluation that nobody named: readable, and another one for another target or other settings (`rest`)."""
    readable = re.sub(r"[^A-Za-z0-9.]+", "-", target).strip("-")[-40:].lstrip("-")
    return base / f"{kind}-{suite.digest[:8]}-{readable}-{digest_of([target, *rest])[:8]}"


def shots_of(identity: Mapping[str, Any]) -> list[tuple[Message, ...]]:
    """The questions of the few-shot examples that a target stands behind."""
    return [(message_from(m),) for m in identity.get("shots", ()) if m["role"] == "user"]


def told_by(pacer: Pacer, advance: Callable[..., None]) -> Callable[[int, int], None]:
    """The progress of a run with its rate and, where prices are known, its cost so far."""
    began = time.monotonic()

    def told(done: int, total: int) -> None:
        asked, caps = pacer.budget.spent.requests, pacer.limits.caps
        cost = f", cost {pacer.budget.money:.4f}" if caps.price_in or caps.price_out else ""
        advance(done, total, note=f"{asked / max(time.monotonic() - began, 1e-3):.1f} requests/s{cost}")

    return told


def say(found: Evaluation, cached: CachedChat, pacer: Pacer) -> None:
    """Notes for a person: what was not asked anew, what nobody answered and why, what stopped the run."""
    if cached.hits:
        click.echo(f"note: {cached.hits} of {len(found.rows)} replies came from {cached.path}; delete it to ask anew", err=True)
    for seen in (NO_ANSWER, NOT_TAKEN):
        if n := sum(r.seen == seen for r in found.rows):
            reason = next(r.reason for r in found.rows if r.seen == seen)
            click.echo(f"note: {n} of {len(found.rows)} replies are unscored ({seen}), for instance: {reason}", err=True)
    if pacer.faults:
        kinds = ", ".join(f"{kind} {n}" for kind, n in pacer.faults.most_common())
        click.echo(f"note: requests that went wrong, most of them asked again: {kinds}", err=True)
    if stopped := found.settings.get("stopped"):
        click.echo(f"note: stopped after {stopped['families']} of {stopped['of']} families: {stopped['why']}", err=True)


def run_suite(
    model: ChatModel,
    project: Project,
    suite: Suite,
    sampling: Sampling,
    folder: Path,
    *,
    samples: int = 1,
    concurrency: int = 64,
    target: str | None = None,
    title: str = "eval",
    trained_on: Sequence[tuple[Message, ...]] = (),
    shown: Sequence[tuple[Message, ...]] = (),
    grader: Grader | None = None,
    may_be_silent: bool = False,
    limits: Limits | None = None,
    early: Early | None = None,
    order: int | None = None,
    looks: int = 1,
) -> Evaluation:
    """Evaluates and writes `folder`; an interrupted run resumes from its journal and cache. Closes the model.
    `limits`: in place of `concurrency` alone; `early`: a rule that may end the run; `order`: seed of a random order. `trained_on`: every prompt that the model was trained on, as far as it is known; `shown`: hand-written examples that it knows
    besides its few-shots; `looks`: as in `Evaluation`; `grader`: in place of the charter's own; `may_be_silent`: as in `evaluate`."""
    folder.mkdir(parents=True, exist_ok=True)
    cached, pacer = CachedChat(PatientChat(model), folder / "cache.sqlite"), Pacer(limits or Limits(concurrency))

    async def go() -> Evaluation:
        try:
            with bar(title) as advance:
                return await evaluate(
                    cached,
                    suite,
                    grader or project.grader(),
                    charter=project.loaded.digest,
                    sampling=sampling,
                    samples=samples,
                    journal=folder / JOURNAL,
                    progress=told_by(pacer, advance),
                    target=target,
                    may_be_silent=may_be_silent,
                    pacer=pacer,
                    early=early,
                    order=order,
                )
        finally:
            await cached.close()

    try:
        found = asyncio.run(go())
    finally:
        write_json(folder / RUN, {**pacer.report(), "from_cache": cached.hits})
    say(found, cached, pacer)
    found = replace(found, created=min(found.created, cached.oldest or found.created))  # evidence is as old as its oldest reply
    return finished(found, folder, suite, trained_on, shown, looks)


def finished(
    found: Evaluation,
    folder: Path,
    suite: Suite,
    trained_on: Sequence[tuple[Message, ...]],
    shown: Sequence[tuple[Message, ...]],
    looks: int = 1,
) -> Evaluation:
    """Marks what was trained on or shown, writes the evaluation and takes the journal away."""
    found = replace(
        found,
        contaminated=contaminated(suite.probes, trained_on),
        taught=taught(suite.probes, [*trained_on, *shown, *shots_of(found.identity)]),
        looks=looks,
    )
    write_evaluation(folder, found)
    (folder / JOURNAL).unlink(missing_ok=True)
    return found
