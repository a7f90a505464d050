"""Opens a TARGET as a judge and measures its error on replies that people have graded: what `eval --judge` needs."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from trueline.cli.project import Project
from trueline.cli.targets import open_target
from trueline.data.jsonl import read_jsonl
from trueline.errors import TargetError
from trueline.evals.graders.judge import JudgeGrader, Labelled, calibrate, labelled_from
from trueline.evals.suites import Suite
from trueline.models.cached import CachedChat
from trueline.models.patient import PatientChat


def _judge(judge: str, project: Project, folder: Path, error: dict[str, Any] | None = None) -> tuple[JudgeGrader, CachedChat]:
    chat = CachedChat(PatientChat(open_target(judge).chat), folder / "judge.sqlite")
    return JudgeGrader(project.loaded.charter, project.grader(), chat, error=error), chat


def _measured(judge: str, labelled: tuple[Labelled, ...], project: Project, folder: Path) -> dict[str, Any]:
    async def go() -> dict[str, Any]:
        grader, chat = _judge(judge, project, folder)
        try:
            return await calibrate(grader, labelled)
        finally:
            await chat.close()

    return asyncio.run(go())


def open_judge(judge: str | None, labels: Path | None, project: Project, suite: Suite, folder: Path) -> JudgeGrader | None:
    """The judge, calibrated where labels are given; None without a judge. Raises `TargetError` for labels without a judge."""
    if judge is None:
        if labels is not None:
            raise TargetError("--judge-labels without --judge measures nobody", remedy="name the judge with --judge TARGET")
        return None
    error = None
    if labels is not None:
        known = {p.id: p for p in suite.probes}
        error = _measured(judge, labelled_from(list(read_jsonl(labels)), known, str(labels)), project, folder)
    return _judge(judge, project, folder, error)[0]
