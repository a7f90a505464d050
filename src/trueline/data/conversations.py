"""Readers of the standard training formats: demonstrations and preferences, from JSON lines.

Demonstrations: `messages`, or `prompt` + `completion`. Preferences: `prompt`, `chosen`, `rejected` (strings or message
lists), or an implicit prompt (`chosen` and `rejected` begin with the same turns). Extras: margin, weight, clause, source.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from trueline.charter.digests import digest_of
from trueline.charter.turns import Message, messages_from
from trueline.core.records import Preference
from trueline.data.jsonl import read_jsonl
from trueline.errors import DataError

T = TypeVar("T")
MOST = 1e6
"""The largest weight or margin. Beyond it a row is a slip of the pen that would outweigh, or overflow, all others."""


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


def blank(text: str) -> bool:
    """Whether nothing is said: spaces, line ends, and marks without width or ink, which `strip` leaves."""
    return all(c.isspace() or unicodedata.category(c) in ("Cc", "Cf") for c in text)


def _asked(prompt: tuple[Message, ...]) -> tuple[Message, ...]:
    """A prompt that somebody may reply to. Raises `DataError` where its last turn is not the user's or a tool's, and `TeachesNothing`
    where the user says nothing."""
    last = prompt[-1]
    if last.role not in ("user", "tool"):
        what = f"the prompt ends with the {last.role}, expected the user or a tool"
        raise DataError(what, remedy="end it with the turn that is replied to, and let one reply follow")
    if last.role == "user" and blank(last.content):
        raise TeachesNothing("the user's last turn is empty", remedy="remove the row")
    return prompt


def _words_of(turn: Message, what: str) -> str:
    if turn.tool_calls:
        call = f"{what} calls the tool {turn.tool_calls[0].name!r}, and a call is not trained on"
        raise DataError(call, remedy="write the call into the content as the model's template does, or remove the row")
    return turn.content


def _reply(raw: Any, what: str, prompt: Sequence[Message]) -> str:
    """The reply of a completion: a string, or messages of which the last is the assistant's. What stands before it can only be the prompt,
    or its last turns, once more: anything else would be dropped."""
    if isinstance(raw, str):
        return raw
    turns = messages_from(raw)
    if turns[-1].role != "assistant":
        raise DataError(f"{what} must end with the assistant, got {turns[-1].role}", remedy="end with the assistant's message")
    before = turns[:-1]
    if before and tuple(prompt[-len(before) :]) != before:
        what = f"{what} has {len(before)} turns before its reply that are not those of the prompt"
        raise DataError(what, remedy="move them to 'prompt', or leave the reply alone")
    return _words_of(turns[-1], what)


# field -> (its kind, the method that it belongs to)
_OTHERS: Mapping[str, tuple[type | tuple[type, ...], str]] = {
    "label": (bool, "train kto on labelled replies"),
    "rating": ((int, float), "train reward with --loss ordinal on ratings"),
    "rejected": ((str, list), "train dpo on pairs"),
    "completions": (list, "train reward with --loss plackett-luce on rankings"),
}


def _is_demonstration(row: Mapping[str, Any]) -> None:
    """Raises `DataError` for a row of another method, whose bad replies would be taught as good ones, and for a weight: every demonstration
    counts once."""
    other = next((name for name, (kind, _) in _OTHERS.items() if isinstance(row.get(name), kind)), None)
    if other is not None:
        what = f"this row has {other!r}, expected a demonstration: every reply in it is taught as a good one"
        raise DataError(what, remedy=f"{_OTHERS[other][1]}, or keep the good replies and remove {other!r}")
    messages = row.get("messages")
    weights = [m.get("weight") for m in messages if isinstance(m, Mapping)] if isinstance(messages, list) else []
    odd = next((w for w in (row.get("weight"), *weights) if w not in (None, 1)), None)
    if odd is not None:
        remedy = "remove 'weight'; leave out or repeat the row"
        raise DataError(f"weight {odd!r:.30} has no effect on a demonstration, every one counts once", remedy=remedy)


def example_from(row: Mapping[str, Any]) -> Example:
    """One demonstration. Raises `DataError` that names the field, also for a row of another method."""
    source = str(row.get("source", ""))
    _is_demonstration(row)
    if "messages" in row:
        turns = messages_from(row["messages"])
        if turns[-1].role != "assistant" or len(turns) < 2:
            raise DataError(f"messages must end with the assistant's reply, got {turns[-1].role}", remedy="add the reply")
        return _with_words(Example(turns[:-1], _words_of(turns[-1], "the reply"), source))
    _need(row, "prompt")
    if row.get("completion") != "":
        _need(row, "completion")
    prompt = messages_from(row["prompt"])
    return _with_words(Example(prompt, _reply(row["completion"], "completion", prompt), source))


def _with_words(example: Example) -> Example:
    _asked(example.prompt)
    if blank(example.reply):
        raise DataError("an empty reply teaches to say nothing", remedy="write the reply or remove the row")
    return example


def _number(row: Mapping[str, Any], key: str, default: float) -> float:
    value = row.get(key, default)
    value = default if value is None else value
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MOST:
        raise DataError(f"{key} must be a number of at least 0 and at most {MOST:g}, got {value!r:.30}", remedy=f"mend {key!r}")
    return float(value)


def implicit_prompt(row: Mapping[str, Any]) -> tuple[Message, ...]:
    """The turns that `chosen` and `rejected` begin with, all but the last of each. Raises `DataError` where they are not the same."""
    a, b = messages_from(row["chosen"]), messages_from(row["rejected"])
    if len(a) < 2 or a[:-1] != b[:-1]:
        raise DataError("no prompt, and chosen and rejected do not begin with the same turns", remedy="add 'prompt'")
    return a[:-1]


def preference_from(row: Mapping[str, Any]) -> Preference:
    """One preference. Raises `DataError` that names the field, and `TeachesNothing` where a side is empty or both are the same."""
    for key in ("chosen", "rejected"):
        if row.get(key) != "":
            _need(row, key)
    prompt = messages_from(row["prompt"]) if row.get("prompt") else implicit_prompt(row)
    chosen, rejected = _reply(row["chosen"], "chosen", prompt), _reply(row["rejected"], "rejected", prompt)
    _asked(prompt)
    if blank(chosen) or blank(rejected):
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
