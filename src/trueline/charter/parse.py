"""Reads a charter file: YAML with line numbers kept, every mistake one line that says where, what and how to mend it."""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from trueline.charter.canonical import charter_digest
from trueline.charter.schema import Charter
from trueline.errors import CharterError, TruelineError

Place = tuple[str | int, ...]
T = typing.TypeVar("T", bound=BaseModel)
LARGEST = 2_000_000  # bytes; a charter is written by people


@dataclass(frozen=True, slots=True)
class LoadedCharter:
    """A valid charter, where it came from, its digest, and the line (from 1) of each clause id."""

    charter: Charter
    path: Path
    digest: str
    lines: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class YamlDocument:
    """Plain values of a YAML file and the line of each place in it."""

    value: Any
    lines: Mapping[Place, int]


def read_yaml(path: Path, error: type[TruelineError] = CharterError) -> YamlDocument:
    """Reads one YAML document. Raises `error` with file:line for bad YAML, duplicate keys, anchors and wrong encodings."""
    try:
        raw = path.read_bytes()
    except OSError as e:
        raise error(f"cannot read this file ({e.strerror or e})", remedy="give a readable YAML file", file=path) from None
    if len(raw) > LARGEST:
        raise error(f"this file has {len(raw)} bytes, at most {LARGEST} expected", remedy="give the right file", file=path)
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as e:
        line = raw[: e.start].count(b"\n") + 1
        raise error("this line is not UTF-8", remedy="save the file as UTF-8", file=path, line=line) from None
    try:
        node = YAML(typ="rt", pure=True).compose(text)
    except MarkedYAMLError as e:
        line = e.problem_mark.line + 1 if e.problem_mark else 1
        what = f"bad YAML: {e.problem or e.context or 'cannot be parsed'}"
        raise error(what, remedy="check indentation, quotes and colons here", file=path, line=line) from None
    except (YAMLError, ValueError, RecursionError) as e:
        raise error(f"bad YAML: {' '.join(str(e).split())[:100]}", remedy="mend the file", file=path, line=1) from None
    lines: dict[Place, int] = {}
    try:
        value = _plain(node, (), lines, path, error, set())
    except RecursionError:
        raise error("this file is nested too deeply", remedy="flatten it", file=path, line=1) from None
    return YamlDocument(value, lines)


def _plain(node: Node | None, at: Place, lines: dict[Place, int], path: Path, error: type[TruelineError], seen: set[int]) -> Any:
    if node is None:
        return None
    line = node.start_mark.line + 1
    lines.setdefault(at, line)
    if id(node) in seen:
        raise error("an anchor is used twice here", remedy="write the value out instead of using *alias", file=path, line=line)
    seen.add(id(node))
    if isinstance(node, MappingNode):
        out: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            key = _scalar(key_node) if isinstance(key_node, ScalarNode) else None
            key_line = key_node.start_mark.line + 1
            if not isinstance(key, str | int):
                raise error("a key must be a word", remedy="write `key: value`", file=path, line=key_line)
            if key in out:
                raise error(f"the key {key!r} stands twice", remedy="keep one of them", file=path, line=key_line)
            lines[(*at, key)] = key_line
            out[key] = _plain(value_node, (*at, key), lines, path, error, seen)
        return out
    if isinstance(node, SequenceNode):
        return [_plain(child, (*at, i), lines, path, error, seen) for i, child in enumerate(node.value)]
    return _scalar(node)


def _scalar(node: Node) -> Any:
    """A scalar as YAML 1.2 core types; everything else stays text."""
    text, kind = str(node.value), str(node.tag).rpartition(":")[2]
    try:
        if kind == "null":
            return None
        if kind == "bool":
            return text.lower() == "true" if text.lower() in ("true", "false") else text
        if kind == "int":
            return int(text.replace("_", ""), 0)
        if kind == "float":
            return float(text.replace("_", ""))
    except ValueError:
        pass
    return text


def _line(lines: Mapping[Place, int], at: Place) -> int:
    while at and at not in lines:
        at = at[:-1]
    return lines.get(at, 1)


def _fields_at(model: type[BaseModel], at: Place) -> list[str]:
    """The keys that are known at a place, for suggestions."""
    found: Any = model
    for step in at:
        if isinstance(found, type) and issubclass(found, BaseModel) and isinstance(step, str) and step in found.model_fields:
            found = found.model_fields[step].annotation
        while typing.get_origin(found) in (tuple, list, typing.Annotated, types.UnionType, typing.Union):
            found = next((a for a in typing.get_args(found) if a not in (type(None), ...)), None)
    return list(found.model_fields) if isinstance(found, type) and issubclass(found, BaseModel) else []


def _explain(problem: Mapping[str, Any], model: type[BaseModel]) -> tuple[str, str]:
    """(what, remedy) of one pydantic problem, in words."""
    at, kind, got = problem["loc"], problem["type"], problem.get("input")
    where = ".".join(str(p) for p in at)
    shown = f"{type(got).__name__} {got!r:.50}" if not isinstance(got, dict | list) else type(got).__name__
    if kind == "extra_forbidden":
        known = _fields_at(model, at[:-1])
        near = difflib.get_close_matches(str(at[-1]), known, n=1)
        remedy = f"did you mean {near[0]!r}?" if near else f"known keys here: {', '.join(known) or 'none'}"
        return f"unknown key {at[-1]!r} in {'.'.join(map(str, at[:-1])) or 'the file'}", remedy
    if kind == "missing":
        return f"{where} is missing", f"add `{at[-1]}: ...`"
    words = problem["msg"][0].lower() + problem["msg"][1:]
    if kind == "string_pattern_mismatch" and at[-1] == "id":
        words = "an id is made of lower-case words joined by hyphens, e.g. no-fraud-help"
    if kind == "string_pattern_mismatch" and at[-1] == "decision":
        words = "a decision asks about a person and must contain {person}"
    return f"{where}: got {shown}, expected: {words}", f"mend {at[-1]!r}" if at else "mend the file"


def validate(document: YamlDocument, model: type[T], path: Path, error: type[TruelineError]) -> T:
    """Checks plain values against a schema; the first problem becomes one `error` with its line."""
    if not isinstance(document.value, dict):
        got = "an empty file" if document.value is None else type(document.value).__name__
        raise error(f"got {got}, expected keys and values", remedy="start from `trueline init`", file=path, line=1)
    try:
        return model.model_validate(document.value)
    except ValidationError as e:
        # a list that is "too short" because its items are wrong says nothing; a misspelt key explains the missing one
        found = e.errors()
        found = [
            p
            for p in found
            if not any(q is not p and q["loc"][: len(p["loc"])] == p["loc"] and len(q["loc"]) > len(p["loc"]) for q in found)
        ]
        problem = min(found, key=lambda p: (p["type"] != "extra_forbidden", _line(document.lines, p["loc"])))
        what, remedy = _explain(problem, model)
        raise error(what, remedy=remedy, file=path, line=_line(document.lines, problem["loc"])) from None


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
    from trueline.charter.lint import check_charter

    document = read_yaml(path)
    charter = validate(document, Charter, path, CharterError)
    check_charter(charter, document, path)
    return LoadedCharter(charter, path, charter_digest(charter), clause_lines(document))
