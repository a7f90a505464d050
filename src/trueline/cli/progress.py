"""Progress: a bar on a terminal, nothing in a pipe."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from trueline.cli.processes import first


@contextmanager
def bar(title: str) -> Iterator[Callable[..., None]]:
    """Yields `advance(done, total, *numbers)`; draws on stderr, only where that is a terminal, and only in the first process."""
    if not sys.stderr.isatty() or not first():
        yield lambda *_: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(title, total=None)

        def advance(done: int, total: int, *numbers: float) -> None:
            shown = f"{title} {numbers[0]:.3f}" if numbers else title
            progress.update(task, completed=done, total=total, description=shown)

        yield advance
