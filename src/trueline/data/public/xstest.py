"""XSTest (2308.01263): `xstest_prompts.csv`. Safe prompts must be answered, their contrasts refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from trueline.data.public.rows import PublicRow, csv_rows
from trueline.errors import DataError


def read(path: Path) -> Iterator[PublicRow]:
    """One row a prompt. `label` says safe or unsafe; files without it say so by a type that begins with `contrast_`."""
    for at, row in csv_rows(path, ("prompt", "type"), ("id", "id_v1", "id_v2", "label", "focus", "note", "v")):
        label = row.get("label") or ("unsafe" if row["type"].startswith("contrast_") else "safe")
        if label not in ("safe", "unsafe"):
            raise DataError(f"label {label!r:.40} in row {at}, expected safe or unsafe", remedy="give the file as published", file=path)
        family = f"{row['type']}/{row.get('focus') or row.get('id') or at}"
        yield PublicRow("near_miss" if label == "safe" else "refuse", row["prompt"], family, at)
