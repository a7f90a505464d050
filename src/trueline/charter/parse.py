"""Reads a charter file: every mistake is one line that says where it is, what was got, what was expected and how to mend it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from trueline.charter.canonical import charter_digest
from trueline.charter.explain import explain, place_of, telling
from trueline.charter.lint import check_charter
from trueline.charter.schema import Charter
from trueline.charter.yaml_document import YamlDocument, line_at, read_yaml
from trueline.errors import CharterError, TruelineError

__all__ = ["LoadedCharter", "clause_lines", "load_charter", "read_yaml", "validate"]

T = TypeVar("T", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class LoadedCharter:
    """A valid charter, where it came from, its digest, and the line (from 1) of each clause id."""

    charter: Charter
    path: Path
    digest: str
    lines: Mapping[str, int]


def validate(document: YamlDocument, model: type[T], path: Path, error: type[TruelineError]) -> T:
    """Checks plain values against a schema; the first problem becomes one `error` with its line."""
    if not isinstance(document.value, dict):
        got = "an empty file" if document.value is None else type(document.value).__name__
        raise error(f"got {got}, expected keys and values", remedy="start from `trueline init`", file=path, line=1)
    try:
        return model.model_validate(document.value)
    except ValidationError as e:
        problem = telling(e.errors(), lambda at: line_at(document.lines, at))
        what, remedy = explain(problem, model)
        raise error(what, remedy=remedy, file=path, line=line_at(document.lines, place_of(problem))) from None


def clause_lines(document: YamlDocument) -> dict[str, int]:
    """Line of each clause, by id (of the first where an id stands twice)."""
    out: dict[str, int] = {}
    for at, line in document.lines.items():
        if at and at[-1] == "id":
            value = document.value
            for step in at:
                value = value[step]
            out.setdefault(str(value), line)
    return out


def load_charter(path: Path) -> LoadedCharter:
    """Reads, validates and lints a charter. Raises `CharterError` (file:line) for the first thing that is wrong."""
    document = read_yaml(path)
    charter = validate(document, Charter, path, CharterError)
    check_charter(charter, document, path)
    return LoadedCharter(charter, path, charter_digest(charter), clause_lines(document))
