"""A system behind its guard, for the verbs that measure it: what `trueline serve` would put before it, unless it is left off."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from trueline.charter.compile.diff import quoted_in
from trueline.charter.compile.written import written_probes
from trueline.charter.turns import Message
from trueline.cli.project import open_project, tuned_of
from trueline.cli.targets import SystemFile, Target, charter_of
from trueline.cli.trained_data import trained_data
from trueline.core.chat import ChatModel

Prompts = tuple[tuple[Message, ...], ...]
WITHOUT = "measured without its guard (--no-guard): this is not what its user sees"


@dataclass(frozen=True, slots=True)
class Measured:
    """What is asked. `trained_on`: prompts that the model was trained on, by its own records, and those from which the guard's heads learnt; `shown`: hand-written examples from which
    they did, which the prompt quotes or its search asked: no held-out evidence about this system; `notes` for a person; `looks`: as in `Evaluation`."""

    chat: ChatModel
    trained_on: Prompts = ()
    shown: Prompts = ()
    notes: tuple[str, ...] = ()
    looks: int = 1


def has_guard(system: SystemFile | None) -> bool:
    """Whether there is a guard that `--no-guard` could leave off."""
    return system is not None and system.guard


def behind_guard(target: Target, model: ChatModel, without: bool) -> Measured:
    """The `model` of a target, behind its prompt already, as its user meets it. The guard is that of the system's own charter, taught by
    the probes beside that charter and told the prompt that must not leak; a target without a guard stays as it is. With what is known of its training."""
    from trueline.cli.serving import model_of, open_guard
    from trueline.guard.build import Guard
    from trueline.guard.guarded import GuardedChat
    from trueline.guard.heads import learnt
    from trueline.guard.rules import rules_for

    system = target.system
    trained = trained_data(model_of(target.text)[0])
    if system is None:
        return Measured(model, trained.prompts, notes=trained.notes)
    known, looks, told = _known(target, system, str(model.identity().get("prompt", "")))
    if not system.guard or without:
        return Measured(model, trained.prompts, known, (*([WITHOUT] if system.guard else []), *told, *trained.notes), looks)
    project = open_project(charter_of(target, system))
    guard = open_guard(project, str(model.identity().get("prompt", "")), True)
    assert isinstance(guard, Guard), "a charter's guard"
    rules = tuple(guard.rules.values())
    written = learnt(rules, (), guard.heads)
    grown = (t for t in learnt(rules, project.probes, guard.heads) if t not in set(written))
    notes = ["measured behind its guard, as its user meets it"]
    if guard.heads.unarmed:
        notes.append(f"the guard's heads are not armed for {', '.join(guard.heads.unarmed)}: too few examples to learn from")
    return Measured(
        GuardedChat(model, guard, rules_for(project.loaded.charter)), (*trained.prompts, *_prompts(grown)), (*_prompts(written), *known),
        (*notes, *told, *trained.notes), looks,
    )  # fmt: skip


def _known(target: Target, system: SystemFile, prompt: str) -> tuple[Prompts, int, tuple[str, ...]]:
    """Hand-written questions that are no held-out evidence about a system's prompt: those that it quotes, and those that its search asked. With
    how often held-out probes were looked at while it was chosen, and a note on it."""
    written = written_probes(open_project(charter_of(target, system)).loaded.charter)
    quoted = set(quoted_in(prompt, [p.messages[-1].content for p in written]))
    known = [p.messages for p in written if p.messages[-1].content in quoted]
    if system.tuned is None:
        return tuple(known), 1, ()
    made = tuned_of(Path(target.text), system)
    told = f"its prompt is one of {made.looks} that were judged on the held-out probes: chosen among them it may look better than it is, so the gate shares its 5 % out over them"
    return tuple(dict.fromkeys([*known, *made.known])), max(1, made.looks), (told,) if made.looks > 1 else ()


def _prompts(texts: Iterable[str]) -> Prompts:
    return tuple((Message("user", t),) for t in texts)
