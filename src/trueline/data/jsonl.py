"""JSON lines: read with file and line in every error, written so that a kill -9 loses at most the last line."""

from __future__ import annotations

import gzip
import json
import os
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from trueline.errors import DataError


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose keys stand once: of two values JSON would keep the last and say nothing."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice!r} stands twice in one object")
    return found


def read_jsonl(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yields (line number from 1, object) of a `.jsonl` or `.jsonl.gz` file. Blank lines are passed over.

    Raises `DataError` with file:line for what is no JSON object, no UTF-8, a key that stands twice, or no file."""
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as f:
            for number, raw in enumerate(f, 1):
                if not raw.strip():
                    continue
                try:
                    row = json.loads(raw.decode("utf-8"), object_pairs_hook=_once)
                    row_text = json.dumps(row, ensure_ascii=False) if b"\\ud" in raw.lower() else ""
                    row_text.encode("utf-8")  # half a character cannot be written again
                except (ValueError, RecursionError) as e:  # no UTF-8, no JSON, a number of thousands of digits, brackets without end
                    what = f"this line is not JSON ({e.__class__.__name__}: {str(e)[:80]})"
                    raise DataError(what, remedy="one JSON object a line", file=path, line=number) from None
                if not isinstance(row, dict):
                    what = f"a row must be an object, got {type(row).__name__}"
                    raise DataError(what, remedy="one JSON object a line", file=path, line=number)
                yield number, row
    except (OSError, EOFError, zlib.error) as e:
        why = "this gzip file is cut short" if isinstance(e, EOFError) else "this gzip file is damaged"
        what = f"cannot read this file ({e.strerror or e})" if isinstance(e, OSError) else why
        raise DataError(what, remedy="give a readable .jsonl or .jsonl.gz file", file=path) from None


def write_jsonl(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Writes all rows to a file beside, then renames: the file is whole or not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".part")
    with beside.open("w", encoding="utf-8") as f:
        for row in rows:
            f.write(json.dumps(row, ensure_ascii=False, sort_keys=True) + "\n")
        f.flush()
        os.fsync(f.fileno())
    os.replace(beside, path)


def write_json(path: Path, value: Any) -> None:
    """Writes one JSON value, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".part")
    with beside.open("w", encoding="utf-8") as f:
        f.write(json.dumps(value, ensure_ascii=False, sort_keys=True, indent=2) + "\n")
        f.flush()
        os.fsync(f.fileno())
    os.replace(beside, path)
