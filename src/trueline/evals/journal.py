"""The journal of a run: one JSON line a graded reply, written in one call to the system, so that a kill -9 loses none that was written.

The first line names the run by the digest of what decides it; a journal of another run is of no use and goes. What a kill tore is dropped. A
reply that is not yet graded when the kill comes stands in the cache. Rows without an answer are asked again by the next try. Between the rows
stands what the run has spent, after each try: rows do not know of tries that failed, nor of what a server did not count. Hunts keep their
attempts in the same way (`redteam/journal`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from trueline.core.evaluations import GradedReply
from trueline.data.evaluations import graded_from
from trueline.data.jsonl import read_jsonl, write_jsonl
from trueline.errors import DataError
from trueline.evals.budget import Spent

NO_ANSWER: Final = "no answer"  # what `seen` says of a probe that was asked in vain
DAMAGED: Final = "delete this journal; what was asked is in the cache"
Key = tuple[str, int]  # probe, sample


class Lines:
    """Whole JSON lines of one run in a file that only grows: two commands at once add their own and tear none of the other's. `fresh`: no
    line of this run was there."""

    def __init__(self, path: Path, key: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path, self.fresh = path, not _whole(path, key)
        self._file: int | None = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        if self.fresh:
            self.write([{"key": key}])

    def read(self) -> Iterator[tuple[int, Mapping[str, Any]]]:
        """The lines behind the first, with their numbers. Raises `DataError` for what is no JSON object."""
        return ((number, row) for number, row in read_jsonl(self.path) if "key" not in row)

    def write(self, objects: Iterable[Mapping[str, object]]) -> None:
        """Writes them before it returns."""
        self.append(b"".join(json.dumps(o, ensure_ascii=False).encode("utf-8", "replace") + b"\n" for o in objects))

    def append(self, raw: bytes) -> None:
        """Writes whole lines before it returns."""
        assert self._file is not None, "nothing is written once it is closed"
        while raw:
            raw = raw[os.write(self._file, raw) :]

    def close(self) -> None:
        """Closes the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


def _whole(path: Path, key: str) -> bool:
    """Whether the file holds lines of the run that `key` names; cuts off a torn last line, and removes a file of another run."""
    if not path.exists():
        return False
    lines = path.read_bytes().split(b"\n")[:-1]
    if not lines or lines[0] != json.dumps({"key": key}).encode():
        path.unlink()
        return False
    os.truncate(path, sum(len(line) + 1 for line in lines))
    return True


class Journal:
    """Rows by (probe, sample): those of an interrupted run, and what is added; `spent`: what that run has cost. `path` None keeps them in
    memory alone."""

    def __init__(self, path: Path | None, key: str) -> None:
        self.path, self.key, self._lines = path, key, Lines(path, key) if path else None
        self.rows, self.spent = _found(self._lines) if self._lines else ({}, Spent())

    def add(self, rows: Iterable[GradedReply]) -> None:
        """Adds rows and writes them before it returns."""
        rows = list(rows)
        self.rows.update(((r.probe, r.sample), r) for r in rows)
        if self._lines is not None:
            self._lines.write(r.to_dict() for r in rows)

    def paid(self, spent: Spent) -> None:
        """Keeps what the run has spent so far."""
        self.spent = spent
        if self._lines is not None:
            self._lines.append(_money(spent))

    def close(self) -> None:
        """Closes the file."""
        if self._lines is not None:
            self._lines.close()

    def remove(self) -> None:
        """Closes and deletes it: no row in it is worth keeping. What was spent stays spent, and stays in it."""
        self.close()
        if self.path is not None:
            self.path.unlink(missing_ok=True)
            if self.spent.requests:
                write_jsonl(self.path, [{"key": self.key}, json.loads(_money(self.spent))])


def rows_in(path: Path) -> int:
    """How many rows a journal holds, without reading them."""
    raw = path.read_bytes() if path.exists() else b""
    return max(0, raw.count(b"\n") - raw.count(b'\n{"spent": ') - 1)


def _money(spent: Spent) -> bytes:
    """The line of what was spent, written once a try and so without an encoder."""
    return b'{"spent": [%d, %d, %d]}\n' % (spent.requests, spent.read, spent.written)


def _found(lines: Lines) -> tuple[dict[Key, GradedReply], Spent]:
    """Rows that were answered, and what the run has spent."""
    rows: dict[Key, GradedReply] = {}
    spent = Spent()
    for number, row in lines.read():
        try:
            if "spent" in row:
                spent = _spent_from(row["spent"])
                continue
            found = graded_from(row)
        except DataError as e:
            raise DataError(e.what, remedy=DAMAGED, file=lines.path, line=number) from None
        if found.seen != NO_ANSWER:
            rows[found.probe, found.sample] = found
    return rows, spent


def _spent_from(raw: object) -> Spent:
    if not isinstance(raw, list) or len(raw) != 3 or not all(type(n) is int and n >= 0 for n in raw):
        raise DataError(f"spent must be three counts, got {raw!r:.40}", remedy="")
    return Spent(*raw)
