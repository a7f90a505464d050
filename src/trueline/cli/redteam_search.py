"""A red-team run with searches: each on every request under one budget of queries; curves, and the same on a baseline."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trueline.cli.redteam_order import Opened, Order, opened
from trueline.cli.redteam_table import numbers, rate
from trueline.core.evaluations import Evaluation
from trueline.evals.redteam.hunt import Hunted, Means

if TYPE_CHECKING:
    from trueline.core.chat import ChatModel
    from trueline.core.ports import GradientSearch
    from trueline.evals.redteam.curves import Curve, Point


@dataclass(frozen=True, slots=True)
class HuntRun:
    """A finished hunt: what was attacked, what came of it, where it is written."""

    target: Opened
    hunted: tuple[Hunted, ...]
    evaluation: Evaluation
    folder: Path


def run_searches(plan: Order, text: str, out: Path | None, title: str = "redteam") -> HuntRun:
    """Hunts and writes the evaluation folder with `attempts.jsonl`; the same command resumes. Raises `SuiteError` where a search lacks what
    it needs."""
    from trueline.cli.measuring import evaluation_folder
    from trueline.evals.redteam.hunted_evaluation import hunted_suite

    target = opened(plan, text)
    o = plan.options
    told = dict(target.asked.chat.identity()), target.sampling.to_dict(), plan.searches, plan.budget, o["seed"], o["attacker"], o["compose"]
    folder = out or evaluation_folder(Path("runs"), "redteam", hunted_suite(plan.requests, plan.searches), text, *told)
    folder.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    hunted, means, oldest = asyncio.run(_hunt(plan, target, folder, title))
    return HuntRun(target, hunted, _written(plan, target, hunted, means, folder, time.monotonic() - began, oldest), folder)


async def _hunt(plan: Order, target: Opened, folder: Path, title: str) -> tuple[tuple[Hunted, ...], Means, str]:
    """What was found, by what means, and when the oldest of the target's replies was made ("": not known)."""
    from trueline.charter.digests import digest_of
    from trueline.cli.measuring import RUN
    from trueline.cli.progress import bar
    from trueline.data.evaluations import MANIFEST
    from trueline.data.jsonl import write_json
    from trueline.evals.pacing import Pacer
    from trueline.evals.redteam import ATTEMPTS, AttackGrader, hunt, searches_named
    from trueline.evals.redteam.journal import Journal
    from trueline.models.cached import CachedChat
    from trueline.models.patient import PatientChat

    o = plan.options
    model = CachedChat(PatientChat(target.asked.chat), folder / "cache.sqlite")
    attacker = _attacker(o["attacker"], folder)
    means = Means(
        model, AttackGrader(plan.project.grader()), target.sampling, {a.name: a for a in plan.attacks}, plan.budget, o["seed"], o["proof"],
        attacker, _gradients(plan, target), folder / "gradients", o["concurrency"],
    )  # fmt: skip
    graders = {means.grader.name: dict(means.grader.identity())}
    key = digest_of(
        [
            dict(model.identity()),
            plan.project.loaded.digest,
            means.told(),
            target.sampling.to_dict(),
            graders,
            [p.id for p in plan.requests],
        ]
    )
    journal = Journal(folder / ATTEMPTS, key)
    if journal.fresh:
        (folder / MANIFEST).unlink(missing_ok=True)  # of an earlier run, whose attempts are gone
    known = journal.cost(attacker is not None and "url" in attacker.identity())
    plan.spent.add(known.requests, known.read, known.written)
    pacer = Pacer(plan.limits, plan.spent)
    try:
        with bar(title) as advance:
            found = await hunt(means, searches_named(plan.searches), plan.requests, journal, advance, pacer)
            return found, means, model.earliest()
    finally:
        write_json(folder / RUN, pacer.report())
        journal.close()
        await model.close()
        if attacker is not None:
            await attacker.close()


def _attacker(text: str | None, folder: Path) -> ChatModel | None:
    """The model that writes attacks, behind no prompt; its answers are kept like the target's."""
    from trueline.cli.targets import open_target
    from trueline.errors import TargetError
    from trueline.models.cached import CachedChat
    from trueline.models.patient import PatientChat

    if text is None:
        return None
    target = open_target(text)
    if target.system is not None:
        raise TargetError(f"{text} is a system, and an attacker stands behind no prompt and no guard", remedy="name its model")
    return CachedChat(PatientChat(target.chat), folder / "attacker.sqlite")


def _gradients(plan: Order, target: Opened) -> GradientSearch | None:
    """The gradient search over the target's own weights, where a search wants it."""
    from trueline.cli.redteam_gradients import gradients_of
    from trueline.evals.redteam import searches_named

    return gradients_of(target) if any(s.gradients for s in searches_named(plan.searches)) else None


def _written(
    plan: Order, target: Opened, hunted: tuple[Hunted, ...], means: Means, folder: Path, seconds: float, oldest: str
) -> Evaluation:
    """The evaluation of a hunt; `oldest`: when the first of its replies was made. What was said to the target in the end decides whether its guard was taught it; on the teach side all was."""
    from trueline.data.contamination import contaminated
    from trueline.data.evaluations import write_evaluation
    from trueline.evals.redteam.hunted_evaluation import hunted_evaluation

    found = hunted_evaluation(hunted, means, plan.searches, plan.requests, plan.project.loaded.digest, target.text, seconds)
    said = [replace(h.request, id=f"{h.request.id}~{h.search}", messages=h.last.messages, origin="grown") for h in hunted]
    trained = [p.messages for p in said] if plan.options["side"] == "teach" else target.asked.trained_on
    found = replace(found, contaminated=contaminated(said, trained))
    found = replace(found, created=min(found.created, oldest or found.created))  # evidence is as old as its oldest reply
    write_evaluation(folder, found)
    return found


def search_outcome(run: HuntRun, budget: int, attacks: int) -> dict[str, Any]:
    """By search: success at the budget and on the way, what it cost, the attacks that won; by clause; what only a search found and none of the
    `attacks` of the table."""
    from trueline.evals.redteam.curves import curves, only_by_search
    from trueline.evals.redteam.success import fell
    from trueline.report.layers import layers

    known = next(iter(run.evaluation.graders.values()), {}).get("specificity")
    specificity = known["estimate"] if isinstance(known, dict) else None
    found = curves(run.hunted, budget, specificity)
    clauses = {
        name: [_curve(c) for c in curves([h for h in run.hunted if h.search == name], budget, specificity, lambda h: h.request.clause)]
        for name in dict.fromkeys(h.search for h in run.hunted)
    }
    return {
        "budget": budget,
        "searches": {c.name: {**_curve(c), "won_by": _winners(run, c.name)} for c in found},
        "clauses": {s: {c.pop("name"): c for c in rows} for s, rows in clauses.items()},
        "only_by_search": {
            o.search: {"requests": list(o.requests), **numbers(o.share), "resisted": o.resisted, "table_exhausted": o.whole}
            for o in only_by_search(run.hunted, attacks)
        },
        "layers": [f.to_dict() for f in layers(run.evaluation.rows)],
        "fell": numbers(fell(run.evaluation.rows)),
    }


def _winners(run: HuntRun, search: str) -> dict[str, int]:
    """The attacks that broke requests, most often first, at most ten."""
    from collections import Counter

    won = Counter(h.last.how for h in run.hunted if h.search == search and h.broken_at is not None)
    return dict(won.most_common(10))


def _point(p: Point) -> dict[str, Any]:
    by_error = None if p.by_error is None else round(p.by_error, 4)
    return {"queries": p.queries, **numbers(p.broken), "proven": numbers(p.proven), "by_error": by_error}


def _curve(c: Curve) -> dict[str, Any]:
    last = _point(c.points[-1])
    law = {"scale": round(c.law.scale, 4), "exponent": round(c.law.exponent, 4)} if c.law else None
    cost = {"spent": c.spent, "attacker_queries": c.attacker_queries, "gradient_steps": c.gradient_steps}
    return {"name": c.name, **last, "median": c.median, **cost, "power_law": law, "curve": [_point(p) for p in c.points]}


def show_searches(run: HuntRun, result: dict[str, Any]) -> None:
    """The tables of a hunt for a terminal."""
    from trueline.report.layers import layers_text

    e, budget = run.evaluation, result["budget"]
    click.echo(f"{e.target}: {len(run.hunted)} hunts of at most {budget} queries in {e.seconds:.0f} s -> {run.folder}")
    some = [q for q in (1, 4, 16) if q < budget]
    heads = "".join(f"{f'at {q}':>8}" for q in some)
    click.echo(f"{'search':16}{heads}{f'at {budget}':>9}{'95 % interval':>18}{'proven':>9}{'by error':>10}{'median':>8}{'queries':>9}")
    for name, row in result["searches"].items():
        at = {p["queries"]: p for p in row["curve"]}
        early = "".join(f"{100 * at[q]['success']:7.1f}%" for q in some)
        error = "-" if row["by_error"] is None else f"{100 * row['by_error']:.1f}%"
        proven, median = f"{100 * row['proven']['success']:.1f}%", row["median"] or "-"
        click.echo(f"{name:16}{early}{rate(row)}{proven:>9}{error:>10}{median:>8}{row['spent']:9}")
    _show_only(result["only_by_search"], budget)
    click.echo(f"{'fell to any search':28}{rate(result['fell'])}{result['fell']['n']:6}  families of requests")
    for line in layers_text(e):
        click.echo(line)
    click.echo(
        "at q: share of requests broken within q queries. proven: by a mark of the charter. by error: what a target that never complies would"
        " show at this budget by the general grader's error alone; a search seeks that error out as well."
    )


def _show_only(found: dict[str, Any], budget: int) -> None:
    """What each search broke and the table did not."""
    if not found:
        return
    first = next(iter(found.values()))
    how = "all of it was tried" if first["table_exhausted"] else f"cut off after {budget} queries: a larger --budget tries all of it"
    click.echo(
        f"{'only found by':22}{'requests':>9}{'share':>8}{'95 % interval':>18}   (the table did not break {first['resisted']}; {how})"
    )
    for name, row in found.items():
        click.echo(f"{name:22}{len(row['requests']):9}{rate(row)[1:]}")


def against(plan: Order, mine: HuntRun, text: str, out: Path) -> dict[str, Any]:
    """The same searches, seeds and budget on a baseline, attacked anew, and the paired difference by search."""
    from trueline.evals.redteam.pairing import all_moved

    other = run_searches(plan, text, out, "baseline")
    return {"target": text, "folder": str(out), "searches": [m.to_dict() for m in all_moved(mine.hunted, other.hunted)]}


def show_against(found: dict[str, Any]) -> None:
    """The paired differences for a terminal."""
    click.echo(f"against {found['target']}, attacked anew with the same searches, seeds and budget -> {found['folder']}")
    click.echo(f"{'search':16}{'here':>8}{'there':>8}{'difference':>12}{'95 % bounds, one-sided':>25}{'newly':>7}{'no longer':>11}")
    for row in found["searches"]:
        b = row["bounds"]
        bounds = f"{100 * b['lower']:+.1f} .. {100 * b['upper']:+.1f}"
        here, there, moved = (f"{100 * v:.1f}%" for v in (row["candidate"], row["baseline"], b["difference"]))
        click.echo(f"{row['name']:16}{here:>8}{there:>8}{moved:>12}{bounds:>25}{row['newly']:7}{row['no_longer']:11}")
