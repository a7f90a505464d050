"""The journal of a run: one JSON line a graded reply, written in one call to the system, so that a kill -9 loses none that was written.

The first line names the run by the digest of what decides it; a journal of another run is of no use and goes. What a kill tore is dropped. A
reply that is not yet graded when the kill comes stands in the cache. Rows without an answer are asked again by the next try. Between the rows
stands what the run has spent, after each try: rows do not know of tries that failed, nor of what a server did not count.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from trueline.core.evaluations import GradedReply
from trueline.data.evaluations import graded_from
from trueline.data.jsonl import read_jsonl, write_jsonl
from trueline.errors import DataError
from trueline.evals.budget import Spent

NO_ANSWER: Final = "no answer"  # what `seen` says of a probe that was asked in vain
Key = tuple[str, int]  # probe, sample


class Journal:
    """Rows by (probe, sample): those of an interrupted run, and what is added; `spent`: what that run has cost. `path` None keeps them in
    memory alone."""

    def __init__(self, path: Path | None, key: str) -> None:
        self.path, self.key = path, key
        self.rows, self.spent = _found(path, key) if path else ({}, Spent())
        self._file: int | None = None
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            fresh = not path.exists()
            self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            if fresh:
                _write(self._file, [{"key": key}])

    def add(self, rows: Iterable[GradedReply]) -> None:
        """Adds rows and writes them before it returns."""
        rows = list(rows)
        self.rows.update(((r.probe, r.sample), r) for r in rows)
        if self._file is not None:
            _write(self._file, [r.to_dict() for r in rows])

    def paid(self, spent: Spent) -> None:
        """Keeps what the run has spent so far."""
        self.spent = spent
        if self._file is not None:
            _write(self._file, [_money(spent)])

    def close(self) -> None:
        """Closes the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def remove(self) -> None:
        """Closes and deletes it: no row in it is worth keeping. What was spent stays spent, and stays in it."""
        self.close()
        if self.path is not None:
            self.path.unlink(missing_ok=True)
            if self.spent.requests:
                write_jsonl(self.path, [{"key": self.key}, _money(self.spent)])


def rows_in(path: Path) -> int:
    """How many rows a journal holds, without reading them."""
    raw = path.read_bytes() if path.exists() else b""
    return max(0, raw.count(b"\n") - raw.count(b'\n{"spent": ') - 1)


def _money(spent: Spent) -> dict[str, object]:
    return {"spent": [spent.requests, spent.read, spent.written]}


def _write(file: int, objects: list[Mapping[str, object]]) -> None:
    raw = b"".join(json.dumps(o, ensure_ascii=False).encode("utf-8", "replace") + b"\n" for o in objects)
    while raw:
        raw = raw[os.write(file, raw) :]


def _found(path: Path, key: str) -> tuple[dict[Key, GradedReply], Spent]:
    """Rows and costs of an interrupted run of the same model, suite, settings and graders; a torn last line is dropped."""
    spent = Spent()
    if not path.exists():
        return {}, spent
    lines = path.read_bytes().split(b"\n")[:-1]
    if not lines or lines[0] != json.dumps({"key": key}).encode():
        path.unlink()
        return {}, spent
    os.truncate(path, sum(len(line) + 1 for line in lines))
    rows: dict[Key, GradedReply] = {}
    for number, row in read_jsonl(path):
        if number > 1:
            try:
                if "spent" in row:
                    spent = _spent_from(row["spent"])
                    continue
                found = graded_from(row)
            except DataError as e:
                raise DataError(e.what, remedy="delete this journal; what was asked is in the cache", file=path, line=number) from None
            if found.seen != NO_ANSWER:
                rows[found.probe, found.sample] = found
    return rows, spent


def _spent_from(raw: object) -> Spent:
    if not isinstance(raw, list) or len(raw) != 3 or not all(type(n) is int and n >= 0 for n in raw):
        raise DataError(f"spent must be three counts, got {raw!r:.40}", remedy="")
    return Spent(*raw)
