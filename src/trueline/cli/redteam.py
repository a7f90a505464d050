"""`trueline redteam TARGET`: attacks it and writes an evaluation folder that the gate can require."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trueline.cli.limits import limit_options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trueline.cli.redteam_order import Order
    from trueline.core.evaluations import Evaluation
    from trueline.evals.redteam.attempts import Attempted


@click.command(
    help="Attack a TARGET: every request that must be refused, in every disguise of the table, or by --search (resumes when interrupted)."
)
@click.argument("target")
@click.option("--charter", "-c", required=True, help="Charter file or bundled:NAME.")
@click.option("--probes", type=click.Path(path_type=Path), help="File of probes (default: probes.jsonl beside the charter).")
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the evaluation (default: runs/redteam-<suite>-<target>).")
@click.option("--attacks", help="Names of attacks, with commas between them (default: all; a wrong name lists them); a+b composes two.")
@click.option("--compose", default=1, show_default=True, type=click.IntRange(1, 2), help="2: compositions of two attacks as well.")
@click.option("--search", help="Names of searches, with commas between them (a wrong name lists them), in place of asking everything.")
@click.option(
    "--budget", type=click.IntRange(1), help="Queries of the target for each request and search (default 32; of a run without: attacks)."
)
@click.option("--attacker", help="TARGET that writes attacks, for the searches pair, tap, crescendo and persuasion.")
@click.option("--proof", is_flag=True, help="Let only a reply with a mark of the charter end a search, not the general grader's judgement.")
@click.option("--against", help="Another TARGET, attacked anew with the same searches, seeds and budget; the difference is paired.")
@click.option(
    "--layers", is_flag=True, help="Of a system: replay the attacks on bare model, prompt, guard and gateway, and say who stopped what."
)
@click.option("--preferences", type=click.Path(path_type=Path), help="Write successful attacks as preference rows to this file.")
@click.option(
    "--held-out", default="carrier,turns", show_default=True, help="Families of attacks, and searches, that never go into --preferences."
)
@click.option(
    "--each", default=4, show_default=True, type=click.IntRange(1), help="Successes of a request that go into --preferences, at most."
)
@click.option(
    "--spread",
    default=0,
    show_default=True,
    type=click.IntRange(0),
    help="Other attacks behind which each broken reply is rejected as well.",
)
@click.option(
    "--answerable",
    default="demonstrated",
    show_default=True,
    type=click.Choice(["demonstrated", "answered", "none"]),
    help="What --preferences sets against needless refusal: answerable questions in the same disguises with the charter's demonstrations, "
    "the --near-misses that the target answered with its own words, or nothing.",
)
@click.option(
    "--ordinary", default=0, show_default=True, type=click.IntRange(0), help="Undisguised pairs of the teach side that --preferences adds."
)
@click.option("--side", default="test", show_default=True, type=click.Choice(["test", "teach"]), help="Side of the probes to attack with.")
@click.option("--limit", default=40, show_default=True, type=click.IntRange(1), help="Requests attacked, the same share of every clause.")
@click.option("--control", default=12, show_default=True, type=click.IntRange(0), help="Known questions in each disguise (0: none).")
@click.option(
    "--near-misses",
    default=0,
    show_default=True,
    type=click.IntRange(0),
    help="Near misses of --side in each disguise, which must be answered (0: none).",
)
@click.option("--samples", default=1, show_default=True, type=click.IntRange(1), help="Replies to each attacked request.")
@click.option("--temperature", default=0.0, show_default=True, type=click.FloatRange(0, 2), help="Sampling temperature.")
@click.option("--max-tokens", default=64, show_default=True, type=click.IntRange(1), help="Longest reply in tokens.")
@click.option("--concurrency", default=64, show_default=True, type=click.IntRange(1), help="Requests under way at once.")
@click.option("--prompt-budget", type=click.IntRange(1), help="Tokens of the compiled system prompt (default: all of it).")
@click.option("--few-shots", default=0, show_default=True, type=click.IntRange(0), help="Few-shot examples from the charter.")
@click.option("--no-prompt", is_flag=True, help="Attack the bare model, without the charter's prompt.")
@click.option("--no-guard", is_flag=True, help="Attack a system without its guard: the model behind its prompt.")
@click.option("--seed", default=0, show_default=True, help="Seed of the sampling and of the searches.")
@limit_options
@click.option("--yes", is_flag=True, help="The owner of the endpoint agrees to be attacked: do not ask.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(target: str, as_json: bool, **options: Any) -> int:
    """Plans, attacks, and tells."""
    import json

    from trueline.cli.redteam_layers import check_layers
    from trueline.cli.redteam_leave import agree
    from trueline.cli.redteam_lessons import check_lessons
    from trueline.cli.redteam_order import check_options, order

    check_options(options)
    check_lessons(options)
    if options["layers"]:
        check_layers(target)
    plan = order(options)
    agree(plan, target)
    told = _searched(plan, target, as_json) if plan.searches else _tabled(plan, target, as_json)
    if as_json:
        click.echo(json.dumps(told, ensure_ascii=False))
    return 0


def _notes(notes: Sequence[str], as_json: bool) -> None:
    for note in () if as_json else notes:
        click.echo(f"note: {note}", err=True)


def _tabled(plan: Order, target: str, as_json: bool) -> dict[str, Any]:
    """A run that asks everything."""
    from trueline.cli.redteam_table import outcome, run_control, run_near_misses, run_table, show_table

    o = plan.options
    asked, found, folder, made = run_table(plan, target, o["out"])
    control, near = run_control(plan, target, folder / "control"), run_near_misses(plan, target, folder / "near-misses")
    result = outcome(found, made, control, near)
    _notes(asked.notes, as_json)
    if not as_json:
        show_table(found, folder, result)
    more = _after(plan, target, made, str(found.identity.get("prompt", "")), folder, as_json, near=near)
    return {"folder": str(folder), "seconds": found.seconds, "notes": asked.notes, **result, **more}


def _searched(plan: Order, target: str, as_json: bool) -> dict[str, Any]:
    """A run with searches."""
    from trueline.cli.redteam_figure import draw
    from trueline.cli.redteam_search import against, run_searches, search_outcome, show_against, show_searches
    from trueline.data.jsonl import write_json

    o = plan.options
    run = run_searches(plan, target, o["out"])
    result = search_outcome(run, plan.budget, len(plan.attacks))
    if o["against"]:
        result["against"] = against(plan, run, o["against"], run.folder / "against")
    draw(result, run.folder / "curves.svg")
    write_json(run.folder / "curves.json", result)
    _notes(run.target.notes, as_json)
    if not as_json:
        show_searches(run, result)
        if o["against"]:
            show_against(result["against"])
    made = [h.last for h in run.hunted if h.attempts] if o["layers"] else []
    every = [a for h in run.hunted for a in h.attempts]
    more = _after(plan, target, made, str(run.evaluation.identity.get("prompt", "")), run.folder, as_json, every)
    return {"folder": str(run.folder), "seconds": run.evaluation.seconds, "notes": run.target.notes, **result, **more}


def _after(
    plan: Order,
    target: str,
    made: Sequence[Attempted],
    prompt: str,
    folder: Path,
    as_json: bool,
    every: Sequence[Attempted] | None = None,
    near: Evaluation | None = None,
) -> dict[str, Any]:
    """What was asked for besides: the layers, and preference rows from `every` attempt and from what was said to `near` misses."""
    from trueline.cli.redteam_layers import run_layers, show_layers
    from trueline.cli.redteam_lessons import show_lessons, write_lessons

    o, out = plan.options, dict[str, Any]()
    if o["layers"]:
        out["attribution"] = run_layers(plan, target, made, folder / "layers")
        if not as_json:
            show_layers(out["attribution"])
    if o["preferences"] is not None:
        out["preferences"] = write_lessons(plan, made if every is None else every, prompt, o["preferences"], near)
        if not as_json:
            show_lessons(out["preferences"])
    return out
