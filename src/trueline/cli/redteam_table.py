"""A red-team run without a search: every request in every disguise, and success by attack and by clause."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from trueline.cli.redteam_order import Opened, Order, control_of, near_misses_of, opened
from trueline.core.evaluations import Evaluation
from trueline.core.records import Interval
from trueline.evals.redteam.attempts import Attempted


def run_table(plan: Order, text: str, out: Path | None) -> tuple[Opened, Evaluation, Path, list[Attempted]]:
    """Asks everything and writes the evaluation folder, `attempts.jsonl` in it."""
    from trueline.data.jsonl import write_jsonl
    from trueline.evals.redteam import ATTEMPTS, attacked_suite, attempts_of, origins

    suite = attacked_suite(plan.requests, plan.attacks, plan.options["side"])
    found, folder, target = _asked(plan, text, suite, "redteam", out)
    made = list(attempts_of(found, origins(plan.requests, plan.attacks)))
    write_jsonl(folder / ATTEMPTS, (a.to_dict() for a in made))
    return target, found, folder, made


def run_control(plan: Order, text: str, folder: Path) -> Evaluation | None:
    """Known questions in the same disguises: what the target can read. None where none are asked."""
    suite = control_of(plan)
    return _asked(plan, text, suite, "control", folder)[0] if suite is not None else None


def run_near_misses(plan: Order, text: str, folder: Path) -> Evaluation | None:
    """Near misses in the same disguises: what the target refuses that it must answer. None where none are asked."""
    suite = near_misses_of(plan)
    return _asked(plan, text, suite, "near misses", folder)[0] if suite is not None else None


def _asked(plan: Order, text: str, suite: Any, title: str, folder: Path | None) -> tuple[Evaluation, Path, Opened]:
    from trueline.cli.measuring import RUN, evaluation_folder, run_suite
    from trueline.evals.redteam import AttackGrader

    o, target = plan.options, opened(plan, text)
    told = dict(target.asked.chat.identity()), target.sampling.to_dict(), o["samples"]
    folder = folder or evaluation_folder(Path("runs"), "redteam", suite, text, *told)
    taught = [p.messages for p in suite.probes] if o["side"] == "teach" and title == "redteam" else ()
    found = run_suite(
        target.asked.chat, plan.project, suite, target.sampling, folder, samples=o["samples"], limits=plan.left, target=text,
        title=title, grader=AttackGrader(plan.project.grader()), trained_on=(*target.asked.trained_on, *taught), shown=target.asked.shown,
    )  # fmt: skip
    cost = json.loads((folder / RUN).read_text())
    plan.spent.add(cost["requests"], cost["tokens_read"], cost["tokens_written"])
    return found, folder, target


def numbers(rate: Interval | None) -> dict[str, Any]:
    """A success rate as JSON."""
    if rate is None:
        return {"success": None, "n": 0}
    return {"success": round(rate.estimate, 4), "low": round(rate.low, 4), "high": round(rate.high, 4), "n": rate.n}


def outcome(found: Evaluation, made: list[Attempted], control: Evaluation | None = None, near: Evaluation | None = None) -> dict[str, Any]:
    """Success by attack, by family of attacks and by clause, the share of requests that fell to at least one attack, what the target
    could read, and how many near misses it did not answer."""
    from trueline.core.evaluations import attack_of
    from trueline.evals.redteam import attack_success, fell, legibility
    from trueline.report.layers import layers

    family = {a.how: "+".join(a.families) for a in made}
    groups = {
        "attacks": attack_success(found),
        "families": attack_success(found, lambda r: family[attack_of(r.probe)]),
        "clauses": attack_success(found, lambda r: r.clause),
    }
    out: dict[str, Any] = {
        k: {s.name: {**numbers(s.rate), "proven": s.proven, "unscored": s.unscored} for s in v} for k, v in groups.items()
    }
    for name, read in (legibility(control) if control is not None else {}).items():
        out["attacks"][name]["read"] = round(read.estimate, 4)
        out["attacks"][name]["read_n"] = read.n
    for name, row in out["attacks"].items():
        row["stopped"] = sum(not r.from_model for r in found.rows if attack_of(r.probe) == name)
    if near is not None:
        _add_over_refusal(out, near, family)
    out["layers"] = [f.to_dict() for f in layers(found.rows)]
    return {**out, "queries": _in_random_order(found, made), "fell": numbers(fell(found.rows))}


def _add_over_refusal(out: dict[str, Any], near: Evaluation, family: Mapping[str, str]) -> None:
    """How often near misses were not answered: in all, by attack and by family of attacks."""
    from trueline.core.evaluations import attack_of
    from trueline.evals.redteam import attack_success

    # a near miss fails where it is not answered, so the rate of failures is the over-refusal
    groups = {"attacks": attack_success(near), "families": attack_success(near, lambda r: family[attack_of(r.probe)])}
    for what, rows in groups.items():
        for s in rows:
            out[what][s.name]["over_refusal"] = {**numbers(s.rate), "unscored": s.unscored}
    (whole,) = attack_success(near, lambda _: "all")
    out["over_refusal"] = {**numbers(whole.rate), "unscored": whole.unscored}


def _in_random_order(found: Evaluation, made: list[Attempted]) -> dict[str, Any]:
    """Share broken within so many attacks of this run drawn at random, families as clusters: what a search at the same budget is held against.
    `made`: the rows of `found`."""
    from trueline.evals.redteam.curves import grid, random_order

    successes: dict[str, list[bool]] = {}
    for a in made:
        successes.setdefault(a.request, []).append(a.result == "fail")
    families = {a.request: r.cluster for a, r in zip(made, found.rows, strict=True)}
    most = max(len(s) for s in successes.values())
    return {str(q): numbers(random_order(successes, [families[r] for r in successes], q)) for q in grid(most)}


def show_table(found: Evaluation, folder: Path, result: dict[str, Any]) -> None:
    """The tables of a run for a terminal."""
    from trueline.report.layers import layers_text

    click.echo(f"{found.target}: {len(found.rows)} attacks in {found.seconds:.0f} s -> {folder}")
    for what, one in (("attacks", "attack"), ("families", "family"), ("clauses", "clause")):
        more = f"{'over-refusal':>14}{'95 % interval':>18}" if "over_refusal" in result and what != "clauses" else ""
        click.echo(f"{one:28}{'success':>9}{'95 % interval':>18}{'n':>6}{'proven':>8}{'unscored':>10}{'could read':>12}{more}")
        for name, row in result[what].items():
            read = f"{100 * row['read']:.0f}%" if "read" in row else ""
            over = f"{'':5}{rate(row['over_refusal'])}" if "over_refusal" in row else ""
            click.echo(f"{name:28}{rate(row)}{row['n']:6}{row['proven']:8}{row['unscored']:10}{read:>12}{over}")
    click.echo(f"{'fell to any attack':28}{rate(result['fell'])}{result['fell']['n']:6}  families of requests")
    if "over_refusal" in result:
        click.echo(f"{'near misses not answered':28}{rate(result['over_refusal'])}{result['over_refusal']['n']:6}  in all disguises")
    for line in layers_text(found):
        click.echo(line)
    click.echo(
        "proven: the reply carries a mark of the charter; the rest is the general grader's judgement. could read: known questions answered"
        " rightly in the same disguise; where it is near 0 a judged success is mostly a reply to something else."
    )


def rate(row: dict[str, Any]) -> str:
    """A rate and its interval, for a column."""
    if row["success"] is None:
        return f"{'-':>9}{'not enough':>18}"
    interval = f"{100 * row['low']:.1f} - {100 * row['high']:.1f}"
    return f"{100 * row['success']:8.1f}%{interval:>18}"
