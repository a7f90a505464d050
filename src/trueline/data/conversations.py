"""Readers of the standard training formats: demonstrations and preferences, from JSON lines.

Demonstrations: `messages`, or `prompt` + `completion`. Preferences: `prompt`, `chosen`, `rejected` (strings or message
lists), or an implicit prompt (`chosen` and `rejected` begin with the same turns). Extras: margin, weight, clause, source.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from trueline.charter.digests import digest_of
from trueline.charter.turns import Message, messages_from
from trueline.core.records import Preference
from trueline.data.jsonl import read_jsonl
from trueline.errors import DataError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Example:
    """A conversation and the reply to learn. `source` says where it came from."""

    prompt: tuple[Message, ...]
    reply: str
    source: str = ""

    def digest(self) -> str:
        """Content address."""
        return digest_of([[m.to_dict() for m in self.prompt], self.reply])


class TeachesNothing(DataError):
    """A well-formed row from which nothing can be learnt. Real data has some: they are left out and counted, not fatal."""


@dataclass(frozen=True, slots=True)
class PreferenceFile:
    """The pairs of a file, and one line (file, line, reason) for each row that was left out because it teaches nothing."""

    pairs: list[Preference]
    left_out: tuple[str, ...]

    def words(self) -> str:
        """What was left out, for a person; empty where nothing was."""
        n = len(self.left_out)
        return f"{n} of {n + len(self.pairs)} rows left out, e.g. {self.left_out[0]}" if n else ""


def _need(row: Mapping[str, Any], *keys: str) -> None:
    for key in keys:
        if key not in row or row[key] in (None, "", []):
            raise DataError(f"{key!r} is missing or empty, got keys {', '.join(sorted(row)) or 'none'}", remedy=f"add {key!r}")


def _reply(raw: Any, what: str) -> str:
    """The reply of a completion: a string, or messages of which the last is the assistant's."""
    if isinstance(raw, str):
        return raw
    turns = messages_from(raw)
    if turns[-1].role != "assistant":
        raise DataError(f"{what} must end with the assistant, got {turns[-1].role}", remedy="end with the assistant's message")
    return turns[-1].content


def example_from(row: Mapping[str, Any]) -> Example:
    """One demonstration. Raises `DataError` that names the field."""
    source = str(row.get("source", ""))
    if "messages" in row:
        turns = messages_from(row["messages"])
        if turns[-1].role != "assistant" or len(turns) < 2:
            raise DataError(f"messages must end with the assistant's reply, got {turns[-1].role}", remedy="add the reply")
        return _with_words(Example(turns[:-1], turns[-1].content, source))
    _need(row, "prompt", "completion")
    return _with_words(Example(messages_from(row["prompt"]), _reply(row["completion"], "completion"), source))


def _with_words(example: Example) -> Example:
    if not example.reply.strip():
        raise DataError("an empty reply teaches to say nothing", remedy="write the reply or remove the row")
    return example


def _number(row: Mapping[str, Any], key: str, default: float) -> float:
    value = row.get(key, default)
    value = default if value is None else value
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise DataError(f"{key} must be a number of at least 0, got {value!r:.30}", remedy=f"mend {key!r}")
    return float(value)


def implicit_prompt(row: Mapping[str, Any]) -> tuple[Message, ...]:
    """The turns that `chosen` and `rejected` begin with, all but the last of each. Raises `DataError` where they are not the same."""
    a, b = messages_from(row["chosen"]), messages_from(row["rejected"])
    if len(a) < 2 or a[:-1] != b[:-1]:
        raise DataError("no prompt, and chosen and rejected do not begin with the same turns", remedy="add 'prompt'")
    return a[:-1]


def preference_from(row: Mapping[str, Any]) -> Preference:
    """One preference. Raises `DataError` that names the field."""
    for key in ("chosen", "rejected"):
        if row.get(key) != "":
            _need(row, key)
    if row.get("prompt"):
        prompt = messages_from(row["prompt"])
        chosen, rejected = _reply(row["chosen"], "chosen"), _reply(row["rejected"], "rejected")
    else:
        prompt, chosen, rejected = implicit_prompt(row), _reply(row["chosen"], "chosen"), _reply(row["rejected"], "rejected")
    if prompt[-1].role == "assistant":
        raise DataError("the prompt ends with the assistant, expected the user", remedy="move that turn to the replies")
    if not chosen.strip() or not rejected.strip():
        raise TeachesNothing("an empty reply cannot be learnt from", remedy="remove the row")
    if chosen == rejected:
        raise TeachesNothing("chosen and rejected are the same text", remedy="remove the row")
    clause = row.get("clause")
    if not isinstance(clause, str | None):
        raise DataError(f"clause must be text or null, got {clause!r:.40}", remedy="mend 'clause'")
    return Preference(
        prompt, chosen, rejected, _number(row, "margin", 0.0), _number(row, "weight", 1.0), clause, str(row.get("source", ""))
    )


def _located(path: Path, number: int, e: DataError) -> DataError:
    return DataError(e.what, remedy=e.remedy, file=path, line=number)


def read_examples(path: Path) -> list[Example]:
    """All demonstrations of a file. Raises `DataError` (file:line)."""
    out = []
    for number, row in read_jsonl(path):
        try:
            out.append(example_from(row))
        except DataError as e:
            raise _located(path, number, e) from None
    if not out:
        raise DataError("this file has no rows", remedy="give at least one demonstration", file=path)
    return out


def read_rows(path: Path, of: Callable[[Mapping[str, Any]], T], what: str) -> tuple[list[T], tuple[str, ...]]:
    """(all rows of a file, a line for each that was left out because it teaches nothing). Raises `DataError` (file:line) for a malformed
    row, and where no row can be learnt from; `what` names a row."""
    out: list[T] = []
    left: list[DataError] = []
    for number, row in read_jsonl(path):
        try:
            out.append(of(row))
        except TeachesNothing as e:
            left.append(_located(path, number, e))
        except DataError as e:
            raise _located(path, number, e) from None
    if not out and left:
        raise left[0]
    if not out:
        raise DataError("this file has no rows", remedy=f"give at least one {what}", file=path)
    return out, tuple(f"{path.name}:{e.line}: {e.what}" for e in left)


def read_preferences(path: Path) -> PreferenceFile:
    """All preferences of a file. Raises as `read_rows`."""
    return PreferenceFile(*read_rows(path, preference_from, "preference"))


def split_by_prompt(pairs: list[Preference], held_out: float = 0.2) -> tuple[list[Preference], list[Preference]]:
    """(train, held out), by the digest of the prompt: the same prompt never stands on both sides."""
    train: list[Preference] = []
    test: list[Preference] = []
    for p in pairs:
        share = int(digest_of([m.to_dict() for m in p.prompt])[:8], 16) / 2**32
        (test if share < held_out else train).append(p)
    return train, test
