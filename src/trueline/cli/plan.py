"""`trueline plan CHARTER`: what can be decided with the probes there are, before anything is spent."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from trueline.charter.probes import Measure
    from trueline.core.evaluations import Evaluation

GUESS = 0.05  # share of probes that change between two sides, where nothing was measured


@click.command(
    help="Say before spending anything: probes, requests, tokens, money, time, and what the gate could decide with them. Exit 2 if a cap or margin cannot be resolved."
)
@click.argument("charter")
@click.option("--probes", type=click.Path(path_type=Path), help="File of probes (default: probes.jsonl beside the charter).")
@click.option("--limit", type=click.IntRange(1), help="About this many probes, as for `eval`.")
@click.option("--samples", default=1, show_default=True, type=click.IntRange(1), help="Replies to each probe; they form a cluster.")
@click.option(
    "--discordance",
    type=click.FloatRange(0, 1),
    help=f"Share of probes expected to change between two sides (default: {GUESS}, or 0 beside a measured --noise).",
)
@click.option(
    "--noise",
    nargs=2,
    type=click.Path(path_type=Path),
    help="Two evaluations of one target that differ in their seed (A/A): their noise, tokens and pace are counted with.",
)
@click.option("--max-tokens", default=64, show_default=True, type=click.IntRange(1), help="Longest reply in tokens.")
@click.option("--price", type=click.FloatRange(0), help="Price of a million tokens, in and out alike.")
@click.option("--price-in", type=click.FloatRange(0), help="Price of a million tokens that are sent.")
@click.option("--price-out", type=click.FloatRange(0), help="Price of a million tokens that are answered.")
@click.option("--rate", type=click.FloatRange(0, min_open=True), help="Requests a minute, to say how long a run takes.")
@click.option("--json", "as_json", is_flag=True, help="Print the plan as JSON.")
def command(
    charter: str, probes: Path | None, limit: int | None, samples: int, discordance: float | None, noise: tuple[Path, Path] | None,
    max_tokens: int, price: float | None, price_in: float | None, price_out: float | None, rate: float | None, as_json: bool,
) -> int:  # fmt: skip
    """Counts and computes; asks no model."""
    import json

    from trueline.cli.planning import Terms, plan
    from trueline.cli.project import open_project
    from trueline.data.evaluations import read_evaluation
    from trueline.errors import DataError

    if price is not None and (price_in is not None or price_out is not None):
        raise DataError("--price is for tokens in and out alike", remedy="give --price alone, or --price-in and --price-out")
    project = open_project(charter, probes)
    draws = (read_evaluation(noise[0]), read_evaluation(noise[1])) if noise else None
    changed = discordance if discordance is not None else 0.0 if draws else GUESS
    terms = Terms(
        samples, changed, measured_noise(draws, project.loaded.digest) if draws else {}, max_tokens,
        price if price is not None else price_in, price if price is not None else price_out, rate, draws[0] if draws else None,
    )  # fmt: skip
    found = plan(project, limit, terms)
    click.echo(json.dumps(found, ensure_ascii=False) if as_json else "\n".join(plan_text(found)))
    return 0 if found["resolved"] else 2


def measured_noise(draws: tuple[Evaluation, Evaluation], digest: str) -> dict[Measure, float]:
    """The noise of each measure between two draws. Raises `DataError` where they are no A/A run under this charter."""
    from trueline.errors import DataError
    from trueline.gate.noise import noise_findings, noise_rate, unusable

    why = unusable(*draws)
    if draws[0].charter != digest:
        why.append(f"the A/A runs were made under charter {draws[0].charter[:12]}, this one is {digest[:12]}; draw again")
    if why:
        what, _, remedy = why[0].partition("; ")
        raise DataError(what, remedy=remedy)
    return {f.measure: noise_rate(f.rate, f.families) for f in noise_findings(*draws, {}, 0.8)}


def plan_text(found: dict[str, Any]) -> list[str]:
    """The plan in lines."""
    attacks = f", {found['redteam_requests']} of them attacks" if found["redteam_requests"] else ""
    cost = f", about {found['cost']:.2f}" if found["cost"] is not None else ""
    minutes = f", about {found['minutes']:.1f} minutes" if found["minutes"] is not None else ""
    out = [
        f"{found['requests']} requests{attacks}, about {found['tokens_in']} tokens in and {found['tokens_out']} out{cost}{minutes}; suite {found['suite'][:12]}",
        "for one side: a baseline that is not evaluated yet costs the suite again",
        f"{'measure':14}{'probes':>7}{'families':>9}{'cap':>7}{'may fail':>9}{'margin':>8}{'resolves':>10}{'noise':>8}  verdict",
    ]
    for row in found["measures"]:
        cap, margin, noise = (f"{100 * v:.0f} %" if v is not None else "-" for v in (row["cap"], row["margin"], row["noise"]))
        may = "-" if row["may_fail"] is None else str(row["may_fail"])
        out.append(
            f"{row['measure']:14}{row['probes']:7}{row['families']:9}{cap:>7}{may:>9}{margin:>8}{100 * row['resolves']:8.1f} %{noise:>8}  {row['verdict']}"
        )
    for row in found["measures"]:
        if row["grown"] and row["grown"]["verdict"] != row["verdict"]:
            left = row["grown"]
            out.append(
                f"{row['measure']}: for a model that was trained on the charter's own examples, or is shown them, {left['probes']} probes in "
                f"{left['families']} families count, which resolve {100 * left['resolves']:.1f} %: {left['verdict']}"
            )
        if row["add"]:
            add = ", ".join(f"{n} of {clause}" for clause, n in sorted(row["add"].items(), key=lambda x: (-x[1], x[0])))
            out.append(f"{row['measure']}: families that would do: {add}")
    for row in found["zero_tolerance"]:
        bound = "no probe asks for it" if row["bound"] is None else f"if none is broken, the rate is below {100 * row['bound']:.1f} %"
        out.append(f"{row['clause']} admits no break: {row['families']} families; {bound}")
    out += [f"lacking: {why}" for why in found["lacking"]]
    return out
