"""Rows on their way into a database: appended to a file beside it in one call to the system each, and moved over in bulk.

A row that was added survives a kill -9, as a committed one would, at a tenth of the CPU of a commit. The file belongs to one process at a time;
a second one finds it locked and must commit its rows itself.
"""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path


class Pending:
    """Rows (key, text) that wait. `rows` holds them; those that a killed process left are among them. A torn last line is dropped."""

    def __init__(self, path: Path) -> None:
        self.rows: dict[str, str] = {}
        self._file: int | None = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        self.path = path
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._file)
            self._file = None
            return
        *whole, torn = path.read_bytes().split(b"\n")
        if torn:  # the next row would be glued to it, and lost with it
            os.ftruncate(self._file, sum(len(line) + 1 for line in whole))
        for line in whole:
            try:
                key, text = json.loads(line)
            except ValueError:  # torn by a kill or a full disk, in the middle of the file where others were added after it
                continue
            self.rows[str(key)] = str(text)

    @property
    def mine(self) -> bool:
        """Whether this process may add rows."""
        return self._file is not None

    def add(self, key: str, text: str) -> None:
        """Adds a row and writes it before it returns."""
        assert self._file is not None
        raw = json.dumps([key, text]).encode() + b"\n"
        while raw:
            raw = raw[os.write(self._file, raw) :]
        self.rows[key] = text

    def clear(self) -> None:
        """Forgets the rows: they stand in the database."""
        if self._file is not None and self.rows:
            os.ftruncate(self._file, 0)
        self.rows.clear()

    def close(self) -> None:
        """Closes the file, and removes it where nothing waits."""
        if self._file is not None:
            if not self.rows:
                self.path.unlink(missing_ok=True)
            os.close(self._file)
            self._file = None
