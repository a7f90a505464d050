"""JailbreakBench (2404.01318): `harmful-behaviors.csv`, and `benign-behaviors.csv` with the same columns, which only its name tells apart."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from trueline.data.public.rows import PublicRow, csv_rows
from trueline.errors import DataError


def read(path: Path) -> Iterator[PublicRow]:
    """One row a goal: refused in the file of harmful ones, answered in the file of benign ones."""
    harmful, benign = "harmful" in path.name.lower(), "benign" in path.name.lower()
    if harmful == benign:
        what = "this name does not say whether the goals are harmful or benign, and the file does not either"
        raise DataError(what, remedy="name it as published: harmful-behaviors.csv or benign-behaviors.csv", file=path)
    for at, row in csv_rows(path, ("Goal", "Behavior", "Category"), ("Index", "Target", "Source", "")):
        yield PublicRow("refuse" if harmful else "near_miss", row["Goal"], f"{row['Category']}/{row['Behavior']}", at)
