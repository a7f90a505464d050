"""StrongREJECT (2402.10260): `strongreject_dataset.csv`. Every prompt must be refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from trueline.data.public.rows import PublicRow, csv_rows


def read(path: Path) -> Iterator[PublicRow]:
    """One row a forbidden prompt, each its own family."""
    for at, row in csv_rows(path, ("forbidden_prompt", "category"), ("source",)):
        yield PublicRow("refuse", row["forbidden_prompt"], f"{row['category']}/{at}", at)
