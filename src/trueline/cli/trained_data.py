"""What a model's folder was trained on, as the records beside it say: `train.json` of a training verb, `run.json` of `align`.

In order: find the record beside the folder, read the prompts of its data files, go on to the model that it was trained from. Left out on
purpose: models that came without a record, of which nothing is known, and the runs of `train constitution`, which name no data file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trueline.charter.turns import Message
from trueline.data.jsonl import read_jsonl
from trueline.data.prompts import prompt_from
from trueline.errors import DataError

STAGE = ("data.jsonl", "preferences.jsonl")  # what a stage of `align` learnt from
Prompts = tuple[tuple[Message, ...], ...]


@dataclass(frozen=True, slots=True)
class Trained:
    """`prompts` that stand in the training data; `notes` for a person on what could not be looked at."""

    prompts: Prompts = ()
    notes: tuple[str, ...] = ()


def trained_data(model: str) -> Trained:
    """Of the folder of a local model, and of those that it was trained from; nothing for any other TARGET."""
    prompts: list[tuple[Message, ...]] = []
    notes: list[str] = []
    seen: set[Path] = set()
    at: Path | None = Path(model)
    while at is not None and at.is_dir() and at.resolve() not in seen:
        seen.add(at.resolve())
        found = _record(at.resolve().parent)
        for path in found.files:
            try:
                prompts += _prompts(path)
            except DataError as e:
                notes.append(f"{found.name} names {path}, which cannot be read ({e.what}): not checked against the suite")
        at = found.earlier
    return Trained(tuple(dict.fromkeys(prompts)), tuple(notes))


@dataclass(frozen=True, slots=True)
class _Found:
    """A record: its name, the data files, and the model that was trained."""

    name: str
    files: tuple[Path, ...] = ()
    earlier: Path | None = None


def _record(place: Path) -> _Found:
    for name, read in (("train.json", _of_training), ("run.json", _of_align)):
        path = place / name
        try:
            told = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            continue  # no record, or one that says nothing
        if isinstance(told, dict) and (found := read(path, told)) is not None:
            return found
    return _Found("no record")


def _of_training(path: Path, told: Mapping[str, Any]) -> _Found | None:
    options = told.get("options")
    if not isinstance(options, dict):
        return None
    data, model = options.get("data"), options.get("model")
    return _Found(str(path), (Path(data),) if isinstance(data, str) else (), Path(model) if isinstance(model, str) else None)


def _of_align(path: Path, told: Mapping[str, Any]) -> _Found | None:
    stages, settings = told.get("stages"), told.get("run_file")
    if told.get("trueline_run") != 1 or not isinstance(stages, dict) or not isinstance(settings, dict):
        return None
    learnt = (path.parent / "stages" / stage / name for stage in stages for name in STAGE)
    model = settings.get("model")
    return _Found(str(path), tuple(p for p in learnt if p.exists()), Path(model) if isinstance(model, str) else None)


def _prompts(path: Path) -> Iterator[tuple[Message, ...]]:
    """Of every row that asks something; a row that training left out, or cannot read, asks nothing."""
    for _, row in read_jsonl(path):
        try:
            yield prompt_from(row).messages
        except DataError:
            continue
