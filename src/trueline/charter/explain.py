"""Says in words what a schema found wrong: what was got, what was expected, how to mend it. One table, from a problem's type to its words."""

from __future__ import annotations

import difflib
import json
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from trueline.charter.yaml_document import Place

Problem = Mapping[str, Any]
Words = tuple[str, str]  # (what was expected, remedy)

DRAFT_KEYS = ("status", "source")  # what `trueline init --from` writes into a draft
SHAPES = {
    "id": ("lower-case words joined by hyphens, e.g. no-fraud-help", "rename it"),
    "decision": ("a question that contains {person}", 'write e.g. "Should {person} be offered a loan? Answer yes or no."'),
    "within": ("a time like 30m, 4h or 2d", "write a number and s, m, h or d"),
}


def _fields_at(model: type[BaseModel], at: Place) -> list[str]:
    """The keys that are known at a place, for suggestions."""
    found: Any = model
    for step in at:
        if isinstance(found, type) and issubclass(found, BaseModel) and isinstance(step, str) and step in found.model_fields:
            found = found.model_fields[step].annotation
        while typing.get_origin(found) in (tuple, list, typing.Annotated, types.UnionType, typing.Union):
            found = next((a for a in typing.get_args(found) if a not in (type(None), ...)), None)
    return list(found.model_fields) if isinstance(found, type) and issubclass(found, BaseModel) else []


def place_of(problem: Problem) -> Place:
    """Where in the file: the location without the names of a union's branches, which only the schema knows."""
    return tuple(p for p in problem["loc"] if not (isinstance(p, str) and (p.startswith(("constrained-", "tuple[", "function-")))))


def telling(problems: Iterable[Problem], line: Callable[[Place], int]) -> Problem:
    """The one to show: a misspelt key before all, for it explains the missing one; else the first in the file.

    A list that is "too short" because its items are wrong says nothing and falls away, and so does an error of a parent."""
    found = list(problems)
    places = {place_of(p) for p in found}
    deepest = [p for p in found if not any(len(q) > len(place_of(p)) and q[: len(place_of(p))] == place_of(p) for q in places)]
    return min(deepest, key=lambda p: (p["type"] != "extra_forbidden", line(place_of(p))))


def _key(problem: Problem) -> str:
    return str(next((p for p in reversed(place_of(problem)) if isinstance(p, str)), "it"))


def _quoted(problem: Problem) -> Words:
    got = problem.get("input")
    if isinstance(got, bool | int | float):
        return "text", f"put it in quotes: {_key(problem)}: {json.dumps(str(got))}"
    if got is None:
        return "text", f"write something after `{_key(problem)}:` or remove the key"
    return "one text", "write it as one text in quotes"


def _listed(problem: Problem) -> Words:
    got = problem.get("input")
    shown = json.dumps(got, ensure_ascii=False) if isinstance(got, str | int) else "..."
    return "a list", f"write {_key(problem)}: [{shown}]"


def _one_of(problem: Problem) -> Words:
    allowed = str(problem["ctx"]["expected"])
    names = [n.strip("'") for n in allowed.replace(" or ", ", ").split(", ")]
    near = difflib.get_close_matches(str(problem.get("input")), names, n=1)
    # a version that differs only by quotes: the text "1" for the number 1
    if str(problem.get("input")) in names:
        return f"{allowed} without quotes", "remove the quotes"
    return allowed, f"did you mean {near[0]!r}?" if near else f"use {'one of these' if len(names) > 1 else names[0]}"


def _shape(problem: Problem) -> Words:
    default = (f"text of the form {problem['ctx'].get('pattern', '')}", "mend it")
    return SHAPES.get(_key(problem), default)


def _between(problem: Problem) -> Words:
    words = str(problem["msg"]).replace("Input should be ", "")
    limits = problem.get("ctx", {})
    rate = 1 in (limits.get("le"), limits.get("lt")) or (limits.get("ge") == 0 and isinstance(problem.get("input"), float))
    return f"a number {words[:1].lower()}{words[1:]}", "mend the number" + (" (a rate is a fraction: 5 % is 0.05)" if rate else "")


def _tag(problem: Problem) -> Words:
    """One of several shapes that are told apart by one key."""
    key = str(problem["ctx"]["discriminator"]).strip("'")
    allowed = str(problem["ctx"].get("expected_tags", "")) or "one that says which it is"
    got = problem["ctx"].get("tag")
    return f"`{key}:` to be {allowed}", f"write e.g. {key}: {allowed.split(',')[0].strip(chr(39))}" if got else f"add `{key}: ...`"


def _keys(problem: Problem) -> Words:
    return "keys and values", "indent the keys below it, or remove it"


def _too_short(problem: Problem) -> Words:
    empty = isinstance(problem.get("input"), str)
    return ("some words", "write them or remove the key") if empty else ("at least one entry", "add one")


WORDS: Mapping[str, Callable[[Problem], Words]] = {
    "string_type": _quoted,
    "tuple_type": _listed,
    "list_type": _listed,
    "literal_error": _one_of,
    "string_pattern_mismatch": _shape,
    "string_too_short": _too_short,
    "too_short": _too_short,
    "string_too_long": lambda p: (f"at most {p['ctx']['max_length']} characters", "shorten it"),
    "greater_than": _between,
    "greater_than_equal": _between,
    "less_than": _between,
    "less_than_equal": _between,
    "model_type": _keys,
    "dict_type": _keys,
    "mapping_type": _keys,
    "model_attributes_type": _keys,
    "union_tag_invalid": _tag,
    "union_tag_not_found": _tag,
    "string_unicode": lambda p: ("text of whole characters", "remove the half of a character (\\ud800 to \\udfff)"),
    "invalid_key": lambda p: ("a word as key", "rename the key"),
    "bool_type": lambda p: ("true or false", "write true or false"),
    "bool_parsing": lambda p: ("true or false", "write true or false"),
    "int_type": lambda p: ("a whole number", "write a whole number"),
    "int_parsing": lambda p: ("a whole number", "write a whole number"),
    "int_from_float": lambda p: ("a whole number", "write a whole number"),
    "float_type": lambda p: ("a number", "write a number"),
    "float_parsing": lambda p: ("a number", "write a number"),
}


def _unknown_key(at: Place, model: type[BaseModel]) -> Words:
    where = f"in {'.'.join(map(str, at[:-1]))}" if at[:-1] else "in the file"
    if at[-1] in DRAFT_KEYS and len(at) > 2:
        return f"a draft that nobody has accepted stands {where}", "complete the clause, then remove its `status` and `source`"
    known = _fields_at(model, at[:-1])
    near = difflib.get_close_matches(str(at[-1]), known, n=1)
    return f"unknown key {at[-1]!r} {where}", f"did you mean {near[0]!r}?" if near else f"known keys here: {', '.join(known) or 'none'}"


def explain(problem: Problem, model: type[BaseModel]) -> tuple[str, str]:
    """(what, remedy) of one problem of a schema."""
    at, kind, got = place_of(problem), problem["type"], problem.get("input")
    where = ".".join(str(p) for p in at) or "the file"
    if kind == "extra_forbidden":
        return _unknown_key(at, model)
    if kind == "missing":
        return f"{where} is missing", f"add `{at[-1]}: ...`"
    default: Words = (str(problem["msg"])[:1].lower() + str(problem["msg"])[1:], f"mend {_key(problem)!r}")
    expected, remedy = WORDS[kind](problem) if kind in WORDS else default
    return f"{where}: got {_shown(got)}, expected {expected}", remedy


def _shown(got: Any) -> str:
    if got is None or got == "":
        return "nothing"
    if isinstance(got, dict):
        return "keys and values"
    if isinstance(got, Sequence) and not isinstance(got, str):
        return f"a list of {len(got)}"
    return f"{type(got).__name__} {got!r:.50}"
