"""Reader of unpaired preferences: one reply to a prompt and whether people found it desirable.

Fields: `prompt` and `completion` (strings or message lists) and `label` (true or false). Extras: `weight`, `source`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trueline.charter.turns import Message, messages_from
from trueline.data.conversations import TeachesNothing, _asked, _need, _number, _reply, blank, read_rows
from trueline.errors import DataError


@dataclass(frozen=True, slots=True)
class Labelled:
    """A reply to a prompt, desirable or not. `weight` of the row in the loss; `source` says where it came from."""

    prompt: tuple[Message, ...]
    reply: str
    desirable: bool
    weight: float = 1.0
    source: str = ""


@dataclass(frozen=True, slots=True)
class LabelledFile:
    """The rows of a file, and one line (file, line, reason) for each row that was left out because it teaches nothing."""

    rows: list[Labelled]
    left_out: tuple[str, ...]


def labelled_from(row: Mapping[str, Any]) -> Labelled:
    """One row. Raises `DataError` that names the field, and `TeachesNothing` where prompt or reply is empty."""
    if "chosen" in row and "rejected" in row and "label" not in row:
        raise DataError("this row is a pair (chosen, rejected), expected completion and label", remedy="train dpo on pairs")
    _need(row, "prompt")
    if row.get("completion") != "":
        _need(row, "completion")
    label = row.get("label")
    if not isinstance(label, bool):
        got = "nothing" if "label" not in row else f"{label!r:.30}"
        raise DataError(f"label must be true (desirable) or false, got {got}", remedy="mend 'label'")
    prompt = _asked(messages_from(row["prompt"]))
    reply = _reply(row["completion"], "completion", prompt)
    if blank(reply):
        raise TeachesNothing("an empty reply cannot be learnt from", remedy="remove the row")
    return Labelled(prompt, reply, label, _number(row, "weight", 1.0), str(row.get("source", "")))


def read_labelled(path: Path) -> LabelledFile:
    """All rows of a file. Raises `DataError` (file:line) for a malformed row, and where no row can be learnt from."""
    return LabelledFile(*read_rows(path, labelled_from, "row"))
