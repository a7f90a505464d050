"""What the gate is told beyond the records: what each probe asks, whether a wrong answer withheld or erred, and the order of an anytime run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trueline.charter.probes import Probe
    from trueline.cli.project import Project
    from trueline.core.evaluations import Evaluation, GradedReply
    from trueline.gate.answering import Reads
    from trueline.gate.anytime import Replayed


def _probes(project: Project) -> Mapping[str, Probe]:
    from trueline.charter.compile.written import written_probes

    return {p.id: p for p in (*written_probes(project.loaded.charter), *project.probes)}


def prompts_of(project: Project) -> Mapping[str, str]:
    """Probe -> what its user says."""
    return {name: "\n".join(m.content for m in p.messages if m.role == "user") for name, p in _probes(project).items()}


def reader(project: Project) -> Reads:
    """Whether a reply withholds an answer. The grade of a known question says right or wrong; what kind of reply a wrong one is, is read
    here as the charter's grader reads replies (its own sentences exactly, anything else by the general grader, with its error)."""
    from trueline.gate.answering import WITHHOLDS, seen_withholding

    probes, grader = _probes(project), project.grader()

    def withholds(row: GradedReply) -> bool:
        if seen_withholding(row) or row.probe not in probes:
            return seen_withholding(row)
        return grader.see(probes[row.probe], row.reply)[0] in WITHHOLDS

    return withholds


def followed(project: Project, candidate: Evaluation, baseline: Evaluation | None, seed: int) -> Replayed:
    """The candidate's record in the random order of `seed`. A run that is not whole was stopped, and is decided where it stopped.
    Raises `DataError` where nobody knows how many replies such a run should have had."""
    from trueline.errors import DataError
    from trueline.evals.suites import suite_for
    from trueline.gate.anytime import replay

    known = candidate if candidate.complete else baseline
    if known is not None:
        expected = Counter(r.cluster for r in known.rows)
    else:
        suite = suite_for(project.loaded.charter, project.probes)
        if suite.digest != candidate.suite:
            what = "this run was stopped and its suite is not the whole one, so that nobody knows which families are whole"
            raise DataError(what, remedy="give --against a finished evaluation of the same suite")
        samples = int(candidate.settings.get("samples", 1))
        expected = Counter({c: samples * n for c, n in Counter(p.cluster for p in suite.probes).items()})
    return replay(project.loaded.charter.gate, candidate, baseline, expected, seed, early=not candidate.complete)
