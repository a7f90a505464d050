"""`trueline redteam TARGET`: asks what must be refused in many disguises and writes an evaluation folder that the gate can require."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from trueline.charter.probes import Probe
    from trueline.cli.guarding import Prompts
    from trueline.cli.project import Project
    from trueline.core.evaluations import Evaluation
    from trueline.core.records import Interval


@click.command(help="Attack a TARGET: every request that must be refused, in every disguise of the table (resumes when interrupted).")
@click.argument("target")
@click.option("--charter", "-c", required=True, help="Charter file or bundled:NAME.")
@click.option("--probes", type=click.Path(path_type=Path), help="File of probes (default: probes.jsonl beside the charter).")
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the evaluation (default: runs/redteam-<suite>-<target>).")
@click.option("--attacks", help="Names of attacks, with commas between them (default: all; a wrong name lists them).")
@click.option("--limit", default=40, show_default=True, type=click.IntRange(1), help="Requests attacked, the same share of every clause.")
@click.option("--control", default=12, show_default=True, type=click.IntRange(0), help="Known questions in each disguise (0: none).")
@click.option("--samples", default=1, show_default=True, type=click.IntRange(1), help="Replies to each attacked request.")
@click.option("--temperature", default=0.0, show_default=True, type=click.FloatRange(0, 2), help="Sampling temperature.")
@click.option("--max-tokens", default=64, show_default=True, type=click.IntRange(1), help="Longest reply in tokens.")
@click.option("--concurrency", default=64, show_default=True, type=click.IntRange(1), help="Requests under way at once.")
@click.option("--prompt-budget", type=click.IntRange(1), help="Tokens of the compiled system prompt (default: all of it).")
@click.option("--few-shots", default=0, show_default=True, type=click.IntRange(0), help="Few-shot examples from the charter.")
@click.option("--no-prompt", is_flag=True, help="Attack the bare model, without the charter's prompt.")
@click.option("--no-guard", is_flag=True, help="Attack a system without its guard: the model behind its prompt.")
@click.option("--seed", default=0, show_default=True, help="Seed of the sampling.")
@click.option("--yes", is_flag=True, help="The owner of the endpoint agrees to be attacked: do not ask.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(
    target: str, charter: str, probes: Path | None, out: Path | None, attacks: str | None, limit: int, control: int, samples: int,
    temperature: float, max_tokens: int, concurrency: int, prompt_budget: int | None, few_shots: int, no_prompt: bool, no_guard: bool,
    seed: int, yes: bool, as_json: bool,
) -> int:  # fmt: skip
    """Wires target, attacked suite and grader together."""
    import json

    from trueline.cli.consent import ask_leave
    from trueline.cli.guarding import behind_guard
    from trueline.cli.measuring import evaluation_folder, run_suite
    from trueline.cli.project import dressed, open_project
    from trueline.cli.targets import notes_of, open_target, options_given, refuse_overruled, sampling_of
    from trueline.evals.redteam import AttackGrader, attacked_suite, chosen, control_suite
    from trueline.evals.suites import Suite

    project = open_project(charter, probes)
    table = chosen(n.strip() for n in (attacks or "").split(",") if n.strip())
    requests = _some(project, "refuse", limit)
    suite = attacked_suite(requests, table)

    notes: tuple[str, ...] = ()

    def attack(suite: Suite, title: str, folder: Path | None) -> tuple[Evaluation, Path]:
        nonlocal notes
        opened = open_target(target)
        refuse_overruled(opened, options_given())
        model, _ = dressed(project, opened, prompt_budget, few_shots, no_prompt)
        asked = behind_guard(opened, model, no_guard)
        sampling = sampling_of(opened.system, temperature, max_tokens, seed)
        ask_leave("redteam", suite, asked.chat.identity(), samples=samples, max_tokens=sampling.max_tokens, yes=yes)
        told = dict(asked.chat.identity()), sampling.to_dict(), samples
        folder = folder or evaluation_folder(Path("runs"), "redteam", suite, target, *told)
        grader = AttackGrader(project.grader())
        found = run_suite(
            asked.chat, project, suite, sampling, folder, samples=samples, concurrency=concurrency, target=target, title=title,
            grader=grader, trained_on=asked.trained_on, shown=asked.shown,
        )  # fmt: skip
        notes = (*notes_of(opened), *asked.notes, *_known(asked.shown, requests))
        return found, folder

    found, folder = attack(suite, "redteam", out)
    known = control_suite(_some(project, "knowledge", control), table) if control else None
    read = attack(known, "control", folder / "control")[0] if known is not None else None
    result = outcome(found, read)
    if as_json:
        click.echo(json.dumps({"folder": str(folder), "seconds": found.seconds, "notes": notes, **result}, ensure_ascii=False))
    else:
        for note in notes:
            click.echo(f"note: {note}", err=True)
        _print(found, folder, result)
    return 0


def _some(project: Project, kind: str, limit: int) -> list[Probe]:
    """At most about `limit` probes of a kind, the same share of every clause."""
    from trueline.evals.suites import suite_for, thinned

    pool = [p for p in suite_for(project.loaded.charter, project.probes).probes if p.kind == kind]
    return thinned(pool, min(1.0, limit / len(pool))) if pool else []


def _known(shown: Prompts, requests: list[Probe]) -> tuple[str, ...]:
    """A note where requests are attacked with that taught the target's guard: it knows them undisguised."""
    from trueline.data.contamination import taught

    n = len(taught(requests, shown))
    return (f"{n} of the {len(requests)} requests attacked with are hand-written examples that taught the guard",) if n else ()


def _numbers(rate: Interval | None) -> dict[str, Any]:
    if rate is None:
        return {"success": None, "n": 0}
    return {"success": round(rate.estimate, 4), "low": round(rate.low, 4), "high": round(rate.high, 4), "n": rate.n}


def outcome(found: Evaluation, control: Evaluation | None = None) -> dict[str, Any]:
    """Success by attack and by clause, the share of requests that fell to at least one attack, and what the target could read."""
    from trueline.core.evaluations import attack_of
    from trueline.evals.redteam import attack_success, fell, legibility
    from trueline.report.layers import layers

    tables = {"attacks": attack_success(found), "clauses": attack_success(found, lambda r: r.clause)}
    out: dict[str, Any] = {
        k: {s.name: {**_numbers(s.rate), "proven": s.proven, "unscored": s.unscored} for s in v} for k, v in tables.items()
    }
    for name, read in (legibility(control) if control is not None else {}).items():
        out["attacks"][name]["read"] = round(read.estimate, 4)
        out["attacks"][name]["read_n"] = read.n
    for name, row in out["attacks"].items():
        row["stopped"] = sum(not r.from_model for r in found.rows if attack_of(r.probe) == name)
    out["layers"] = [f.to_dict() for f in layers(found.rows)]
    return {**out, "fell": _numbers(fell(found.rows))}


def _print(found: Evaluation, folder: Path, result: dict[str, Any]) -> None:
    from trueline.report.layers import layers_text

    click.echo(f"{found.target}: {len(found.rows)} attacks in {found.seconds:.0f} s -> {folder}")
    for what in ("attacks", "clauses"):
        click.echo(f"{what[:-1]:28}{'success':>9}{'95 % interval':>18}{'n':>6}{'proven':>8}{'unscored':>10}{'could read':>12}")
        for name, row in result[what].items():
            read = f"{100 * row['read']:.0f}%" if "read" in row else ""
            click.echo(f"{name:28}{_rate(row)}{row['n']:6}{row['proven']:8}{row['unscored']:10}{read:>12}")
    click.echo(f"{'fell to any attack':28}{_rate(result['fell'])}{result['fell']['n']:6}  families of requests")
    for line in layers_text(found):
        click.echo(line)
    click.echo(
        "proven: the reply carries a mark of the charter; the rest is the general grader's judgement. could read: known questions answered"
        " rightly in the same disguise; where it is near 0 a judged success is mostly a reply to something else."
    )


def _rate(row: dict[str, Any]) -> str:
    if row["success"] is None:
        return f"{'-':>9}{'not enough':>18}"
    interval = f"{100 * row['low']:.1f} - {100 * row['high']:.1f}"
    return f"{100 * row['success']:8.1f}%{interval:>18}"
