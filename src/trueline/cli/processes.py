"""Several processes of one command, as torchrun starts them: how many there are, and which verbs they can run."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

import click

from trueline.errors import RunFileError


def _number(name: str, otherwise: int) -> int:
    given = os.environ.get(name, "")
    if given and not given.isdecimal():
        raise RunFileError(f"the environment's {name} must be a whole number, got {given!r}", remedy="start with torchrun, or unset it")
    return int(given or otherwise)


def count() -> int:
    """How many processes were started."""
    return max(1, _number("WORLD_SIZE", 1))


def first() -> bool:
    """Whether this process prints and writes."""
    return count() == 1 or _number("RANK", 0) == 0


def alone(verb: str) -> None:
    """Raises `RunFileError` where several processes were started: each would do the whole work for itself, into the same files."""
    if count() == 1:
        return
    if not first():
        time.sleep(2.0)  # the launcher ends all when one ends: the first one's message must be out by then
        raise click.exceptions.Exit(RunFileError.exit_code)
    raise RunFileError(f"{verb} runs in one process for now, got WORLD_SIZE {count()}", remedy="start it without torchrun")


@contextmanager
def together() -> Iterator[None]:
    """Inside, the processes that were started are one group; behind it all have come to the end. An error is told by one of them."""
    if count() == 1:
        yield
        return
    from trueline.train.distributed import Followed, joined

    try:
        with joined(count()):
            try:
                yield
            except click.exceptions.Exit as e:  # `--help` is no error
                if e.exit_code:
                    raise
    except Followed:
        raise click.exceptions.Exit(1) from None
