"""`trueline redteam --preferences FILE`: successful attacks as preference rows, answerable questions in the same disguises, and ordinary pairs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from trueline.cli.redteam_order import Order, names_in, table_of
from trueline.core.evaluations import Evaluation
from trueline.errors import SuiteError
from trueline.evals.redteam.attempts import Attempted


def check_lessons(options: dict[str, Any]) -> None:
    """Raises `SuiteError` for families that are none, and where the options have no effect, before anything is asked."""
    from trueline.cli.targets import options_given
    from trueline.evals.redteam import FAMILIES, SEARCHES

    known = {*FAMILIES, "noise", "suffix", "drawn-frame", *SEARCHES}
    for name in names_in(options["held_out"]):
        if name not in known:
            raise SuiteError(f"there is no family of attacks {name!r}", remedy=f"choose from {', '.join(sorted(known))}")
    idle = (
        [f"--{n.replace('_', '-')}" for n in ("held_out", "each", "spread", "answerable", "ordinary") if n in options_given()]
        if options["preferences"] is None
        else []
    )
    if idle:
        raise SuiteError(f"{idle[0]} has no effect without --preferences", remedy="add --preferences FILE, or leave it out")
    if options["preferences"] is not None and options["side"] == "test":
        what = "--preferences teaches what was found, and the test side must not be taught"
        raise SuiteError(what, remedy="attack the other side with --side teach")
    if options["answerable"] == "answered" and (options["search"] or not options["near_misses"]):
        what = "--answerable answered teaches what the target said to near misses, and none are asked"
        raise SuiteError(what, remedy="add --near-misses N; with --search, which asks none, choose --answerable demonstrated or none")


def write_lessons(plan: Order, attempts: Sequence[Attempted], prompt: str, path: Path, near: Evaluation | None = None) -> dict[str, Any]:
    """Writes the pairs; says how many there are and what was left out. `near`: what was said to near misses in disguise, where they were asked.
    Raises `SuiteError` where nothing broke."""
    from trueline.cli.redteam_order import near_misses_of
    from trueline.data.jsonl import write_jsonl
    from trueline.evals.redteam.answered import answered
    from trueline.evals.redteam.lessons import lessons
    from trueline.evals.redteam.ordinary import ordinary

    o = plan.options
    refusals = {p.id: p.refuse_with for p in plan.project.loaded.charter.principles}
    held_out, table = names_in(o["held_out"]), table_of(plan.project)
    made = lessons(
        attempts, plan.project.probes, refusals, prompt=prompt, held_out=held_out, each=o["each"], seed=o["seed"], table=table,
        attacks=plan.attacks, spread=o["spread"], counterparts=o["answerable"] == "demonstrated",
    )  # fmt: skip
    if not made.pairs:
        what = f"no attack that may be taught succeeded ({made.held_out} of families held out), so there is nothing to learn from"
        raise SuiteError(what, remedy="attack with a search, more requests, or a larger budget")
    suite = near_misses_of(plan) if o["answerable"] == "answered" else None
    own = (
        tuple(answered(suite.probes, near.rows, refusals, prompt=prompt, held_out=held_out, table=table, longest=o["max_tokens"]))
        if suite is not None and near is not None
        else ()
    )
    if o["answerable"] == "answered" and not own:
        what = "the target answered no near miss of the teach side in a disguise that may be taught, so --answerable answered has no effect"
        raise SuiteError(what, remedy="ask more with --near-misses, or choose --answerable demonstrated or none")
    kept = ordinary(plan.project.probes, refusals, o["ordinary"], prompt=prompt, seed=o["seed"]) if o["ordinary"] else ()
    write_jsonl(path, (p.to_dict() for p in (*made.pairs, *own, *kept)))
    left_out = {"held_out": made.held_out, "of_test": made.of_test, "without_reply": made.speechless}
    counts = {"broken": made.broken, "spread": made.spread, "counterparts": made.counterparts, "answered": len(own), "ordinary": len(kept)}
    return {"file": str(path), "pairs": len(made.pairs) + len(own) + len(kept), **counts, "left_out": left_out}


def show_lessons(found: dict[str, Any]) -> None:
    """One line for a terminal."""
    click.echo(
        f"{found['pairs']} pairs -> {found['file']}: {found['broken']} broken replies against what should have been said, {found['spread']} in other "
        f"disguises, {found['counterparts']} answerable questions in the same ones, {found['answered']} as the target answered them, "
        f"{found['ordinary']} ordinary; "
        f"{found['left_out']['held_out']} successes of held-out families left out"
    )
