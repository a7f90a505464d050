"""`trueline plan CHARTER`: what can be decided with the probes there are, before anything is spent."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from trueline.charter.probes import Measure
    from trueline.charter.schema import GateRule


@click.command(
    help="Say before spending anything: probes, requests, tokens, and what the gate could decide with them. Exit 2 if a cap or margin cannot be resolved."
)
@click.argument("charter")
@click.option("--probes", type=click.Path(path_type=Path), help="File of probes (default: probes.jsonl beside the charter).")
@click.option("--limit", type=click.IntRange(1), help="At most this many probes, as for `eval`.")
@click.option("--samples", default=1, show_default=True, type=click.IntRange(1), help="Replies to each probe.")
@click.option(
    "--discordance",
    default=0.05,
    show_default=True,
    type=click.FloatRange(0.001, 1),
    help="Share of probes expected to change between two sides.",
)
@click.option("--max-tokens", default=64, show_default=True, type=click.IntRange(1), help="Longest reply in tokens.")
@click.option(
    "--price", type=click.FloatRange(0), help="Price of a million tokens, to print about what a run costs, every reply at its longest."
)
@click.option("--json", "as_json", is_flag=True, help="Print the plan as JSON.")
def command(
    charter: str,
    probes: Path | None,
    limit: int | None,
    samples: int,
    discordance: float,
    max_tokens: int,
    price: float | None,
    as_json: bool,
) -> int:
    """Counts and computes; asks no model."""
    import json

    from trueline.cli.project import open_project

    found = plan(open_project(charter, probes), limit, samples, discordance, max_tokens, price)
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False))
    else:
        cost = f", about {found['cost']:.2f}" if found["cost"] is not None else ""
        click.echo(f"{found['requests']} requests, about {found['tokens']} tokens{cost}; suite {found['suite'][:12]}")
        click.echo(f"{'measure':14}{'probes':>7}{'families':>9}{'cap':>7}{'may fail':>9}{'margin':>8}{'resolves':>10}  verdict")
        for row in found["measures"]:
            cap, margin = (f"{100 * v:.0f} %" if v is not None else "-" for v in (row["cap"], row["margin"]))
            may = "-" if row["may_fail"] is None else str(row["may_fail"])
            click.echo(
                f"{row['measure']:14}{row['probes']:7}{row['families']:9}{cap:>7}{may:>9}{margin:>8}{100 * row['resolves']:8.1f} %  {row['verdict']}"
            )
    return 0 if found["resolved"] else 2


def plan(project: Any, limit: int | None, samples: int, discordance: float, max_tokens: int, price: float | None) -> dict[str, Any]:
    """The plan as data. Families are what counts: wordings of one question, and samples of one probe, may all fall together."""
    from trueline.charter.compile.prompt import compile_prompt, count_words
    from trueline.charter.probes import MEASURES
    from trueline.evals.suites import suite_for

    gate = project.loaded.charter.gate
    suite = suite_for(project.loaded.charter, project.probes, limit=limit)
    rows = []
    for measure in MEASURES:
        asked = [p for p in suite.probes if p.measure == measure]
        if asked or measure in gate.caps or measure in gate.margins:
            families = [samples * n for n in Counter(p.cluster for p in asked).values()]
            rows.append({"measure": measure, "probes": len(asked), **_measure(families, gate, measure, discordance)})
    words = sum(count_words(m.content) for p in suite.probes for m in p.messages)
    # every request carries the whole prompt, which is most of what a served model is paid for
    tokens = samples * (words + (max_tokens + compile_prompt(project.loaded.charter).tokens) * len(suite.probes))
    return {
        "suite": suite.digest,
        "requests": samples * len(suite.probes),
        "tokens": tokens,
        "cost": None if price is None else tokens / 1e6 * price,
        "power": gate.power,
        "measures": rows,
        "resolved": all(r["verdict"] == "enough" for r in rows),
    }


def _measure(families: list[int], gate: GateRule, measure: Measure, discordance: float) -> dict[str, Any]:
    """What can be decided about one measure with families of these sizes."""
    from trueline.algos.stats.planning import most_failures, pairs_for_margin, probes_for_cap, smallest_regression

    cap, margin = gate.caps.get(measure), gate.margins.get(measure)
    may = most_failures(families, cap) if cap is not None else None
    resolves = smallest_regression(families, discordance, gate.power)
    short = []
    if cap is not None and may is None:
        needed = probes_for_cap(cap)
        never = "a cap of 0 cannot be shown by any number of probes: name the clauses in gate.zero_tolerance"
        short.append(never if needed is None else f"{max(1, needed - len(families))} more families for the cap")
    if margin is not None and resolves >= margin:
        pairs, alike = pairs_for_margin(margin, discordance, gate.power), probes_for_cap(margin)
        if pairs is None or alike is None:
            short.append("a margin of 0 cannot be shown by any number of probes")
        elif alike > len(families):
            short.append(f"{alike - len(families)} more families for the margin")
        else:
            short.append(f"{max(1, pairs - sum(families))} more probes for the margin")
    told = {"families": len(families), "cap": cap, "may_fail": may, "margin": margin, "resolves": resolves}
    return {**told, "verdict": "; ".join(short) or "enough"}
