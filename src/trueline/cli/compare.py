"""`trueline compare TARGET...`: a scorecard of several targets on one suite. It describes; only `gate` decides."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from trueline.cli.targets import SystemFile
    from trueline.core.evaluations import Evaluation


@click.command(help="A scorecard across TARGETs (or folders of finished evaluations): failure rates by measure, each against the first.")
@click.argument("targets", nargs=-1, required=True)
@click.option("--charter", "-c", required=True, help="Charter file or bundled:NAME.")
@click.option("--probes", type=click.Path(path_type=Path), help="File of probes (default: probes.jsonl beside the charter).")
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs"), show_default=True, help="Folder for the evaluations.")
@click.option("--samples", default=1, show_default=True, type=click.IntRange(1), help="Replies to each probe.")
@click.option("--temperature", default=0.0, show_default=True, type=click.FloatRange(0, 2), help="Sampling temperature.")
@click.option("--max-tokens", default=64, show_default=True, type=click.IntRange(1), help="Longest reply in tokens.")
@click.option("--limit", type=click.IntRange(1), help="At most this many probes, the same share of every clause.")
@click.option("--concurrency", default=64, show_default=True, type=click.IntRange(1), help="Requests under way at once.")
@click.option("--prompt-budget", type=click.IntRange(1), help="Tokens of the compiled system prompt (default: all of it).")
@click.option("--few-shots", default=0, show_default=True, type=click.IntRange(0), help="Few-shot examples from the charter.")
@click.option("--no-prompt", is_flag=True, help="Ask the bare models, without the charter's prompt.")
@click.option("--no-guard", is_flag=True, help="Ask systems without their guards: the models behind their prompts.")
@click.option("--seed", default=0, show_default=True, help="Seed of the sampling.")
@click.option("--json", "as_json", is_flag=True, help="Print the scorecard as JSON.")
def command(
    targets: tuple[str, ...], charter: str, probes: Path | None, out: Path, samples: int, temperature: float, max_tokens: int,
    limit: int | None, concurrency: int, prompt_budget: int | None, few_shots: int, no_prompt: bool, no_guard: bool, seed: int, as_json: bool,
) -> int:  # fmt: skip
    """Evaluates what is not evaluated yet, then sets side by side."""
    import json

    from trueline.cli.guarding import behind_guard, has_guard
    from trueline.cli.measuring import evaluation_folder, run_suite
    from trueline.cli.project import dressed, open_project
    from trueline.cli.targets import open_target, options_given, refuse_overruled, sampling_of
    from trueline.data.evaluations import MANIFEST, read_evaluation
    from trueline.errors import TargetError
    from trueline.evals.suites import suite_for

    if len(targets) < 2:
        raise TargetError("one TARGET is nothing to compare", remedy="give two or more")
    given = options_given()
    project = open_project(charter, probes)
    suite = suite_for(project.loaded.charter, project.probes, limit=limit)
    found: list[Evaluation] = []
    if no_guard and not any(has_guard(_system(text)) for text in targets):
        raise TargetError("--no-guard has no effect: no TARGET here is a system with a guard", remedy="leave it out")
    for text in targets:
        if (Path(text) / MANIFEST).exists():
            found.append(read_evaluation(Path(text)))
            continue
        opened = open_target(text)
        if opened.system is None:  # a system among the TARGETs decides for itself what the options say of the others
            refuse_overruled(opened, given - {"no_guard"})
        model, _ = dressed(project, opened, prompt_budget, few_shots, no_prompt)
        asked = behind_guard(opened, model, no_guard)
        sampling = sampling_of(opened.system, temperature, max_tokens, seed)
        folder = evaluation_folder(out, "eval", suite, text, dict(asked.chat.identity()), sampling.to_dict(), samples, None)
        found.append(
            run_suite(
                asked.chat, project, suite, sampling, folder, samples=samples, concurrency=concurrency, target=text, title=text,
                trained_on=asked.trained_on, shown=asked.shown,
            )
        )  # fmt: skip
    card = scorecard(targets, found)
    for text, e in zip(targets, found, strict=True):
        if e.charter != project.loaded.digest:
            card["notes"].append(f"{text} was evaluated under charter {e.charter[:12]}, this one is {project.loaded.digest[:12]}")
        if not e.complete:
            card["notes"].append(f"the evaluation in {text} was interrupted; run the same `trueline eval` again, it resumes")
    if as_json:
        click.echo(json.dumps(card, ensure_ascii=False))
    else:
        _print(card)
    return 0


def _system(text: str) -> SystemFile | None:
    from trueline.cli.targets import read_system

    return read_system(Path(text)) if text.endswith((".yaml", ".yml")) else None


def _against(first: Evaluation, other: Evaluation, measure: str, origin: str) -> dict[str, Any] | None:
    """Paired difference of failure rates (positive: worse than the first) with one-sided 95 % bounds, over pairs scored on both sides."""
    from trueline.algos.stats.paired import paired_bounds

    mine = [r for r in first.rows if r.measure == measure and r.origin == origin and r.result != "unscored"]
    before = {(r.probe, r.sample): r for r in mine}
    pairs = [(r, before[r.probe, r.sample]) for r in other.rows if (r.probe, r.sample) in before and r.result != "unscored"]
    if not pairs:
        return None
    moved = [float(a.result == "fail") - float(b.result == "fail") for a, b in pairs]
    b = paired_bounds(moved, [a.cluster for a, _ in pairs])
    return {"difference": round(b.difference, 4), "lower": round(b.lower, 4), "upper": round(b.upper, 4), "pairs": b.n}


def scorecard(names: tuple[str, ...], evaluations: list[Evaluation]) -> dict[str, Any]:
    """By measure and target: failure rate with its interval, and the paired difference to the first where the two are comparable."""
    from trueline.cli.summary import summary
    from trueline.gate.validity import differing

    first, sums = evaluations[0], [summary(e) for e in evaluations]
    measures: dict[str, list[dict[str, Any] | None]] = {}
    for measure in dict.fromkeys(m for s in sums for m in s):
        row: list[dict[str, Any] | None] = []
        for e, s in zip(evaluations, sums, strict=True):
            known = s.get(measure)
            if known is not None and e is not first and not differing(first, e):
                plain = measure.removesuffix(" (written)")
                known = {**known, "against_first": _against(first, e, plain, "grown" if plain == measure else "written")}
            row.append(known)
        measures[measure] = row
    notes = [
        f"{name} differs from {names[0]} in {', '.join(why)}: the columns are not comparable"
        for name, e in zip(names[1:], evaluations[1:], strict=True)
        if (why := differing(first, e))
    ]
    return {"targets": list(names), "replies": [len(e.rows) for e in evaluations], "measures": measures, "notes": notes}


def _print(card: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title="failure rates, 95 % intervals; difference to the first with one-sided 95 % bounds", title_justify="left")
    table.add_column("measure")
    for name, n in zip(card["targets"], card["replies"], strict=True):
        table.add_column(f"{name[-40:]}\n{n} replies")
    for measure, row in card["measures"].items():
        table.add_row(measure, *(_cell(c) for c in row))
    Console(width=None if Console().is_terminal else 160).print(table)
    for note in card["notes"]:
        click.echo(f"note: {note}", err=True)


def _cell(row: dict[str, Any] | None) -> str:
    if row is None:
        return "·"
    if row["failed"] is None:
        return f"not enough, {row['unscored']} unscored"
    text = f"{100 * row['failed']:.1f} % ({100 * row['low']:.1f}-{100 * row['high']:.1f}) n {row['n']}"
    against = row.get("against_first")
    if against:
        text += f"\n{100 * against['difference']:+.1f} ({100 * against['lower']:+.1f} to {100 * against['upper']:+.1f})"
    return text + (f"\n{row['unscored']} unscored" if row["unscored"] else "")
