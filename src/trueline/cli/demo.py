"""`trueline demo`: the whole loop on the rehearsal model, minutes on two cores, offline.

In order: eight telling prompts to the base model, align, the same prompts again, the clause matrix, the gate; then a fine-tune
on harmless data alone, which undoes the alignment, and the gate that refuses it; last, the command that serves the result.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

KINDS = ("refuse", "near_miss", "out_of_scope", "knowledge", "abstain", "high_stakes", "fairness", "in_scope")
SHORT = 300  # probes of the suite in a short demo


@click.command(
    help="The whole loop on the rehearsal model and its charter: measure, align, measure, gate, break, refuse. About six minutes on two cores; resumes."
)
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs/demo"), show_default=True, help="Folder of the demo.")
@click.option("--short", is_flag=True, help="A thinned suite: shows that everything runs; too few probes for the gate to pass.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Seed of the alignment.")
@click.option("--json", "as_json", is_flag=True, help="Print the outcomes as JSON at the end.")
def command(out: Path, short: bool, seed: int, as_json: bool) -> int:
    """Tells the story; exit 0 when it ends as it should."""
    import json

    story = Story(out, short, seed)
    story.meet()
    first = story.align()
    second = story.erode()
    story.close()
    if as_json:
        click.echo(json.dumps({"aligned": first.outcome, "degraded": second.outcome, "seconds": round(time.monotonic() - story.began)}))
    good = second.outcome != "PASS" and (short or (first.outcome == "PASS" and second.outcome == "FAIL"))
    if not good:
        click.echo(
            f"the demo did not end as it should: aligned {first.outcome} (expected PASS), degraded {second.outcome} (expected FAIL)",
            err=True,
        )
    return 0 if good else 1


class Story:
    """The demo's steps; what a step needs from the one before is kept here."""

    def __init__(self, out: Path, short: bool, seed: int) -> None:
        from trueline.charter.shipped import CHARTERS
        from trueline.cli.align import open_run

        self.began, self.out, self.short = time.monotonic(), out, short
        self.folder = CHARTERS / "harbor_bank"
        changes = {"model": None, "charter": None, "out": str(out / "aligned"), "seed": seed}
        self.run, self.target, self.digest = self._thin(open_run(self.folder / "run.yaml", changes, self.say))
        self.prompts = self._telling()

    def _thin(self, opened: tuple[Any, Any, str]) -> tuple[Any, Any, str]:
        if not self.short:
            return opened
        from trueline.cli.align_phases import suite_of

        run, target, digest = opened
        file = run.file.model_copy(update={"evaluate": run.file.evaluate.model_copy(update={"limit": SHORT})})
        return replace(run, file=file, suite=suite_of(run.project, file)), target, digest

    def say(self, text: str) -> None:
        """One line with the time since the start."""
        seconds = int(time.monotonic() - self.began)
        click.echo(f"[{seconds // 60}:{seconds % 60:02d}] {text}")

    def title(self, text: str) -> None:
        """A heading."""
        click.echo()
        click.secho(f"== {text}", bold=True)

    def _telling(self) -> list[Any]:
        """Eight held-out probes, one a kind."""
        chosen = []
        for kind in KINDS:
            pool = [p for p in self.run.suite.probes if p.kind == kind and p.origin == "grown"]
            if pool:
                chosen.append(pool[len(pool) // 3])
        return chosen

    def replies(self, model: str) -> None:
        """Prints what a model says to the telling prompts, and how each reply is graded."""
        import asyncio

        from trueline.cli.targets import behind_prompt, open_target
        from trueline.core.chat import ChatRequest

        opened = open_target(model)
        chat = behind_prompt(opened, self.run.prompt, self.run.shots)
        grader = self.run.project.grader()

        async def go() -> list[tuple[str, str]]:
            answers = await asyncio.gather(*(chat.reply(ChatRequest(p.messages, self.run.sampling())) for p in self.prompts))
            grades = [await grader.grade(p, a) for p, a in zip(self.prompts, answers, strict=True)]
            await chat.close()
            return [(a.text, g.seen) for a, g in zip(answers, grades, strict=True)]

        for probe, (text, seen) in zip(self.prompts, asyncio.run(go()), strict=True):
            click.echo(f"  {probe.messages[-1].content}")
            click.echo(f"      -> {text}   [{seen}]")

    def meet(self) -> None:
        """The base model, as it is."""
        self.title("The rehearsal model before alignment: helpful only, to everybody")
        self.replies(self.target.text)

    def align(self) -> Any:
        """Align, show, gate."""
        from trueline.cli.align import finish_run
        from trueline.report.decision import decision_text

        self.title("Aligning it to the charter of Harbor Bank (about four minutes)")
        decision, _ = finish_run(self.run, self.target, self.digest)
        self.title("The same prompts after alignment")
        self.replies(str(self.run.out / "model"))
        self._matrix()
        self.title("The gate: may it be released?")
        click.echo(decision_text(decision))
        click.echo(f"  report: {self.run.out / 'report.html'}")
        return decision

    def _matrix(self) -> None:
        from collections import Counter

        from rich.console import Console

        from trueline.charter.compile.teaching import demonstrations
        from trueline.data.evaluations import read_evaluation
        from trueline.report.matrix import clause_matrix, matrix_table

        charter = self.run.project.loaded.charter
        taught = Counter(d.clause for d in demonstrations(charter, self.run.project.probes))
        before, after = (read_evaluation(self.run.out / name) for name in ("before", "after"))
        console = Console()
        self.title("The clause matrix")
        Console(width=console.width if console.is_terminal else 110).print(
            matrix_table(clause_matrix(charter, taught=taught, before=before, after=after))
        )

    def erode(self) -> Any:
        """A harmless fine-tune of the aligned model, and the gate again, now against the aligned one."""
        from trueline.charter.digests import digest_of
        from trueline.cli.align import open_run
        from trueline.cli.align_phases import evaluation_phase, stage_phase, trained_prompts
        from trueline.cli.targets import open_target
        from trueline.data.evaluations import read_evaluation
        from trueline.data.jsonl import write_json
        from trueline.gate.decide import decide
        from trueline.report.decision import decision_text

        self.title("Now a fine-tune on harmless dialogues alone (alignment inheritance, 2310.03693)")
        model = str((self.run.out / "model").resolve())
        changes = {"model": model, "charter": None, "out": str(self.out / "benign"), "seed": self.run.file.seed}
        run, target, digest = self._thin(open_run(self.folder / "run.benign.yaml", changes, self.say))
        folder, _ = stage_phase(run, 0, run.file.stages[0], model, digest, target.text)
        local = open_target(folder)
        after = evaluation_phase(run, "after", local, digest_of(dict(local.chat.identity())), trained_prompts(run))
        rule, digest, aligned = run.project.loaded.charter.gate, run.project.loaded.digest, read_evaluation(self.run.out / "after")
        decision = decide(rule, digest, after, aligned, **run.project.fairness())
        write_json(run.out / "gate.json", decision.to_dict())
        click.echo(decision_text(decision))
        return decision

    def close(self) -> None:
        """How to go on."""
        self.title("Next")
        self.say("the gateway and the console over the aligned model:")
        click.echo(f"    .venv/bin/trueline serve {self.run.out / 'system.yaml'}")
