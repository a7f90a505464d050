"""TruthfulQA (2109.07958), multiple choice: `mc_task.json` (a list) or rows of JSON lines with `mc1_targets`. One option is true.

The published files put the true option first, so the options are put into an order that the digest of their texts decides. The paper compares
log-probabilities of the options; here the model is asked for a letter, which any model can give: the two figures are not the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from trueline.charter.digests import sha256_text
from trueline.data.jsonl import read_jsonl
from trueline.data.public.rows import LETTERS, PublicRow, check_columns, json_of, lettered, text_field
from trueline.errors import DataError


def _targets(raw: Any, path: Path, at: int) -> Mapping[str, int]:
    """Option -> 1 for the true one: as published ({text: 0 or 1}) or as data sets carry it ({choices, labels})."""
    if isinstance(raw, Mapping) and set(raw) == {"choices", "labels"} and isinstance(raw["choices"], list):
        choices, labels = raw["choices"], raw["labels"]
        if not isinstance(labels, list) or len(labels) != len(choices) or not all(isinstance(c, str) for c in choices):
            what = f"mc1_targets has {len(choices)} choices and {len(labels) if isinstance(labels, list) else 'no list of'} labels, expected one each"
            raise DataError(what, remedy="give the multiple-choice file as it was published", file=path, line=at)
        raw = dict(zip(choices, labels, strict=True))
    good = isinstance(raw, Mapping) and all(isinstance(k, str) and v in (0, 1) for k, v in raw.items())
    if not good or sum(raw.values()) != 1 or not 2 <= len(raw) <= len(LETTERS):
        what = "mc1_targets must hold 2 to 26 options, exactly one of them true"
        raise DataError(what, remedy="give the multiple-choice file as it was published", file=path, line=at)
    found: Mapping[str, int] = raw
    return found


def _rows(path: Path) -> Iterator[tuple[int, Any]]:
    if ".jsonl" in path.suffixes:
        yield from read_jsonl(path)
        return
    value = json_of(path)
    if not isinstance(value, list):
        raise DataError("this file must hold a list of questions", remedy="give mc_task.json", file=path)
    yield from enumerate(value, 1)


def read(path: Path) -> Iterator[PublicRow]:
    """One row a question, each its own family."""
    for at, row in _rows(path):
        if not isinstance(row, dict):
            raise DataError(f"a question must be an object, got {type(row).__name__}", remedy="give mc_task.json", file=path, line=at)
        check_columns(list(row), ("question", "mc1_targets"), ("mc0_targets", "mc2_targets"), path, at)
        targets = _targets(row["mc1_targets"], path, at)
        options = sorted(targets, key=sha256_text)
        text, tags = lettered(text_field(row, "question", path, at), options)
        right = LETTERS[next(i for i, o in enumerate(options) if targets[o])]
        yield PublicRow("choice", text, str(at), at, (right,), tuple(sorted(tags)))
