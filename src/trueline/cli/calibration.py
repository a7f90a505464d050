"""Measures a target's calibration for `eval --calibration` and writes it beside the evaluation."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from trueline.charter.digests import digest_of
from trueline.cli.progress import bar
from trueline.cli.project import Project
from trueline.core.chat import ChatModel, ScoredChat, TokenChat
from trueline.data.jsonl import write_json
from trueline.errors import TargetError
from trueline.evals.calibration import Calibrated, Question, calibrated, questions, scored
from trueline.evals.letters import chosen_all
from trueline.evals.pacing import Limits, Pacer
from trueline.models.patient import PatientChat

FILE, KEPT = "calibration.json", "calibration.jsonl"


def measured(project: Project, model: ChatModel, folder: Path, limits: Limits | None = None) -> dict[str, Any]:
    """`{"calibration": ...}`, also in the folder. The model is asked behind its prompt and without a guard, which has no probabilities: for
    the likelihood of whole replies, or where it is served, of the letter of an option, within `limits` (the budget is calibration's own, beside the suite's). Raises `TargetError` for a target that gives no log-probabilities."""
    inner = getattr(model, "inner", model)
    asked = questions(project.loaded.charter)
    if isinstance(inner, ScoredChat) and isinstance(model, ScoredChat):
        with bar("calibration") as advance:
            found = calibrated(asyncio.run(scored(model, asked, advance)))
    elif isinstance(inner, TokenChat) and isinstance(model, TokenChat):
        found = _by_letters(model, asked, folder, limits or Limits())
    else:
        what = f"{model.name} gives no log-probabilities, so that its confidence cannot be measured"
        raise TargetError(what, remedy="leave --calibration out; what a model says of its own confidence is not used")
    told = {"calibration": asdict(found)}
    write_json(folder / FILE, told)
    return told


def requests_of(project: Project) -> dict[str, int]:
    """How many requests a served model is asked for it: each question once for each of its options."""
    return {"calibration": sum(len(q.options) for q in questions(project.loaded.charter))}


def _kept(path: Path) -> dict[str, tuple[float, ...] | None]:
    """What an earlier start was told; a line that was torn is asked again."""
    out: dict[str, tuple[float, ...] | None] = {}
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else ():
        try:
            row = json.loads(line)
            out[str(row["key"])] = None if row["p"] is None else tuple(map(float, row["p"]))
        except (ValueError, TypeError, KeyError):
            continue
    return out


def _by_letters(model: TokenChat, asked: Sequence[Question], folder: Path, limits: Limits) -> Calibrated:
    """What was answered is kept at once, so that a run that is interrupted asks nothing twice."""
    folder.mkdir(parents=True, exist_ok=True)
    keys = [digest_of([dict(model.identity()), [m.to_dict() for m in q.messages], list(q.options)]) for q in asked]
    path = folder / KEPT
    known = _kept(path)
    done = {i: known[k] for i, k in enumerate(keys) if k in known and (known[k] is None or len(known[k] or ()) == len(asked[i].options))}
    with path.open("a", encoding="utf-8") as file, bar("calibration") as advance:

        def keep(i: int, p: tuple[float, ...] | None) -> None:
            file.write("\n" + json.dumps({"key": keys[i], "p": p}))  # a line that a kill tore does not take the next one with it
            file.flush()

        async def whole() -> list[tuple[float, ...] | None]:
            try:
                return await chosen_all(PatientChat(model), asked, done, keep, advance, Pacer(limits))
            finally:
                await model.close()  # a suite that follows opens connections of its own loop

        found = asyncio.run(whole())
    read = [p for p in found if p is not None]
    if not read:
        what = f"{model.name} would have answered none of {len(asked)} questions with a letter, so that its confidence cannot be measured"
        raise TargetError(what, remedy="leave --calibration out, or measure behind another prompt (--no-prompt)")
    return replace(calibrated(read), form="letters", unread=len(found) - len(read))
