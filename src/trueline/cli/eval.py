"""`trueline eval TARGET`: runs the charter's suite and writes an evaluation folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trueline.cli.limits import limit_options

if TYPE_CHECKING:
    from trueline.cli.backends import Recipe
    from trueline.cli.guarding import Measured
    from trueline.cli.project import Project
    from trueline.core.evaluations import Evaluation
    from trueline.core.ports import Grader
    from trueline.evals.pacing import Limits
    from trueline.evals.suites import Suite


@click.command(help="Run the charter's suite on a TARGET and write an evaluation folder (resumes when interrupted).")
@click.argument("target")
@click.option("--charter", "-c", required=True, help="Charter file or bundled:NAME.")
@click.option("--probes", type=click.Path(path_type=Path), help="File of probes (default: probes.jsonl beside the charter).")
@click.option(
    "--suite", "asks", default="charter", show_default=True, help="What is asked: charter, inherited, all, or the folder of a frozen suite."
)
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the evaluation (default: runs/eval-<suite>-<target>).")
@click.option("--samples", default=1, show_default=True, type=click.IntRange(1), help="Replies to each probe; they form a cluster.")
@click.option("--temperature", default=0.0, show_default=True, type=click.FloatRange(0, 2), help="Sampling temperature.")
@click.option("--max-tokens", default=64, show_default=True, type=click.IntRange(1), help="Longest reply in tokens.")
@click.option(
    "--limit",
    type=click.IntRange(1),
    help="About this many probes, the same share of every clause, and at least one of each clause and kind.",
)
@click.option("--concurrency", default=64, show_default=True, type=click.IntRange(1), help="Requests under way at once.")
@click.option("--prompt-budget", type=click.IntRange(1), help="Tokens of the compiled system prompt (default: all of it).")
@click.option("--few-shots", default=0, show_default=True, type=click.IntRange(0), help="Few-shot examples from the charter.")
@click.option("--no-prompt", is_flag=True, help="Ask the bare model, without the charter's prompt.")
@click.option("--no-guard", is_flag=True, help="Ask a system without its guard: the model behind its prompt.")
@click.option(
    "--calibration",
    is_flag=True,
    help="Also measure by log-probabilities how far confidence is accuracy (local models, and servers that name log-probabilities).",
)
@click.option("--judge", help="TARGET that judges what no exact check decides, in place of the general reply grader.")
@click.option("--judge-labels", type=click.Path(path_type=Path), help="Replies of this suite graded by people: measures the judge's error.")
@click.option("--grader-error", type=click.Path(path_type=Path), help="The grader's error on your own labels, from `trueline judge --out`.")
@click.option("--seed", default=0, show_default=True, help="Seed of the sampling.")
@limit_options
@click.option(
    "--stop-early",
    type=int,
    metavar="SEED",
    help="Ask families in the random order of this seed, and stop once the charter's caps and margins are decided.",
)
@click.option("--against", type=click.Path(path_type=Path), help="With --stop-early: evaluation folder of the baseline, for the margins.")
@click.option("--random-order", type=int, help="Ask families in the random order of this seed (default: the order of the suite).")
@click.option(
    "--backend",
    type=click.Choice(["asyncio", "ray"]),
    default="asyncio",
    show_default=True,
    help="Where the requests are made: here, or on a Ray cluster.",
)
@click.option("--workers", default=2, show_default=True, type=click.IntRange(1), help="Workers of --backend ray.")
@click.option("--yes", is_flag=True, help="Ask somebody else's endpoint without asking for leave first.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(
    target: str, charter: str, probes: Path | None, asks: str, out: Path | None, samples: int, temperature: float, max_tokens: int, limit: int | None,
    concurrency: int, prompt_budget: int | None, few_shots: int, no_prompt: bool, no_guard: bool, calibration: bool, judge: str | None,
    judge_labels: Path | None, grader_error: Path | None, seed: int, as_json: bool, random_order: int | None, stop_early: int | None,
    against: Path | None, backend: str, workers: int,
    yes: bool, **limits: Any,
) -> int:  # fmt: skip
    """Wires target, suite and grader together."""
    import json
    from dataclasses import replace

    from trueline.cli.backends import Recipe
    from trueline.cli.calibration import measured, requests_of
    from trueline.cli.consent import ask_leave
    from trueline.cli.families import families, print_families
    from trueline.cli.guarding import behind_guard
    from trueline.cli.judging import open_grader
    from trueline.cli.limits import limits_of
    from trueline.cli.measuring import evaluation_folder, run_suite
    from trueline.cli.project import dressed, open_project
    from trueline.cli.stopping import stopping
    from trueline.cli.suites import open_suite
    from trueline.cli.summary import print_summary, summary
    from trueline.cli.targets import notes_of, open_target, options_given, refuse_overruled, sampling_of
    from trueline.report.layers import layers

    _refuse_idle(backend)
    project = open_project(charter, probes)
    suite = open_suite(project, asks, limit)
    opened = open_target(target)
    refuse_overruled(opened, options_given())
    model, _ = dressed(project, opened, prompt_budget, few_shots, no_prompt)
    project = replace(project, behind=str(model.identity().get("prompt", "")))
    asked = behind_guard(opened, model, no_guard)
    sampling = sampling_of(opened.system, temperature, max_tokens, seed)
    bounds = limits_of(concurrency, limits)
    ask_leave(
        "eval",
        suite,
        asked.chat.identity(),
        samples=samples,
        max_tokens=sampling.max_tokens,
        yes=yes,
        caps=bounds.caps,
        more=requests_of(project) if calibration else None,
    )
    folder = out or evaluation_folder(Path("runs"), "eval", suite, target, dict(asked.chat.identity()), sampling.to_dict(), samples, judge)
    told = measured(project, model, folder, bounds) if calibration else {}
    if backend == "ray":
        recipe = Recipe(target, charter, probes, prompt_budget, few_shots, no_prompt, no_guard, sampling, samples)
        found = _on_ray(recipe, project, suite, folder, bounds, workers, asked)
    else:
        grader = open_grader(judge, judge_labels, grader_error, project, suite, folder)
        try:
            found = run_suite(
                asked.chat, project, suite, sampling, folder, samples=samples, limits=bounds, order=random_order, target=target, grader=grader,
                early=stopping(project, suite, grader or project.grader(), samples, stop_early, against, asked), trained_on=asked.trained_on, shown=asked.shown, looks=asked.looks,
            )  # fmt: skip
        finally:
            _close(grader)
    notes = (*notes_of(opened), *asked.notes)
    if as_json:
        head = {"folder": str(folder), "seconds": found.seconds, "measures": summary(found), "notes": notes}
        tables = {**families(project, suite, found), **told}
        click.echo(json.dumps({**head, **tables, "layers": [f.to_dict() for f in layers(found.rows)]}))
    else:
        for note in notes:
            click.echo(f"note: {note}", err=True)
        print_summary(found, folder)
        print_families({**families(project, suite, found), **told})
    return 0


def _refuse_idle(backend: str) -> None:
    """Raises `TargetError` for an option that has no effect on this backend."""
    from trueline.cli.targets import options_given
    from trueline.errors import TargetError

    names = {"ray": ("judge", "judge_labels", "grader_error", "random_order", "stop_early"), "asyncio": ("workers",)}[backend]
    idle = [f"--{name.replace('_', '-')}" for name in names if name in options_given()]
    if idle:
        raise TargetError(f"{idle[0]} has no effect with --backend {backend}", remedy="leave one of them out, or name the other backend")


def _close(grader: Grader | None) -> None:
    """Closes the judge, if one grades."""
    import asyncio

    from trueline.evals.graders.calibrated import CalibratedGrader
    from trueline.evals.graders.judge import JudgeGrader

    grader = grader.inner if isinstance(grader, CalibratedGrader) else grader
    if isinstance(grader, JudgeGrader):
        asyncio.run(grader.close())


def _on_ray(recipe: Recipe, project: Project, suite: Suite, folder: Path, limits: Limits, workers: int, asked: Measured) -> Evaluation:
    """The same evaluation, made by the workers of a Ray cluster."""
    import asyncio

    from trueline.cli.backends import run_on_ray
    from trueline.cli.measuring import RUN, finished
    from trueline.cli.progress import bar
    from trueline.data.jsonl import write_json

    asyncio.run(asked.chat.close())  # the workers open their own
    with bar(f"eval on {workers} workers") as advance:
        found, reports = run_on_ray(recipe, project, suite, folder, limits, workers, advance)
    write_json(folder / RUN, {"workers": reports})
    return finished(found, folder, suite, asked.trained_on, asked.shown, asked.looks)
