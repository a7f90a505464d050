"""The ladder of `tune-prompt`: each level is asked the held-out probes once, and the report says which is the first that is enough."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from trueline.charter.compile.diff import quoted_in
from trueline.charter.compile.tuned_file import question_name
from trueline.charter.digests import digest_of
from trueline.charter.probes import MEASURES
from trueline.charter.turns import Message
from trueline.cli.measuring import run_suite
from trueline.cli.project import Project, dressed
from trueline.cli.targets import Target, open_target
from trueline.core.chat import ChatModel, Sampling
from trueline.core.clock import iso, utc_now
from trueline.core.evaluations import Evaluation
from trueline.data.jsonl import read_jsonl
from trueline.evals.prompts.ladder import Level, enough, evidence, outcome_of, steps, used
from trueline.evals.suites import Suite
from trueline.gate.decide import decide
from trueline.models.system import SystemChat

LOOKS = "held-out.jsonl"
PLAIN, SHOTS, TUNED, FINE_TUNED = "prompt only", "+ few-shots", "tuned prompt", "fine-tuned"


@dataclass(frozen=True, slots=True)
class Contestant:
    """A level before it is measured: the model behind its prompt, opened when its turn comes."""

    name: str
    target: str
    tokens: int | None
    open: Callable[[], ChatModel]
    text: str = ""
    shots: tuple[Message, ...] = ()


def behind(name: str, target: str, text: str, shots: tuple[Message, ...], tokens: int) -> Contestant:
    """A target behind a prompt and few-shots."""
    return Contestant(name, target, tokens, lambda: SystemChat(open_target(target).chat, text, shots), text, shots)


def fine_tuned(target: str, project: Project, budget: int) -> Contestant:
    """The third level: another model behind the plain compilation in the same budget, or a system.yaml behind its own prompt."""

    def opened() -> ChatModel:
        found: Target = open_target(target)
        return dressed(project, found, None if found.system else budget, 0, False)[0]

    return Contestant(FINE_TUNED, target, None, opened)


def told(contestants: Sequence[Contestant], suite: Suite, searched: Sequence[tuple[Message, ...]]) -> tuple[tuple[Message, ...], ...]:
    """Prompts that are no held-out evidence: those the search asked, and hand-written ones whose words stand in a prompt."""
    questions = [p.messages[-1].content for p in suite.probes if p.origin == "written"]
    quoted = {q for c in contestants for q in quoted_in(c.text, questions)}
    shown = [(m,) for c in contestants for m in c.shots if m.role == "user"]
    return (*searched, *((Message("user", q),) for q in sorted(quoted)), *shown)


def looks_so_far(path: Path, suite: Suite, contestants: Sequence[Contestant]) -> int:
    """How many prompts any of these held-out probes have judged in this folder, with these: each is one more chance to be lucky. A look at
    fewer probes (`--limit`) was a look at those."""
    ours = _asked(suite)
    before = {row["prompt"] for _, row in (read_jsonl(path) if path.exists() else ()) if ours.intersection(row.get("probes", ours))}
    return len(before | {_name(c) for c in contestants})


def _asked(suite: Suite) -> frozenset[str]:
    return frozenset(question_name(p.messages) for p in suite.probes)


def _name(c: Contestant) -> str:
    return digest_of([c.target, c.text, [m.to_dict() for m in c.shots]])


def _note(path: Path, suite: Suite, c: Contestant) -> None:
    known = {(row.get("suite"), row["prompt"]) for _, row in (read_jsonl(path) if path.exists() else ())}
    if (suite.digest, _name(c)) not in known:
        with path.open("a", encoding="utf-8") as f:
            f.write(
                json.dumps(
                    {"suite": suite.digest, "prompt": _name(c), "level": c.name, "created": iso(utc_now()), "probes": sorted(_asked(suite))}
                )
                + "\n"
            )
            f.flush()


def climb(
    contestants: Sequence[Contestant], project: Project, suite: Suite, sampling: Sampling, folder: Path, *,
    searched: Sequence[tuple[Message, ...]] = (), concurrency: int = 64,
) -> list[Level]:  # fmt: skip
    """Measures every level, each in a folder of its own, and puts it against the caps and the first level."""
    shown = told(contestants, suite, searched)
    looks = looks_so_far(folder / LOOKS, suite, contestants)
    found: list[Evaluation] = []
    for c in contestants:
        place = folder / "held-out" / c.name.replace("+ ", "").replace(" ", "-")
        model = c.open()
        label = c.target if c.name in (PLAIN, FINE_TUNED) else f"{c.target} ({c.name})"
        place.mkdir(parents=True, exist_ok=True)
        _note(folder / LOOKS, suite, c)
        found.append(
            run_suite(model, project, suite, sampling, place, concurrency=concurrency, target=label, title=c.name, shown=shown, looks=looks)
        )
    taught = frozenset(p for e in found for p in e.taught)
    return [_level(c, e, found[0] if i else None, taught, project, looks) for i, (c, e) in enumerate(zip(contestants, found, strict=True))]


def _level(c: Contestant, e: Evaluation, plain: Evaluation | None, taught: frozenset[str], project: Project, looks: int) -> Level:
    """A level holds where the corrected bounds say so and the gate, which counts the grader's error, does not say otherwise."""
    rule = project.loaded.charter.gate
    climbed = steps(e, plain, taught, {m: rule.caps[m] for m in MEASURES if m in rule.caps}, looks)
    outcome = outcome_of(climbed)
    decision = decide(rule, project.loaded.digest, e, None, **project.fairness())
    by = {f.measure: f.outcome for f in decision.measures if f.cap is not None}
    why: tuple[str, ...] = ()
    if decision.outcome == "INVALID":
        outcome, why = "INVALID", decision.reasons
    elif outcome == "PASS" and any(o != "PASS" for o in by.values()):
        outcome = "INCONCLUSIVE"  # the grader's error is wider than the bound
    return Level(c.name, c.target, c.tokens, climbed, outcome, used(evidence(e, taught)), why)


def price_of(level: Level, prices: tuple[float, float] | None) -> float | None:
    """Cost of a thousand requests, at prices of a million input and output tokens; None where tokens or prices are not known."""
    if level.used is None or prices is None:
        return None
    return (level.used[0] * prices[0] + level.used[1] * prices[1]) / 1e6 * 1000


def report_of(levels: Sequence[Level], looks: int, prices: tuple[float, float] | None) -> dict[str, Any]:
    """The ladder as data."""
    first, words = enough(levels)
    rows: list[Mapping[str, Any]] = [{**level.to_dict(), "cost_per_1000": price_of(level, prices)} for level in levels]
    return {"levels": rows, "looks": looks, "enough": first, "words": words}


def _percent(x: float | None) -> str:
    return "-" if x is None else f"{100 * x:.1f}"


def print_ladder(levels: Sequence[Level], found: Mapping[str, Any]) -> None:
    """One block a level, one line a measure."""
    for level, row in zip(levels, found["levels"], strict=True):
        size = "" if level.tokens is None else f", {level.tokens} tokens of prompt"
        mean = "tokens not counted by the target" if level.used is None else f"{level.used[0]:.0f} in, {level.used[1]:.0f} out a request"
        cost = "" if row["cost_per_1000"] is None else f", {row['cost_per_1000']:.4f} a 1,000 requests"
        click.echo(f"{level.name}: {level.outcome or 'no cap'}   ({level.target}{size}; {mean}{cost})")
        for reason in level.why:
            click.echo(f"  - {reason}")
        level_of = 100 * level.steps[0].level if level.steps else 95
        click.echo(
            f"  {'measure':14}{'failed %':>9}{f'{level_of:.1f} % bounds':>18}{'cap %':>8}{'n':>6}{'unscored':>10}{'to prompt only':>26}"
        )
        for s in level.steps:
            apart = (
                ""
                if s.difference is None
                else f"{100 * s.difference:+.1f} ({_signed(s.difference_lower)} to {_signed(s.difference_upper)})"
            )
            bounds = f"{_percent(s.lower)} to {_percent(s.upper)}"
            told_ = f"{_percent(s.rate):>9}{bounds:>18}{_percent(s.cap):>8}{s.n:6}{s.unscored:10}{apart:>26}"
            click.echo(f"  {s.measure:14}{told_}  {s.outcome or ''}")
    click.echo(found["words"])
    click.echo(
        f"held-out probes, {found['looks']} prompts judged on them: each bound is one-sided at its share of 5 %; unscored replies are taken at"
        " their worst. Hand-written examples that any prompt shows or quotes, or the search asked, are left out."
    )


def _signed(x: float | None) -> str:
    return "-" if x is None else f"{100 * x:+.1f}"
