"""Measures a target's calibration for `eval --calibration` and writes it beside the evaluation."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from pathlib import Path
from typing import Any

from trueline.cli.progress import bar
from trueline.cli.project import Project
from trueline.core.chat import ChatModel, ScoredChat
from trueline.data.jsonl import write_json
from trueline.errors import TargetError
from trueline.evals.calibration import calibrated, questions, scored

FILE = "calibration.json"


def measured(project: Project, model: ChatModel, folder: Path) -> dict[str, Any]:
    """`{"calibration": ...}`, also in the folder. The model is scored behind its prompt and without a guard, which has no probabilities.
    Raises `TargetError` for a target that gives no log-probabilities."""
    if not isinstance(model, ScoredChat):
        what = f"{model.name} gives no log-probabilities, so that its confidence cannot be measured"
        raise TargetError(what, remedy="leave --calibration out; what a model says of its own confidence is not used")
    asked = questions(project.loaded.charter)
    with bar("calibration") as advance:
        found = asyncio.run(scored(model, asked, advance))
    told = {"calibration": asdict(calibrated(found))}
    write_json(folder / FILE, told)
    return told
