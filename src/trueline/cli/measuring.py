"""Runs a suite on an opened model and writes the evaluation folder: what `eval`, `align` and `demo` share."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
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
from trueline.evals.runner import evaluate
from trueline.evals.suites import Suite
from trueline.models.cached import CachedChat
from trueline.models.patient import PatientChat


def evaluation_folder(base: Path, kind: str, suite: Suite, target: str, *rest: Any) -> Path:
    """The folder of an evaluation that nobody named: readable, and another one for another target or other settings (`rest`)."""
    readable = re.sub(r"[^A-Za-z0-9.]+", "-", target).strip("-")[-40:].lstrip("-")
    return base / f"{kind}-{suite.digest[:8]}-{readable}-{digest_of([target, *rest])[:8]}"


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
) -> Evaluation:
    """Evaluates and writes `folder`; an interrupted run resumes from its journal and cache. Closes the model.
    `trained_on`: every prompt that the model was trained on, as far as it is known; `shown`: hand-written examples that it knows
    besides its few-shots; `grader`: in place of the charter's own; `may_be_silent`: as in `evaluate`."""
    folder.mkdir(parents=True, exist_ok=True)
    cached = CachedChat(PatientChat(model), folder / "cache.sqlite")

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
                    concurrency=concurrency,
                    journal=folder / JOURNAL,
                    progress=advance,
                    target=target,
                    may_be_silent=may_be_silent,
                )
        finally:
            await cached.close()

    found = asyncio.run(go())
    if cached.hits:
        told = f"{cached.hits} of {len(found.rows)} replies came from {cached.path}; delete it to ask anew"
        click.echo(f"note: {told}", err=True)
    shots = [(message_from(m),) for m in found.identity.get("shots", ()) if m["role"] == "user"]
    found = replace(found, contaminated=contaminated(suite.probes, trained_on), taught=taught(suite.probes, [*trained_on, *shown, *shots]))
    write_evaluation(folder, found)
    (folder / JOURNAL).unlink(missing_ok=True)
    return found
