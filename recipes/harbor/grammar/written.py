"""Subjects and wordings that people would use, each one written for itself: a line a phrase in `recipes/harbor/phrases`.

A grammar repeats its frames, however many phrases it grows; these are as different as the writers could make them. The
writers saw neither the lists nor the grammars nor anything that tests. All of them teach: `expand.too_near` drops those that
came near a family that only tests.
"""

from __future__ import annotations

import functools
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "phrases"


@functools.cache
def lines(name: str) -> tuple[str, ...]:
    """The phrases of a file in its order, without repeats; none where there is no such file."""
    path = FOLDER / f"{name}.txt"
    if not path.exists():
        return ()
    return tuple(dict.fromkeys(line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()))


@functools.cache
def rows(name: str) -> tuple[tuple[str, str], ...]:
    """The lines of a file of `term | meaning`."""
    parts = (line.partition("|") for line in lines(name))
    return tuple((term.strip(), meaning.strip()) for term, _, meaning in parts)
