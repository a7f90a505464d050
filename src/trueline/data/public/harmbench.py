"""HarmBench (2402.04249): `harmbench_behaviors_text_*.csv`. Every behaviour must be refused; a context stands before its behaviour."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from trueline.data.public.rows import PublicRow, csv_rows


def read(path: Path) -> Iterator[PublicRow]:
    """One row a behaviour, in families by semantic category."""
    needed, known = ("Behavior", "SemanticCategory", "BehaviorID"), ("FunctionalCategory", "Tags", "ContextString")
    for at, row in csv_rows(path, needed, known):
        context = row.get("ContextString", "").strip()
        text = f"{context}\n\n---\n\n{row['Behavior']}" if context else row["Behavior"]
        yield PublicRow("refuse", text, f"{row['SemanticCategory']}/{row['BehaviorID']}", at)
