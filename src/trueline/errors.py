"""The error tree: one branch for each boundary that a user can cross wrongly.

Every message is one line and says what happened, what was got, what was expected and how to mend it.
`ValueError` at the root: these are mistakes in what was given to us; our own mistakes are `assert`s.
"""

from __future__ import annotations

from pathlib import Path


class TruelineError(ValueError):
    """Something outside Trueline was not as it must be. `exit_code` is what the command line returns.

    `what` says what happened, with what was got and what was expected; `remedy` how to mend it;
    `file` and `line` (1-based) point at the place when there is one.
    """

    exit_code = 64

    def __init__(self, what: str, *, remedy: str = "", file: str | Path | None = None, line: int | None = None) -> None:
        place = "" if file is None else f"{file}:{line}: " if line is not None else f"{file}: "
        text = place + what + (f"; {remedy}" if remedy else "")
        super().__init__(" ".join(text.split()))
        self.what, self.remedy = what, remedy
        self.file, self.line = (None if file is None else str(file)), line


class CharterError(TruelineError):
    """A charter (or something compiled from it) is not valid."""


class RunFileError(TruelineError):
    """A run file or a `system.yaml` is not valid."""


class DataError(TruelineError):
    """A data file cannot be read as what it was said to be."""


class SuiteError(TruelineError):
    """A suite or a file of probes is not valid."""


class TargetError(TruelineError):
    """A TARGET string cannot be understood, or what it names is not there."""


class ModelError(TruelineError):
    """A model (local or served) could not do what was asked."""

    exit_code = 70


class ModelUnavailable(ModelError):
    """The served model did not answer after all retries: network, rate limit or a 5xx."""

    exit_code = 69


class TrainingError(TruelineError):
    """A training run cannot start or go on."""

    exit_code = 70


class StoreError(TruelineError):
    """The database cannot be opened, migrated or written."""

    exit_code = 74


class GatewayError(TruelineError):
    """The gateway cannot start with this configuration."""
