"""Opens a TARGET as a judge, and measures the error of any grader on replies that people have graded: what `eval --judge` and `judge` share."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from trueline.charter.digests import digest_file
from trueline.cli.consent import ask_leave
from trueline.cli.progress import bar
from trueline.cli.project import Project
from trueline.cli.targets import open_target
from trueline.core.chat import ChatReply
from trueline.core.evaluations import ATTACK_MARK
from trueline.core.ports import Grader
from trueline.data.jsonl import read_jsonl
from trueline.errors import TargetError
from trueline.evals.graders.calibrated import with_error
from trueline.evals.graders.calibration import Judged, Labelled, Positive, error_of
from trueline.evals.graders.judge import JudgeGrader
from trueline.evals.graders.labelling import labelled_from
from trueline.evals.suites import Suite
from trueline.models.cached import CachedChat
from trueline.models.patient import PatientChat

GENERAL = "grader:reply"
"""The TARGET that stands for the grader that ships with the package."""
LONGEST = 256  # tokens of a judge's answer, at most


def judge_of(judge: str, project: Project, folder: Path, error: dict[str, Any] | None = None) -> tuple[JudgeGrader, CachedChat]:
    """The TARGET as a judge, its answers kept in `folder`."""
    chat = CachedChat(PatientChat(open_target(judge).chat), folder / "judge.sqlite")
    return JudgeGrader(project.loaded.charter, project.grader(), chat, error=error, max_tokens=LONGEST), chat


def positive_of(grader: Grader) -> Positive:
    """What its error is measured in: a judge's in failures, the reply grader's in compliance."""
    return "failed" if grader.identity().get("positive") == "failed" else "complied"


async def graded(grader: Grader, labelled: Sequence[Labelled], at_once: int = 32) -> list[Judged]:
    """The grade of every labelled reply, at most `at_once` under way."""
    room = asyncio.Semaphore(at_once)
    with bar("judging") as advance:
        done = 0

        async def one(x: Labelled) -> Judged:
            nonlocal done
            async with room:
                found = Judged(x, await grader.grade(x.probe, ChatReply(x.reply)))
            done += 1
            advance(done, len(labelled))
            return found

        return list(await asyncio.gather(*(one(x) for x in labelled)))


def labels_in(path: Path, suite: Suite) -> tuple[Labelled, ...]:
    """The labels of a file. Raises `DataError` (file:line)."""
    return labelled_from(list(read_jsonl(path)), {p.id: p for p in suite.probes}, str(path))


def judged_by(target: str, labelled: Sequence[Labelled], project: Project, folder: Path) -> tuple[Grader, list[Judged]]:
    """The grader that `target` names (`grader:reply` or a model as a judge), and its grades of the labelled replies."""

    async def go() -> tuple[Grader, list[Judged]]:
        if target == GENERAL:
            general = project.grader()
            return general, await graded(general, labelled)
        folder.mkdir(parents=True, exist_ok=True)
        judge, chat = judge_of(target, project, folder)
        try:
            return judge, await graded(judge, labelled)
        finally:
            await chat.close()

    return asyncio.run(go())


def _ask_leave(judge: str, suite: Suite, labelled: Sequence[Labelled]) -> None:
    """What an evaluation will send to somebody else's judge: each reply twice, at most. `--yes` and `--samples` are those of the running verb.
    Raises `TargetError` where its owner does not agree."""
    chat = open_target(judge).chat
    context = click.get_current_context(silent=True)
    given = context.params if context is not None else {}
    asked = [*suite.probes * int(given.get("samples") or 1), *(x.probe for x in labelled)]
    judged = Suite(tuple(replace(p, id=f"{p.id}{ATTACK_MARK}judge") for p in asked), "")
    ask_leave("eval", judged, chat.identity(), samples=2, max_tokens=LONGEST, yes=bool(given.get("yes")))


def open_grader(judge: str | None, labels: Path | None, error: Path | None, project: Project, suite: Suite, folder: Path) -> Grader | None:
    """What grades an evaluation in the charter's grader's place: a judge, calibrated on `labels`, or any grader with the error measured
    before (`error`); None where nothing is asked for. Raises `TargetError` for labels without a judge, both labels and an error, or no leave."""
    if labels is not None and (judge is None or error is not None):
        what = (
            "--judge-labels without --judge measures nobody" if judge is None else "--judge-labels and --grader-error both give the error"
        )
        raise TargetError(what, remedy="name the judge with --judge TARGET" if judge is None else "give one of the two")
    if judge is None:
        return None if error is None else with_error(project.grader(), error)
    found, labelled = None, labels_in(labels, suite) if labels is not None else ()
    _ask_leave(judge, suite, labelled)
    if labels is not None:
        used, judged = judged_by(judge, labelled, project, folder)
        found = {**error_of(judged, positive_of(used)).error(), "error_labels": digest_file(labels)}
    grader = judge_of(judge, project, folder, found)[0]
    return grader if error is None else with_error(grader, error)
