"""CLINC150 (1909.02027): `data_full.json`, or JSON lines with text and intent. What has the intent `oos` is out of every scope there.

The other intents are some company's scope and not this one's: they are left out, since no file can say which of them a charter is for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from trueline.data.jsonl import read_jsonl
from trueline.data.public.rows import PublicRow, check_columns, json_of
from trueline.errors import DataError

SPLITS = ("train", "val", "test", "oos_train", "oos_val", "oos_test")
OUT = "oos"


def _pairs(path: Path) -> Iterator[tuple[int, str, Any, Any]]:
    """(at, split, text, intent)."""
    if ".jsonl" in path.suffixes:
        for at, row in read_jsonl(path):
            check_columns(list(row), ("text", "intent"), ("split",), path, at)
            yield at, str(row.get("split", "")), row["text"], row["intent"]
        return
    value = json_of(path)
    if not isinstance(value, dict) or not set(value) <= set(SPLITS):
        raise DataError(f"expected an object of {', '.join(SPLITS)}", remedy="give data_full.json as it was published", file=path)
    at = 0
    for split, rows in value.items():
        for row in rows if isinstance(rows, list) else ():
            at += 1
            if not isinstance(row, list) or len(row) != 2:
                raise DataError(f"entry {at} of {split} must be [text, intent]", remedy="give data_full.json as published", file=path)
            yield at, split, row[0], row[1]


def read(path: Path) -> Iterator[PublicRow]:
    """The rows of intent `oos`, each its own family."""
    for at, split, text, intent in _pairs(path):
        if not isinstance(text, str) or not text.strip() or not isinstance(intent, str):
            raise DataError(f"entry {at}: text and intent must be text", remedy="give the file as it was published", file=path)
        if intent == OUT:
            yield PublicRow("out_of_scope", text, f"{split or OUT}/{at}", at)
