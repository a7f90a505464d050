"""`trueline tune-prompt TARGET`: search wording, order and few-shots of the compiled prompt; report on held-out probes which level is enough.

In order: read everything, ask a writer for wordings (`--with`), search on the teach side, write the diff and a system.yaml, measure prompt
only, + few-shots, tuned prompt and (`--fine-tuned`) another model on the same held-out probes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from trueline.cli.project import Project
    from trueline.cli.targets import Target
    from trueline.cli.tune_ladder import Contestant
    from trueline.cli.tune_search import Outcome, Plan
    from trueline.evals.prompts.halving import Tried
    from trueline.evals.prompts.writing import Proposed
    from trueline.evals.suites import Suite


WRITTEN = 600  # tokens of a writer's answer, at most


@click.command(
    help="Search wording and few-shot examples of the compiled prompt under a token budget, on the teach side; report prompt only, + few-shots, tuned and fine-tuned on held-out probes. Resumes."
)
@click.argument("target")
@click.option("--charter", "-c", required=True, help="Charter file or bundled:NAME.")
@click.option("--probes", type=click.Path(path_type=Path), help="File of probes (default: probes.jsonl beside the charter).")
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the search (default: runs/tune-<suite>-<target>).")
@click.option(
    "--prompt-budget", type=click.IntRange(1), help="Tokens of prompt and few-shots (default: the size of the whole compilation)."
)
@click.option(
    "--few-shots", default=8, show_default=True, type=click.IntRange(0, 16), help="Most few-shots of the plain prompt that are tried."
)
@click.option(
    "--requests", default=3000, show_default=True, type=click.IntRange(1), help="Most requests of the search, held-out probes not counted."
)
@click.option("--dev", default=120, show_default=True, type=click.IntRange(4), help="Probes of the teach side that the search asks.")
@click.option("--width", default=8, show_default=True, type=click.IntRange(2, 64), help="New candidates a round.")
@click.option("--limit", type=click.IntRange(1), help="At most this many held-out probes, the same share of every clause.")
@click.option("--with", "writer", help="A TARGET that proposes wordings; what loses a fact, number or name is rejected and counted.")
@click.option("--fine-tuned", help="A TARGET that was fine-tuned: the third level of the report.")
@click.option("--price", help="Price of a million tokens as IN/OUT (as 0.5/1.5), to print what 1,000 requests cost.")
@click.option("--temperature", default=0.0, show_default=True, type=click.FloatRange(0, 2), help="Sampling temperature.")
@click.option("--max-tokens", default=64, show_default=True, type=click.IntRange(1), help="Longest reply in tokens.")
@click.option("--concurrency", default=64, show_default=True, type=click.IntRange(1), help="Requests under way at once.")
@click.option("--seed", default=0, show_default=True, help="Seed of search and sampling.")
@click.option("--yes", is_flag=True, help="Ask somebody else's endpoint without asking for leave first.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def command(
    target: str, charter: str, probes: Path | None, out: Path | None, prompt_budget: int | None, few_shots: int, requests: int, dev: int,
    width: int, limit: int | None, writer: str | None, fine_tuned: str | None, price: str | None, temperature: float, max_tokens: int,
    concurrency: int, seed: int, yes: bool, as_json: bool,
) -> int:  # fmt: skip
    """Wires the search and the ladder together."""
    import json

    from trueline.cli.measuring import evaluation_folder
    from trueline.cli.prices import price_from
    from trueline.cli.project import open_project
    from trueline.cli.targets import open_target, options_given, refuse_overruled, sampling_of
    from trueline.cli.tune_ladder import LOOKS, climb, looks_so_far, print_ladder, report_of
    from trueline.cli.tune_search import Plan, run_search
    from trueline.data.jsonl import write_json
    from trueline.evals.suites import suite_for

    prices = price_from(price) if price else None
    project = open_project(charter, probes)
    suite = suite_for(project.loaded.charter, project.probes, limit=limit)
    opened = open_target(target)
    refuse_overruled(opened, options_given() - {"few_shots", "prompt_budget"})
    model = _model_of(target, opened)
    if fine_tuned:
        open_target(fine_tuned)  # what cannot be opened is said before anything is asked
    sampling = sampling_of(opened.system, temperature, max_tokens, seed)
    plan = Plan(sampling, budget_of(project, opened, prompt_budget), requests, dev, width, few_shots, seed, concurrency)
    folder = out or evaluation_folder(
        Path("runs"), "tune", suite, target, dict(opened.chat.identity()), sampling.to_dict(), plan.budget, seed
    )
    _ask_leave(opened, project, suite, plan, writer, fine_tuned, yes)
    folder.mkdir(parents=True, exist_ok=True)
    say = _quiet if as_json else (lambda line: click.echo(line, err=True))
    for note in opened.notes:
        say(f"note: {note}")
    proposed = _proposed(writer, project, folder, seed) if writer else None
    found = run_search(project, opened, plan, folder, say, proposed.words if proposed else None)
    levels, notes = contestants(found, model, project, plan, fine_tuned)
    looks = looks_so_far(folder / LOOKS, suite, levels)
    files = write_files(folder, found, model, opened, project, plan, probes, charter, looks)
    climbed = climb(levels, project, suite, plan.sampling, folder, searched=found.written, concurrency=plan.concurrency)
    told = {**report_of(climbed, looks, prices), "suite": suite.digest, "notes": notes}
    told = {"folder": str(folder), "budget": plan.budget, "requests": found.asked, "search": _search_told(found), **files, **told}
    if proposed:
        told["writer"] = {"target": writer, "wordings": sum(map(len, proposed.words.values())), "rejected": dict(proposed.rejected)}
    write_json(folder / "ladder.json", told)
    if as_json:
        click.echo(json.dumps(told, ensure_ascii=False))
        return 0
    _print_search(told, found)
    print_ladder(climbed, told)
    click.echo(f"diff: {folder / 'prompt.yaml'}   system: {folder / 'system.yaml'}")
    return 0


def _ask_leave(
    opened: Target, project: Project, suite: Suite, plan: Plan, writer: str | None, fine_tuned: str | None, yes: bool
) -> None:  # fmt: skip
    """Of everybody who will be asked, before anybody is: the target by the search and at most three levels, the writer once for each clause, the
    fine-tuned model once. Raises `TargetError` where leave is not given."""
    from itertools import cycle, islice

    from trueline.charter.compile.prompt import sentences
    from trueline.cli.consent import ask_leave
    from trueline.cli.serving import model_of
    from trueline.cli.targets import open_target
    from trueline.cli.tune_search import teaching_side
    from trueline.evals.suites import Suite

    searched = (*islice(cycle(teaching_side(project)), plan.requests), *suite.probes * 3)
    wordings = tuple(islice(cycle(suite.probes), len(sentences(project.loaded.charter))))
    longest = plan.sampling.max_tokens
    behind = {"prompt": project.prompt(opened, plan.budget, 0)[0].text}
    ask_leave("tune-prompt", Suite(searched, ""), {**opened.chat.identity(), **behind}, samples=1, max_tokens=longest, yes=yes)
    for text, asked, most in ((writer, Suite(wordings, ""), WRITTEN), (fine_tuned, suite, longest)):
        if text and model_of(text)[0].startswith(("openai:", "anthropic:")):  # a local one is not opened twice
            ask_leave("tune-prompt", asked, open_target(text).chat.identity(), samples=1, max_tokens=most, yes=yes)


def _quiet(_: str) -> None:
    """Says nothing: the report is JSON."""


def _model_of(target: str, opened: Target) -> str:
    """The TARGET of the model itself: a system's model, without its guard and prompt."""
    from trueline.cli.serving import model_of

    return model_of(target)[0] if opened.system is not None else target


def budget_of(project: Project, target: Target, wanted: int | None) -> int:
    """The tokens that prompt and few-shots may take: those wanted, else the whole compilation, and of a local model at most half its context."""
    from trueline.charter.compile.prompt import compile_prompt
    from trueline.cli.tune_search import counter, whole_size

    whole = whole_size(project, target)
    context = getattr(getattr(target.chat, "local", None), "context", None)
    budget = wanted if wanted is not None else min(whole, context // 2) if isinstance(context, int) else whole
    compile_prompt(project.loaded.charter, budget=budget, count=counter(target))  # refuses what cannot hold the first line
    return budget


def _proposed(writer: str, project: Project, folder: Path, seed: int) -> Proposed:
    """The writer's wordings, asked once and kept."""
    import asyncio

    from trueline.cli.progress import bar
    from trueline.cli.targets import open_target
    from trueline.evals.prompts.writing import propose
    from trueline.models.cached import CachedChat
    from trueline.models.patient import PatientChat

    with bar("wordings") as advance:
        chat = CachedChat(PatientChat(open_target(writer).chat), folder / "writer.sqlite")
        return asyncio.run(propose(chat, project.loaded.charter, seed, advance))


def write_files(
    folder: Path,
    found: Outcome,
    model: str,
    opened: Target,
    project: Project,
    plan: Plan,
    probes: Path | None,
    charter: str,
    looks: int,
) -> dict[str, Any]:
    """`prompt.yaml` (the diff), `few-shots.yaml` (the plain prompt with few-shots) and `system.yaml`."""
    import json
    import os.path

    from trueline.charter.compile.tuned_file import write_tuned
    from trueline.cli.tune_search import file_of

    beside = os.path.relpath(probes.resolve(), folder.resolve()) if probes else None
    best = file_of(found, found.best, opened, project, plan, beside, looks)
    write_tuned(folder / "prompt.yaml", best)
    if found.few_shot is not None:
        write_tuned(folder / "few-shots.yaml", file_of(found, found.few_shot, opened, project, plan, beside, looks))
    named = charter if charter.startswith("bundled:") else str(project.loaded.path.resolve())
    place = model if model.startswith(("openai:", "anthropic:", "bundled:", "hf:")) else str(Path(model).resolve())
    s = plan.sampling
    lines = [
        "system: 1", f"model: {json.dumps(place, ensure_ascii=False)}", f"charter: {json.dumps(named, ensure_ascii=False)}",
        "prompt: tuned:prompt.yaml", f"temperature: {s.temperature}", f"max_tokens: {s.max_tokens}", "guard: true",
    ]  # fmt: skip
    (folder / "system.yaml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return {"operations": best.diff.to_list(), "prompt": found.best.prompt.text, "tokens": found.best.prompt.tokens}


def contestants(
    found: Outcome, model: str, project: Project, plan: Plan, fine_tuned: str | None
) -> tuple[list[Contestant], list[str]]:  # fmt: skip
    """The levels of the ladder, and what a person should know of those that are missing. A prompt that is one of the levels before it is no level
    of its own."""
    from trueline.cli import tune_ladder as ladder

    tried = [(ladder.PLAIN, found.plain), (ladder.SHOTS, found.few_shot), (ladder.TUNED, found.best)]
    seen: dict[str, str] = {}
    levels, same = [], None
    for name, t in tried:
        if t is None:
            continue
        if t.prompt.digest in seen:
            same = f"the search found nothing better than the level {seen[t.prompt.digest]!r}"
            continue
        seen[t.prompt.digest] = name
        levels.append(ladder.behind(name, model, t.prompt.text, t.prompt.shots, t.prompt.tokens))
    if fine_tuned:
        levels.append(ladder.fine_tuned(fine_tuned, project, plan.budget))
    missing = None if found.few_shot else "no few-shots: the teach side has no demonstration that fits the budget"
    return levels, [n for n in (same, missing) if n]


def _search_told(found: Outcome) -> dict[str, Any]:
    def one(t: Tried | None) -> dict[str, Any] | None:
        if t is None:
            return None
        failed = {m: round(r, 4) for m, r in t.score.rates.items()}
        return {"margin": round(t.score.margin, 4), "worst": t.score.worst, "failed": failed, "tokens": t.prompt.tokens}

    told = {"plain": one(found.plain), "few_shots": one(found.few_shot), "best": one(found.best), "probes": len(found.dev)}
    return {**told, "written": len(found.written), "rounds": list(found.rounds), "against_plain": found.against_plain}


def _print_search(told: dict[str, Any], found: Outcome) -> None:
    s = found.best.score
    click.echo(
        f"searched with {found.asked} requests on {len(found.dev)} probes of the teach side: worst margin {100 * found.plain.score.margin:+.1f} to"
        f" {100 * s.margin:+.1f} points ({s.worst}), {found.plain.prompt.tokens} to {found.best.prompt.tokens} tokens"
    )
    if "writer" in told:
        rejected = ", ".join(f"{n} {why}" for why, n in told["writer"]["rejected"].items()) or "none"
        click.echo(f"writer: {told['writer']['wordings']} wordings passed the checks; rejected: {rejected}")
    for op in told["operations"]:
        click.echo("  " + " ".join(f"{k}={v}" for k, v in op.items()))
    for note in told["notes"]:
        click.echo(f"note: {note}")
