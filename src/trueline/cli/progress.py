"""Progress: a bar with the time left on a terminal, nothing in a pipe."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from trueline.cli.processes import first

BETWEEN = 0.05  # seconds between two drawings: a run of many rows a second must not spend its CPU on the bar


@contextmanager
def bar(title: str) -> Iterator[Callable[..., None]]:
    """Yields `advance(done, total, *numbers, note="")`; draws on stderr, only where that is a terminal, and only in the first process."""
    if not sys.stderr.isatty() or not first():
        yield lambda *_, **__: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task, drawn = progress.add_task(title, total=None, note=""), 0.0

        def advance(done: int, total: int, *numbers: float, note: str = "") -> None:
            nonlocal drawn
            now = time.monotonic()
            if now - drawn < BETWEEN and done < total:
                return
            drawn = now
            shown = f"{title} {numbers[0]:.3f}" if numbers else title
            progress.update(task, completed=done, total=total, description=shown, note=note)

        yield advance
