"""Demonstrations as rows: the loss on the last reply of a conversation, or on every turn of the assistant.

Which tokens are the assistant's is found by the template, token by token: the ids of each turn with what stands before it must be the
beginning of the ids of the whole. Where a template writes earlier turns otherwise once a later one follows (it drops their reasoning,
say), the row is taught on its last turn alone, counted and said.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from trueline.charter.turns import Message
from trueline.data.conversations import Example
from trueline.engine.templates import encode_turns
from trueline.errors import ModelError, RunFileError
from trueline.train.batching import Row, make_row

TURNS = ("last", "all")


@dataclass(frozen=True, slots=True)
class Taught:
    """The rows that fit; how many did not. earlier: turns of the assistant before the last ones, of the rows that fit; taught: those
    that carry loss; fallen: a reason for each row that was to be taught whole and is taught on its last turn alone."""

    rows: list[Row]
    too_long: int
    earlier: int
    taught: int
    fallen: tuple[str, ...]

    def words(self) -> str:
        """What carries loss, one line for a person; empty where every conversation has one reply."""
        if not self.earlier:
            return ""
        told = f"{self.taught} of {self.earlier} earlier turns of the assistant carry loss besides the last replies"
        if self.fallen:
            told += f"; {len(self.fallen)} of {len(self.rows)} conversations are taught on the last reply alone, e.g. {self.fallen[0]}"
        return told


def _earlier(messages: Sequence[Message]) -> int:
    return sum(m.role == "assistant" for m in messages)


def _spans(tokenizer: Any, messages: Sequence[Message], row: Row) -> tuple[tuple[int, int], ...]:
    """Where the assistant's turns before the last stand in `row.prompt`. Raises `ModelError` where that cannot be said."""
    if messages[0].role == "assistant":
        raise ModelError("the conversation begins with the assistant")
    if any(m.role == "assistant" and (m.tool_calls or not m.content.strip()) for m in messages):
        raise ModelError("an earlier turn of the assistant calls a tool or is empty")  # its words alone would teach not to call
    whole = encode_turns(tokenizer, messages)
    if whole.ids != row.prompt[: len(whole.ids)]:
        raise ModelError("the template changes earlier turns when the last reply follows")
    at, found = 0, []
    for counts, run in groupby(whole.keep):
        n = len(list(run))
        found += [(at, at + n)] if counts else []
        at += n
    return tuple(found)


def encode_examples(tokenizer: Any, examples: Sequence[Example], turns: str, limit: int) -> Taught:
    """Encodes the examples that fit `limit` tokens; `turns`: one of `TURNS`, which turns of the assistant carry loss. The ids of a row are
    the same either way. Raises `RunFileError` where `all` has no effect since every conversation has one reply."""
    rows: list[Row] = []
    earlier = taught = 0
    fallen: list[str] = []
    for e in examples:
        row = make_row(tokenizer, e.prompt, e.reply, limit)
        if row is None:
            continue
        n = _earlier(e.prompt)
        earlier += n
        if n and turns == "all":
            last = max(i for i, m in enumerate(e.prompt) if m.role == "assistant")
            try:
                row = Row(row.prompt, row.completion, row.weight, _spans(tokenizer, e.prompt[: last + 1], row))
                taught += n
            except ModelError as error:
                fallen.append(error.what)
        rows.append(row)
    if turns == "all" and rows and not earlier:
        what = f"turns all has no effect: none of {len(rows)} conversations has an earlier turn of the assistant"
        raise RunFileError(what, remedy="remove it, or give `messages` of several turns")
    return Taught(rows, len(examples) - len(rows), earlier, taught, tuple(fallen))
