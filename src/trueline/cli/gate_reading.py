"""The gate's decision on evaluations, and what it is told beyond the records: what each probe asks, whether a wrong answer withheld or erred, and the order of an anytime run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trueline.charter.probes import Measure, Probe
    from trueline.cli.project import Project
    from trueline.core.decisions import GateDecision
    from trueline.core.evaluations import Evaluation, GradedReply
    from trueline.gate.answering import Reads
    from trueline.gate.anytime import Replayed
    from trueline.gate.attacked import RedTeamRule


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


def followed(project: Project, candidate: Evaluation, baseline: Evaluation | None, seed: int | None) -> Replayed | None:
    """The candidate's record in the random order of `seed`, that of a run that was stopped in its own; None where neither asks for it.
    Raises `DataError` where nobody knows how many replies such a run should have had, or for a seed that is not the run's."""
    from trueline.errors import DataError
    from trueline.gate.anytime import family_order, replay, suite_of

    stopped = candidate.settings.get("stopped")
    if isinstance(stopped, Mapping) and isinstance(stopped.get("order"), int):
        if seed not in (None, stopped["order"]):
            what = f"--anytime {seed} is another order than the one that this run was stopped in, {stopped['order']}"
            raise DataError(what, remedy="leave --anytime out")
        seed = stopped["order"]
    if seed is None:
        return None
    known = candidate if not stopped else baseline
    if known is not None:
        suite, clusters = suite_of(known.rows), [r.cluster for r in known.rows]
    else:
        suite, clusters = _suite_of(project, candidate)
    return replay(project.loaded.charter.gate, candidate, baseline, suite, family_order(clusters, seed))


def _suite_of(project: Project, candidate: Evaluation) -> tuple[dict[tuple[Measure, str], int], list[str]]:
    """The suite of a run that was stopped, from the charter's probes: sizes of its families, and its clusters in order."""
    from trueline.errors import DataError
    from trueline.evals.suites import suite_for

    probes = suite_for(project.loaded.charter, project.probes)
    if probes.digest != candidate.suite:
        what = "this run was stopped and its suite is not the whole one, so that nobody knows in which order it was asked"
        raise DataError(what, remedy="give --against a finished evaluation of the same suite")
    samples = int(candidate.settings.get("samples", 1))
    counts = Counter((p.measure, p.cluster) for p in probes.probes)
    return {key: samples * n for key, n in counts.items()}, [p.cluster for p in probes.probes]


def inherited_suite(project: Project) -> tuple[str, dict[str, list[int]]]:
    """(digest, sizes of families by measure) of all inherited probes of the charter."""
    from trueline.evals.suites import suite_for

    suite = suite_for(project.loaded.charter, (), choice="inherited")
    sizes: dict[str, list[int]] = {}
    for (measure, _), n in Counter((p.measure, p.cluster) for p in suite.probes).items():
        sizes.setdefault(measure, []).append(n)
    return suite.digest, sizes


def decided(
    project: Project, read: Sequence[Evaluation | None], draws: tuple[Evaluation, Evaluation] | None, asked: RedTeamRule, anytime: int | None = None
) -> GateDecision:  # fmt: skip
    """The whole decision. `read`: candidate, baseline, red-team run, inherited probes; `draws`: of an A/A run; `asked`: what a red-team run
    must be; `anytime`: the seed of an order to follow."""
    from trueline.core.clock import utc_now
    from trueline.gate.decide import decide
    from trueline.gate.inherited import combined, decide_inherited

    rule, digest = project.loaded.charter.gate, project.loaded.digest
    candidate, baseline, redteam, inherited = read
    assert candidate is not None
    more: dict[str, Any] = {}
    comparable = baseline is None or (baseline.suite, baseline.settings.get("samples")) == (
        candidate.suite,
        candidate.settings.get("samples"),
    )
    path = followed(project, candidate, baseline, anytime) if comparable else None  # else INVALID, and no order to follow
    if path is not None:
        candidate, baseline = path.candidate, path.baseline
        more = {"stops": path.stops, "early": path.early, "word": path.word}
    found = decide(
        rule, digest, candidate, baseline, redteam=redteam, inherited=inherited is not None, noise=draws, attacks=asked, now=utc_now(), prompts=prompts_of(project),
        reads=reader(project) if baseline is not None else None, **more, **project.fairness(),
    )  # fmt: skip
    if inherited is not None:
        found = combined(found, decide_inherited(rule, digest, candidate, inherited, *inherited_suite(project)))
    return found
