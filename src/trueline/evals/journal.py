"""The journal of a run: one JSON line a graded reply, written in one call to the system, so that a kill -9 loses none that was written.

The first line names the run by the digest of what decides it; a journal of another run is of no use and goes. What a kill tore is dropped. A
reply that is not yet graded when the kill comes stands in the cache. Rows without an answer are asked again by the next try.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from trueline.core.evaluations import GradedReply
from trueline.data.evaluations import graded_from
from trueline.data.jsonl import read_jsonl
from trueline.errors import DataError

NO_ANSWER: Final = "no answer"  # what `seen` says of a probe that was asked in vain
Key = tuple[str, int]  # probe, sample


class Journal:
    """Rows by (probe, sample): those of an interrupted run, and what is added. `path` None keeps them in memory alone."""

    def __init__(self, path: Path | None, key: str) -> None:
        self.path, self.rows = path, _found(path, key) if path else {}
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

    def close(self) -> None:
        """Closes the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def remove(self) -> None:
        """Closes and deletes it: nothing in it is worth keeping."""
        self.close()
        if self.path is not None:
            self.path.unlink(missing_ok=True)


def _write(file: int, objects: list[Mapping[str, object]]) -> None:
    raw = b"".join(json.dumps(o, ensure_ascii=False).encode("utf-8", "replace") + b"\n" for o in objects)
    while raw:
        raw = raw[os.write(file, raw) :]


def _found(path: Path, key: str) -> dict[Key, GradedReply]:
    """Rows of an interrupted run of the same model, suite, settings and graders; a torn last line is dropped."""
    if not path.exists():
        return {}
    lines = path.read_bytes().split(b"\n")[:-1]
    if not lines or lines[0] != json.dumps({"key": key}).encode():
        path.unlink()
        return {}
    os.truncate(path, sum(len(line) + 1 for line in lines))
    rows: dict[Key, GradedReply] = {}
    for number, row in read_jsonl(path):
        if number > 1:
            try:
                found = graded_from(row)
            except DataError as e:
                raise DataError(e.what, remedy="delete this journal; what was asked is in the cache", file=path, line=number) from None
            if found.seen != NO_ANSWER:
                rows[found.probe, found.sample] = found
    return rows
