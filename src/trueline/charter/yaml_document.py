"""A YAML file as plain values with the line of each place: hostile files (tags, anchors, huge, deep) are one-line errors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from trueline.errors import CharterError, TruelineError

Place = tuple[str | int, ...]
LARGEST = 2_000_000  # bytes; a charter is written by people
MOST_BRACKETS = 200  # on one line; the parser's time grows with their square
PLAIN_TAGS = frozenset(["null", "bool", "int", "float", "str", "seq", "map", "timestamp", "merge"])
YAML_REMEDIES = {
    "\\t": "replace the tab by spaces",
    "mapping values are not allowed": 'put a text that holds ": " in quotes',
    "another document": "remove the line `---`: a charter is one document",
    "block end": "align this line with its neighbours, spaces only",
    "<scalar>": "a comma, a quote or a bracket is missing here or just before",
    "'<document end>'": "a bracket or a quote is never closed",
    "undefined alias": "write the value out instead of using *alias",
}


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
    for number, opened in enumerate((line.count("[") + line.count("{") for line in text.split("\n")), 1):
        if opened > MOST_BRACKETS:
            what = f"this line opens {opened} brackets, at most {MOST_BRACKETS} expected"
            raise error(what, remedy="write one entry a line", file=path, line=number)
    try:
        node = YAML(typ="rt", pure=True).compose(text)
    except MarkedYAMLError as e:
        line = e.problem_mark.line + 1 if e.problem_mark else 1
        remedy = next((r for word, r in YAML_REMEDIES.items() if word in str(e.problem)), "check indentation, quotes and colons here")
        raise error(f"bad YAML: {e.problem or e.context or 'cannot be parsed'}", remedy=remedy, file=path, line=line) from None
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
    if str(node.tag).removeprefix("tag:yaml.org,2002:") not in PLAIN_TAGS:
        raise error(f"the tag {str(node.tag)!r:.40} is not known here", remedy="remove it and write the plain value", file=path, line=line)
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


def line_at(lines: Mapping[Place, int], at: Place) -> int:
    """The line of a place, or of the nearest one that holds it."""
    while at and at not in lines:
        at = at[:-1]
    return lines.get(at, 1)
