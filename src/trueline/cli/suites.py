"""Which suite is asked: the charter's own, what it inherits, both, or a frozen one."""

from __future__ import annotations

import difflib
from pathlib import Path

from trueline.cli.project import Project
from trueline.errors import SuiteError
from trueline.evals.suite_files import MANIFEST, read_suite
from trueline.evals.suites import CHOICES, Suite, freeze, suite_for, thinned


def open_suite(project: Project, asks: str, limit: int | None = None) -> Suite:
    """The suite that `--suite` names. Raises `SuiteError` for what is neither a choice nor the folder of a suite, and for a suite that was
    compiled from another charter."""
    if asks in CHOICES:
        return suite_for(project.loaded.charter, project.probes, limit=limit, choice=asks)
    folder = Path(asks)
    if not (folder / MANIFEST).exists():
        near = difflib.get_close_matches(asks, CHOICES, n=1)
        what = f"{asks!r} is neither {', '.join(CHOICES)} nor the folder of a suite"
        raise SuiteError(what, remedy=f"did you mean {near[0]!r}?" if near else "freeze one with `trueline probes freeze`")
    head, suite = read_suite(folder)
    if head.charter not in (None, project.loaded.digest):
        what = f"this suite was compiled from the charter {head.charter[:12]}, got {project.loaded.digest[:12]}"
        raise SuiteError(what, remedy="freeze it again from this charter", file=folder / MANIFEST)
    if limit is not None and limit < len(suite.probes):
        return freeze(thinned(suite.probes, limit / len(suite.probes)))
    return suite
