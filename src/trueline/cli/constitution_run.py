"""What `trueline train constitution` reads before it asks anything: charter, red-team prompts, models, journal; and what it will cost."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from trueline.charter.compile.constitution import constitution_of
from trueline.charter.digests import digest_of
from trueline.charter.probes import OUTCOME_OF, Expectation, Kind, Probe, probe_id
from trueline.charter.schema import Principle
from trueline.cli.project import Project
from trueline.core.clock import generator
from trueline.data.jsonl import write_json
from trueline.data.prompts import read_prompts
from trueline.errors import TargetError, TrainingError
from trueline.train.constitution.asking import Asker, Journal
from trueline.train.constitution.choosing import LetterChooser, VotingChooser
from trueline.train.constitution.estimating import Estimate, labelling_cost, replying_cost, revising_cost
from trueline.train.constitution.labelling import LabelSettings
from trueline.train.constitution.records import RedTeamPrompt
from trueline.train.constitution.revising import ReviseSettings

SELF = "self"  # of --helpful: the starting model's own replies
REFUSED: tuple[Kind, ...] = ("refuse", "high_stakes")
ANSWERED: tuple[Kind, ...] = ("near_miss", "high_stakes_near_miss", "in_scope", "knowledge")


@dataclass(frozen=True, slots=True)
class Run:
    """Everything that was read before anything is asked. `writer`: the starting model, whose weights are `local`; `critic_local`: the
    critic's weights where they are here; `runner`: the one event loop, since the connections of a served critic live in it."""

    out: Path
    model: str
    options: Mapping[str, Any]
    project: Project
    prompts: tuple[RedTeamPrompt, ...]
    probes: Mapping[str, Probe]
    system: str
    local: Any
    writer: Asker
    critic: Asker
    critic_local: Any | None
    journal: Journal
    runner: asyncio.Runner
    say: Callable[[str], None]

    @property
    def principles(self) -> tuple[Principle, ...]:
        """The constitution."""
        return constitution_of(self.project.loaded.charter)

    def revising(self) -> ReviseSettings:
        """Of the supervised phase."""
        from trueline.charter.compile.constitution_shots import worked_cases, worked_turns

        o = self.options
        shots = worked_turns(worked_cases(self.project.loaded.charter, o["shots"]))
        return ReviseSettings(
            o["rounds"],
            o["own"],
            o["temperature"],
            o["critic_temperature"],
            o["reply_tokens"],
            self.system,
            shots,
            o["seed"],
            o["concurrency"],
        )

    def labelling(self) -> LabelSettings:
        """Of the preference phase."""
        o = self.options
        return LabelSettings(
            o["pairs"], o["own"], o["temperature"], o["critic_temperature"], o["reply_tokens"], self.system, o["chain_of_thought"],
            2 * o["reply_tokens"], o["seed"], o["concurrency"],
        )  # fmt: skip

    def helpful_probes(self) -> tuple[Probe, ...]:
        """With `--helpful self`: the teach probes that must be answered, in the order in which they are asked. Raises `TrainingError`
        without any."""
        if self.options["helpful"] != SELF:
            return ()
        due = {RedTeamPrompt(p.messages).key: p for p in self.project.probes if p.side == "teach" and p.kind in ANSWERED}
        if not due:
            what = f"{self.project.loaded.path} has no probe on the teach side that must be answered"
            raise TrainingError(what, remedy="grow some with `trueline probes grow`, or give --helpful a file")
        keys = sorted(due)
        generator(self.options["seed"], "helpful probes").shuffle(keys)
        return tuple(due[k] for k in keys)

    def chooser(self) -> LetterChooser | VotingChooser:
        """Log-probabilities where the critic's weights are here, else votes."""
        o = self.options
        if self.critic_local is not None:
            return LetterChooser(self.critic_local, self.journal)
        return VotingChooser(
            self.critic, votes=o["votes"], temperature=o["critic_temperature"], tokens=o["reply_tokens"], seed=o["seed"], concurrency=o["concurrency"]
        )  # fmt: skip


def _as_probe(prompt: RedTeamPrompt) -> Probe:
    """A prompt of a file as the grader reads it: something to refuse."""
    name = "prompts"
    expect = Expectation(OUTCOME_OF["refuse"])
    return Probe(probe_id(name, "refuse", name, prompt.messages), name, "refuse", prompt.messages, name, "teach", "grown", expect)


def _prompts(project: Project, o: Mapping[str, Any]) -> tuple[tuple[RedTeamPrompt, ...], dict[str, Probe], tuple[str, ...]]:
    """The red-team prompts; by key, the probe that each is graded as, never one of the test side; rows of a file that were left out."""
    left: tuple[str, ...] = ()
    if o["prompts"] is not None:
        found = read_prompts(o["prompts"])
        left = found.left_out
        made = {r.key: (r, _as_probe(r)) for r in (RedTeamPrompt(p.messages) for p in found.prompts)}
    else:
        known = {p.id for p in constitution_of(project.loaded.charter)}
        teach = [p for p in project.probes if p.side == "teach" and p.kind in REFUSED and p.clause in known]
        made = {r.key: (r, p) for p in teach if (r := RedTeamPrompt(p.messages, p.clause))}
    if not made:
        what = f"{project.loaded.path} has no probe of kind {' or '.join(REFUSED)} on the teach side"
        raise TrainingError(what, remedy="grow some with `trueline probes grow`, or give --prompts")
    keys = sorted(made)
    generator(o["seed"], "red-team prompts").shuffle(keys)
    keys = keys[: o["limit"]]
    return tuple(made[k][0] for k in keys), {k: made[k][1] for k in keys}, left


def _opened(name: str, journal: Journal) -> tuple[Asker, Any | None]:
    """(the critic, its weights where they are here)."""
    from trueline.cli.project import dressed, open_project
    from trueline.cli.targets import charter_of, open_target
    from trueline.models.patient import PatientChat

    target = open_target(name)
    if target.trainable:
        return Asker(target.chat, journal), getattr(target.chat, "local", None)
    if target.system is None:
        return Asker(PatientChat(target.chat), journal), None
    chat, _ = dressed(open_project(charter_of(target, target.system)), target, None, 0, False)
    return Asker(PatientChat(chat), journal), None


def open_run(model: str, out: Path, o: Mapping[str, Any]) -> Run:
    """Reads charter, prompts and models; everything wrong with them is said before anything is asked."""
    from trueline.charter.compile.prompt import compile_prompt
    from trueline.cli.project import open_project
    from trueline.cli.targets import open_target
    from trueline.engine.loading import check_finite
    from trueline.train.audit import screened

    project = open_project(o["charter"], o["probes"])
    prompts, probes, left = _prompts(project, o)
    target = open_target(model)
    if not target.trainable:
        raise TargetError(f"{model} cannot be trained: its weights are not here", remedy="name it as --critic, and a local --model")
    local = getattr(target.chat, "local")  # noqa: B009
    check_finite(local.model, local.path)
    kept = screened(local, prompts, lambda p: [(p.messages, "")])
    for line in (*left, *kept.left_out):
        click.echo(f"left out: {line}", err=True)
    system = ""
    if o["prompt_budget"] is not None:
        assert target.count is not None
        system = compile_prompt(project.loaded.charter, budget=o["prompt_budget"], count=target.count).text
    journal = Journal(out / "asked.jsonl")
    writer = Asker(target.chat, journal)
    critic, critic_local = (writer, local) if o["critic"] in (None, model) else _opened(o["critic"], journal)
    return Run(
        out,
        model,
        o,
        project,
        tuple(kept.rows),
        probes,
        system,
        local,
        writer,
        critic,
        critic_local,
        journal,
        asyncio.Runner(),
        lambda t: click.echo(t, err=True),
    )


def close_all(run: Run) -> None:
    """Ends worker threads and closes the journal."""

    async def go() -> None:
        for chat in {id(a.chat): a.chat for a in (run.writer, run.critic)}.values():
            await chat.close()

    run.runner.run(go())
    run.runner.close()
    run.journal.close()


def estimated(run: Run) -> Estimate:
    """Of the phases that were asked for."""

    def count(text: str) -> int:
        return len(run.local.tokenizer.encode(text, add_special_tokens=False))

    phase, total = run.options["phase"], Estimate(0, 0, 0, 0)
    if phase != "preferences":
        total += revising_cost(run.prompts, run.principles, run.revising(), count)
        total += replying_cost([p.messages for p in run.helpful_probes()], run.revising(), count)
    if phase != "supervised":
        answer = 1 if run.critic_local is not None else run.options["reply_tokens"]
        total += labelling_cost(run.prompts, run.principles, run.labelling(), run.chooser().per_question, answer, count)
    return total


def done_once(folder: Path, inputs: Mapping[str, Any], work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """`work`, unless the folder's record has the same inputs. Returns the record."""
    record, key = folder / "done.json", digest_of(dict(inputs))
    if record.exists():
        found: dict[str, Any] = json.loads(record.read_text(encoding="utf-8"))
        if found.get("key") == key:
            return found
    folder.mkdir(parents=True, exist_ok=True)
    made = {"key": key, **work()}
    write_json(record, made)
    return made
