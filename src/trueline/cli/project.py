"""What most verbs need of a charter: the charter itself, its probes, its suite, its grader and its prompt."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from trueline.charter.compile.prompt import CompiledPrompt, compile_prompt, count_words
from trueline.charter.compile.shots import few_shots
from trueline.charter.parse import LoadedCharter, load_charter
from trueline.charter.probe_files import probes_beside, read_probes
from trueline.charter.probes import Probe
from trueline.charter.shipped import charter_path
from trueline.charter.turns import Message
from trueline.cli.targets import Target
from trueline.core.chat import ChatModel
from trueline.errors import SuiteError
from trueline.evals.graders.charter_grader import CharterGrader


@dataclass(frozen=True, slots=True)
class Project:
    """A charter with its accepted probes."""

    loaded: LoadedCharter
    probes: tuple[Probe, ...]

    def grader(self) -> CharterGrader:
        """Exact where the charter gives the answer, the shipped reply grader elsewhere."""
        from trueline.evals.graders.reply import shipped_reply_grader

        return CharterGrader(self.loaded.charter, shipped_reply_grader())

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
    known = {c.id for c in loaded.charter.clauses()}
    for p in found:
        if p.clause not in known:
            what = f"the probe {p.id} belongs to clause {p.clause!r}, which the charter does not have"
            raise SuiteError(what, remedy="grow probes anew after renaming a clause", file=probes or probes_beside(path))
    return Project(loaded, found)


def dressed(project: Project, target: Target, budget: int | None, shots: int, bare: bool) -> tuple[ChatModel, CompiledPrompt | None]:
    """The target as it is evaluated: a system behind its own prompt, any other behind the compiled one, or bare."""
    from trueline.models.system import SystemChat

    system = target.system
    if system is not None:
        budget, shots, bare = system.prompt_budget, system.few_shots, system.prompt == "none"
        if system.prompt not in ("compiled", "none"):
            return SystemChat(target.chat, system.prompt, few_shots(project.loaded.charter, shots)), None
    if bare:
        return target.chat, None
    compiled, examples = project.prompt(target, budget, shots)
    return SystemChat(target.chat, compiled.text, examples), compiled
