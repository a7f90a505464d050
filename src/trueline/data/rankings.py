"""Readers of rankings and ratings from JSON lines: several replies to one prompt in order, and one reply with a grade.

Rankings: `prompt`, `completions` (two or more), `ranks` (1 = best, equal = tied). Ratings: `prompt`, `completion`, `rating` (a whole number).
Extras of both: weight, source.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from trueline.charter.turns import Message, messages_from
from trueline.data.conversations import TeachesNothing, _asked, _need, _number, _reply, blank, read_rows
from trueline.errors import DataError

MOST = 64  # replies in one ranking; a longer list is a mistake in the file
MOST_LEVELS = 101  # steps of a rating scale; each but the first is a learnt threshold
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Ranking:
    """Replies to one prompt with the rank of each (1 = best; equal ranks are ties). `weight` of the row in the loss."""

    prompt: tuple[Message, ...]
    replies: tuple[str, ...]
    ranks: tuple[int, ...]
    weight: float = 1.0
    source: str = ""


@dataclass(frozen=True, slots=True)
class Rated:
    """One reply with its rating, a whole number: larger is better."""

    prompt: tuple[Message, ...]
    reply: str
    rating: int
    weight: float = 1.0
    source: str = ""


@dataclass(frozen=True, slots=True)
class RowFile(Generic[T]):
    """The rows of a file, and one line (file, line, reason) for each that was left out because it teaches nothing."""

    rows: list[T]
    left_out: tuple[str, ...]


def _whole(value: Any, what: str, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value != int(value) or value < least:
        raise DataError(f"{what} must be a whole number of at least {least}, got {value!r:.30}", remedy="mend it")
    return int(value)


def _replies(row: Mapping[str, Any], prompt: tuple[Message, ...]) -> tuple[str, ...]:
    given = row["completions"]
    if not isinstance(given, list) or not 2 <= len(given) <= MOST:
        got = f"{len(given)}" if isinstance(given, list) else type(given).__name__
        raise DataError(f"completions must be a list of 2 to {MOST} replies, got {got}", remedy="mend 'completions'")
    return tuple(_reply(reply, f"completion {i + 1}", prompt) for i, reply in enumerate(given))


def ranking_from(row: Mapping[str, Any]) -> Ranking:
    """One ranking. Raises `DataError` that names the field, `TeachesNothing` where all are tied or a reply is empty or stands twice."""
    _need(row, "prompt", "completions", "ranks")
    prompt = _asked(messages_from(row["prompt"]))
    replies, given = _replies(row, prompt), row["ranks"]
    if not isinstance(given, list) or len(given) != len(replies):
        got = len(given) if isinstance(given, list) else type(given).__name__
        raise DataError(f"ranks must be a list of {len(replies)} numbers, one a completion, got {got}", remedy="mend 'ranks'")
    ranks = tuple(_whole(r, f"rank {i + 1}", 1) for i, r in enumerate(given))
    if any(blank(r) for r in replies):
        raise TeachesNothing("an empty reply cannot be learnt from", remedy="remove it")
    if len(set(replies)) < len(replies):
        raise TeachesNothing("the same reply stands twice in one ranking", remedy="remove one of them")
    if len(set(ranks)) == 1:
        raise TeachesNothing("all replies are tied", remedy="remove the row")
    return Ranking(prompt, replies, ranks, _number(row, "weight", 1.0), str(row.get("source", "")))


def rated_from(row: Mapping[str, Any]) -> Rated:
    """One rating. Raises `DataError` that names the field, `TeachesNothing` for an empty reply."""
    _need(row, "prompt", "rating")
    if row.get("completion") != "":
        _need(row, "completion")
    prompt = _asked(messages_from(row["prompt"]))
    reply = _reply(row["completion"], "completion", prompt)
    rating = _whole(row["rating"], "rating", 0)
    if blank(reply):
        raise TeachesNothing("an empty reply cannot be learnt from", remedy="remove the row")
    return Rated(prompt, reply, rating, _number(row, "weight", 1.0), str(row.get("source", "")))


def read_rankings(path: Path) -> RowFile[Ranking]:
    """All rankings of a file. Raises `DataError` (file:line) for a malformed row, and where no row can be learnt from."""
    return RowFile(*read_rows(path, ranking_from, "ranking"))


def read_ratings(path: Path) -> RowFile[Rated]:
    """All ratings of a file. Raises `DataError` (file:line) for a malformed row, and where fewer than two different ratings stand in it."""
    found = RowFile(*read_rows(path, rated_from, "rating"))
    levels = {r.rating for r in found.rows}
    if not 2 <= len(levels) <= MOST_LEVELS:
        what = f"{len(levels)} different ratings, expected 2 to {MOST_LEVELS}"
        raise DataError(what, remedy="give ratings on a scale of a few steps", file=path)
    return found
