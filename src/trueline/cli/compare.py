"""`trueline compare TARGET...`: a scorecard of several targets on one suite. It describes; only `gate` decides."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from trueline.cli.targets import SystemFile
    from trueline.core.evaluations import Evaluation
    from trueline.evals.suites import Suite


@click.command(
    help="A scorecard across TARGETs (or folders of finished evaluations): failure rates by measure, each against the first; cost, latency, style of refusing; a sheet of alignment methods."
)
@click.argument("targets", nargs=-1)
@click.option("--charter", "-c", help="Charter file or bundled:NAME (needed, but for --new-sheet).")
@click.option("--probes", type=click.Path(path_type=Path), help="File of probes (default: probes.jsonl beside the charter).")
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs"), show_default=True, help="Folder for the evaluations.")
@click.option("--samples", default=1, show_default=True, type=click.IntRange(1), help="Replies to each probe.")
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
@click.option("--no-prompt", is_flag=True, help="Ask the bare models, without the charter's prompt.")
@click.option("--no-guard", is_flag=True, help="Ask systems without their guards: the models behind their prompts.")
@click.option(
    "--price", "prices", multiple=True, help="Price of a million tokens as IN/OUT, once for each TARGET in order; - where not known."
)
@click.option(
    "--sheets", multiple=True, type=click.Path(path_type=Path), help="A provider sheet that you filled in; give it once for each."
)
@click.option("--new-sheet", type=click.Path(path_type=Path), help="Write an empty provider sheet to this file, and nothing else.")
@click.option("--markdown", type=click.Path(path_type=Path), help="Also write the scorecard to this Markdown file.")
@click.option("--html", type=click.Path(path_type=Path), help="Also write the scorecard to this HTML file.")
@click.option("--seed", default=0, show_default=True, help="Seed of the sampling.")
@click.option("--yes", is_flag=True, help="Ask somebody else's endpoint without asking for leave first.")
@click.option("--json", "as_json", is_flag=True, help="Print the scorecard as JSON.")
def command(
    targets: tuple[str, ...], charter: str | None, probes: Path | None, out: Path, samples: int, temperature: float, max_tokens: int,
    limit: int | None, concurrency: int, prompt_budget: int | None, few_shots: int, no_prompt: bool, no_guard: bool,
    prices: tuple[str, ...], sheets: tuple[Path, ...], new_sheet: Path | None, markdown: Path | None, html: Path | None, seed: int,
    yes: bool, as_json: bool,
) -> int:  # fmt: skip
    """Evaluates what is not evaluated yet, then sets side by side."""
    import json

    from trueline.cli.compare_card import columns_of, prices_for, print_card, scorecard, sheet_entries
    from trueline.cli.guarding import behind_guard, has_guard
    from trueline.cli.measuring import evaluation_folder, run_suite
    from trueline.cli.project import dressed, open_project
    from trueline.cli.targets import open_target, options_given, refuse_overruled, sampling_of
    from trueline.data.evaluations import MANIFEST, read_evaluation
    from trueline.errors import TargetError
    from trueline.evals.suites import suite_for
    from trueline.report.provider_sheet import read_sheet
    from trueline.report.scorecard_page import markdown as as_markdown
    from trueline.report.scorecard_page import page

    if new_sheet is not None:
        return _new_sheet(new_sheet, targets, as_json)
    if len(targets) < 2:
        raise TargetError("one TARGET is nothing to compare", remedy="give two or more")
    if charter is None:
        raise TargetError("no charter to compare by", remedy="give it with --charter")
    costs = prices_for(prices, targets)
    for sheet in sheets:
        read_sheet(sheet)  # a sheet that cannot be read is said before anything is asked
    given = options_given()
    project = open_project(charter, probes)
    suite = suite_for(project.loaded.charter, project.probes, limit=limit)
    found: list[Evaluation] = []
    if no_guard and not any(has_guard(_system(text)) for text in targets):
        raise TargetError("--no-guard has no effect: no TARGET here is a system with a guard", remedy="leave it out")
    _ask_leave(targets, suite, samples, max_tokens, yes)
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
                trained_on=asked.trained_on, shown=asked.shown, looks=asked.looks,
            )
        )  # fmt: skip
    card = scorecard(targets, found)
    for text, e in zip(targets, found, strict=True):
        if e.charter != project.loaded.digest:
            card["notes"].append(f"{text} was evaluated under charter {e.charter[:12]}, this one is {project.loaded.digest[:12]}")
        if not e.complete:
            card["notes"].append(f"the evaluation in {text} was interrupted; run the same `trueline eval` again, it resumes")
    columns, entries = columns_of(targets, found, costs), sheet_entries(sheets, targets, found)
    for path, written in ((markdown, as_markdown), (html, page)):
        if path is not None:
            path.write_text(written(f"{project.loaded.charter.name}: scorecard", card, columns, entries), encoding="utf-8")
    if as_json:
        told = {"columns": [c.to_dict() for c in columns], "sheets": [[e.to_dict() for e in s] for s in entries]}
        click.echo(json.dumps({**card, **told}, ensure_ascii=False))
    else:
        print_card(card, columns, entries, bool(sheets))
    return 0


def _ask_leave(targets: tuple[str, ...], suite: Suite, samples: int, max_tokens: int, yes: bool) -> None:
    """For every TARGET that somebody else serves, before any is asked. Raises `TargetError` where leave is not given."""
    from trueline.cli.consent import ask_leave
    from trueline.cli.serving import model_of
    from trueline.cli.targets import open_target, sampling_of
    from trueline.data.evaluations import MANIFEST

    for text in targets:
        if not (Path(text) / MANIFEST).exists() and model_of(text)[0].startswith(("openai:", "anthropic:")):
            opened = open_target(text)
            longest = sampling_of(opened.system, 0.0, max_tokens, 0).max_tokens
            ask_leave("compare", suite, opened.chat.identity(), samples=samples, max_tokens=longest, yes=yes)


def _new_sheet(path: Path, targets: tuple[str, ...], as_json: bool) -> int:
    """Writes the empty template; never overwrites a file."""
    import json
    import shutil

    from trueline.errors import DataError

    if targets:
        raise DataError("--new-sheet compares nothing, got a TARGET", remedy="give the file alone")
    if path.exists():
        raise DataError("this file is there already", remedy="choose another name", file=path)
    shutil.copyfile(Path(__file__).parent.parent / "shipped" / "templates" / "provider-sheet.yaml", path)
    click.echo(json.dumps({"written": str(path)}) if as_json else f"wrote {path}: fill in what you can support with a link")
    return 0


def _system(text: str) -> SystemFile | None:
    from trueline.cli.targets import read_system

    return read_system(Path(text)) if text.endswith((".yaml", ".yml")) else None
