"""What most verbs need of a charter: the charter itself, its probes, its suite, its grader and its prompt."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trueline.charter.compile.prompt import CompiledPrompt, compile_prompt, count_words
from trueline.charter.compile.shots import few_shots
from trueline.charter.compile.tuned_file import Tuned, compiled, read_tuned
from trueline.charter.compile.written import kinds_of
from trueline.charter.parse import LoadedCharter, load_charter
from trueline.charter.probe_files import probes_beside, read_probes
from trueline.charter.probes import Probe
from trueline.charter.shipped import charter_path
from trueline.charter.turns import Message
from trueline.cli.targets import SystemFile, Target, charter_of
from trueline.core.chat import ChatModel
from trueline.errors import SuiteError
from trueline.evals.graders.charter_grader import CharterGrader


@dataclass(frozen=True, slots=True)
class Project:
    """A charter with its accepted probes. `behind`: the prompt that the target stands behind, where it is known: what it must not show."""

    loaded: LoadedCharter
    probes: tuple[Probe, ...]
    behind: str = ""

    def grader(self) -> CharterGrader:
        """Exact where the charter gives the answer, the shipped reply grader elsewhere."""
        from trueline.evals.graders.reply import shipped_reply_grader

        return CharterGrader(self.loaded.charter, shipped_reply_grader(), self.behind)

    def fairness(self) -> Mapping[str, Any]:
        """What `gate.decide` must know to hold the yes rates of people against the charter: `fairness` and `people`."""
        from trueline.charter.compile.people import people_of
        from trueline.charter.compile.written import written_probes

        charter = self.loaded.charter
        return {"fairness": charter.fairness, "people": people_of(charter, (*written_probes(charter), *self.probes))}

    def prompt(self, target: Target, budget: int | None, shots: int) -> tuple[CompiledPrompt, tuple[Message, ...]]:
        """The compiled prompt, counted in the target's own tokens where they are known, and the few-shots."""
        compiled = compile_prompt(self.loaded.charter, budget=budget, count=target.count or count_words)
        return compiled, few_shots(self.loaded.charter, shots)


def open_project(charter: str, probes: Path | None = None) -> Project:
    """Loads a charter (path or bundled:NAME) and the probes beside it or in `probes`."""
    path = charter_path(charter)
    loaded = load_charter(path)
    if probes is not None and not probes.exists():
        raise SuiteError("no such file of probes", remedy="grow some with `trueline probes grow`", file=probes)
    found = read_probes(probes or probes_beside(path))
    check_probes(loaded, found, probes or probes_beside(path))
    return Project(loaded, found)


def check_probes(loaded: LoadedCharter, probes: Iterable[Probe], path: Path) -> None:
    """Raises `SuiteError` for the first probe of a clause that the charter does not have, or of a kind that its clause cannot ask for."""
    kinds = {c.id: kinds_of(c) for c in loaded.charter.clauses()}
    for p in probes:
        if p.clause not in kinds:
            what = f"the probe {p.id} belongs to clause {p.clause!r}, which the charter does not have"
            raise SuiteError(what, remedy="grow probes anew after renaming a clause", file=path, line=_line_of(path, p.id))
        if p.kind not in kinds[p.clause]:
            what = f"the probe {p.id} is of kind {p.kind}, {p.clause} asks for {' or '.join(sorted(kinds[p.clause])) or 'none'}"
            raise SuiteError(what, remedy="mend 'kind' or 'clause'", file=path, line=_line_of(path, p.id))


def _line_of(path: Path, probe: str) -> int | None:
    """The line of a file of probes that names this probe; None where the file leaves ids to us."""
    lines = path.read_text(encoding="utf-8").split("\n")
    return next((n for n, line in enumerate(lines, 1) if json.dumps(probe, ensure_ascii=False) in line), None)


def dressed(project: Project, target: Target, budget: int | None, shots: int, bare: bool) -> tuple[ChatModel, CompiledPrompt | None]:
    """The target as it is evaluated: a system behind its own prompt and its own charter's, whatever charter it is measured by; any
    other behind the compiled one, or bare."""
    from trueline.models.system import SystemChat

    system = target.system
    if system is not None:
        project = Project(load_charter(charter_path(charter_of(target, system))), ())
        budget, shots, bare = system.prompt_budget, system.few_shots, system.prompt == "none"
        if system.tuned is not None:
            made = tuned_of(Path(target.text), system)
            return SystemChat(target.chat, made.text, made.shots), None
        if system.prompt not in ("compiled", "none"):
            return SystemChat(target.chat, system.prompt, few_shots(project.loaded.charter, shots)), None
    if bare:
        return target.chat, None
    compiled, examples = project.prompt(target, budget, shots)
    return SystemChat(target.chat, compiled.text, examples), compiled


def tuned_of(path: Path, system: SystemFile) -> Tuned:
    """The prompt and few-shots of a system.yaml (at `path`) that names a tuned prompt. Raises `CharterError` where they are not what was measured."""
    assert system.tuned is not None
    place = path.parent / system.tuned
    file = read_tuned(place)
    charter = system.charter if system.charter.startswith("bundled:") else str(path.parent / system.charter)
    project = open_project(charter, place.parent / file.probes if file.probes else None)
    return compiled(file, project.loaded, project.probes, place)
