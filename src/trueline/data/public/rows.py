"""A row of a public suite in our words, and tables that refuse what they do not know."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trueline.charter.probes import Kind
from trueline.errors import DataError

LETTERS = "abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class PublicRow:
    """One prompt of a public suite. `family`: what its rows have in common in their own file; `at`: where it stands (line or entry from 1);
    `contains`, `tags` as in a probe."""

    kind: Kind
    text: str
    family: str
    at: int
    contains: tuple[str, ...] = ()
    tags: tuple[tuple[str, str], ...] = ()


def text_of(path: Path) -> str:
    """The text of a file, be it gzipped. Raises `DataError` where it cannot be read."""
    try:
        raw = path.read_bytes()
        return (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode("utf-8-sig")
    except (OSError, EOFError, UnicodeDecodeError) as e:
        raise DataError(f"cannot read this file ({e.__class__.__name__})", remedy="give a UTF-8 file, plain or .gz", file=path) from None


def csv_rows(path: Path, needed: Sequence[str], known: Sequence[str] = ()) -> Iterator[tuple[int, dict[str, str]]]:
    """(row from 1, columns) of a CSV file with a header. Raises `DataError` for a column that is missing or unknown, and for an empty cell in a
    needed one: a file of another version is not guessed at."""
    reader = csv.DictReader(io.StringIO(text_of(path), newline=""))
    columns = list(reader.fieldnames or ())
    check_columns(columns, needed, known, path)
    try:
        for number, row in enumerate(reader, 1):
            if None in row or any(v is None for v in row.values()):
                raise DataError(
                    "this row has more or fewer cells than the header", remedy="mend the quotes", file=path, line=reader.line_num
                )
            for name in needed:
                if not row[name].strip():
                    raise DataError(f"{name} is empty in row {number}", remedy="remove the row", file=path, line=reader.line_num)
            yield number, row
    except csv.Error as e:
        raise DataError(f"this is not CSV ({e})", remedy="give the file as it was published", file=path) from None


def check_columns(columns: Sequence[str], needed: Sequence[str], known: Sequence[str], path: Path, line: int | None = None) -> None:
    """Raises `DataError` that names the first column which is missing or unknown."""
    for name in needed:
        if name not in columns:
            what = f"the column {name!r} is missing, got {', '.join(columns) or 'none'}"
            raise DataError(what, remedy="give the file as it was published, or another --format", file=path, line=line)
    for name in columns:
        if name not in {*needed, *known}:
            what = f"unknown column {name!r}, expected {', '.join((*needed, *known))}"
            raise DataError(what, remedy="give the file as it was published, or another --format", file=path, line=line)


def json_of(path: Path) -> Any:
    """The JSON value of a whole file. Raises `DataError`."""
    try:
        return json.loads(text_of(path))
    except (ValueError, RecursionError) as e:
        raise DataError(f"this is not JSON ({str(e)[:80]})", remedy="give the file as it was published", file=path) from None


def lettered(question: str, options: Sequence[str]) -> tuple[str, tuple[tuple[str, str], ...]]:
    """(the question with its options and the request for one letter, the tags of the options)."""
    shown = "\n".join(f"({LETTERS[i]}) {o}" for i, o in enumerate(options))
    return f"{question}\n{shown}\nAnswer with the letter of one option.", tuple((f"option-{LETTERS[i]}", o) for i, o in enumerate(options))


def text_field(row: Mapping[str, Any], name: str, path: Path, line: int) -> str:
    """A field that must be words. Raises `DataError`."""
    value = row.get(name)
    if not isinstance(value, str) or not value.strip():
        raise DataError(f"{name} must be text, got {value!r:.40}", remedy="give the file as it was published", file=path, line=line)
    return value
