"""The same attacks on every layer of a system: bare model, behind its prompt, behind its guard, and the gateway over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from trueline.cli.redteam_order import Order
from trueline.core.chat import ChatModel, Sampling
from trueline.errors import TargetError
from trueline.evals.redteam.attempts import Attempted

LAYERS_FILE = "layers.json"


def check_layers(text: str) -> None:
    """Raises `TargetError` where a target has no layers, before anything is asked."""
    from trueline.cli.targets import read_system

    if not text.endswith((".yaml", ".yml")) or not read_system(Path(text)).guard:
        raise TargetError(f"--layers needs a system with a guard, got {text}", remedy="give a system.yaml, or leave --layers out")


def _models(plan: Order, text: str, stack: ExitStack, folder: Path) -> tuple[dict[str, ChatModel], Sampling]:
    """A model for each layer, each opened on its own: a local one ends with its layer."""
    from trueline.cli.guarding import behind_guard
    from trueline.cli.project import dressed
    from trueline.cli.redteam_gateway import served
    from trueline.cli.targets import open_target, sampling_of

    out: dict[str, ChatModel] = {}
    for layer in ("bare", "prompt", "guard"):
        target = open_target(text)
        model = target.chat if layer == "bare" else dressed(plan.project, target, None, 0, False)[0]
        out[layer] = behind_guard(target, model, layer != "guard").chat
        sampling = sampling_of(target.system, 0.0, 64, plan.options["seed"])
    out["gateway"] = stack.enter_context(served(text, out["guard"].identity(), folder))
    return out, sampling


def run_layers(plan: Order, text: str, attempts: Sequence[Attempted], folder: Path) -> dict[str, Any]:
    """Replays the attempts on each layer, writes `layers.json`, and says who stopped what. Raises what the layers raise."""
    from trueline.data.jsonl import write_json
    from trueline.evals.redteam.attribution import LAYERS, attribution, passage

    some = _distinct(attempts)
    with ExitStack() as stack:
        models, sampling = _models(plan, text, stack, folder)
        layers = [_replayed(plan, models[name], name, some, sampling, folder) for name in LAYERS]
    passages = [passage(a, b, c, d).to_dict() for a, b, c, d in zip(*layers, strict=True)]
    result = {"attacks": len(some), "rows": [r.to_dict() for r in attribution(layers)]}
    clauses = [r.to_dict() for r in attribution(layers, lambda a: a.clause)]
    write_json(folder / LAYERS_FILE, {**result, "clauses": clauses, "passages": passages})
    return {**result, "clauses": clauses}


def _distinct(attempts: Sequence[Attempted]) -> list[Attempted]:
    """Each attacked conversation once."""
    return list({(a.request, a.messages): a for a in attempts if a.asked == "target"}.values())


def _replayed(
    plan: Order, model: ChatModel, name: str, some: Sequence[Attempted], sampling: Sampling, folder: Path
) -> tuple[Attempted, ...]:
    from trueline.cli.progress import bar
    from trueline.evals.pacing import Pacer
    from trueline.evals.redteam import AttackGrader
    from trueline.evals.redteam.replay import replay
    from trueline.models.cached import CachedChat
    from trueline.models.pace import PACE
    from trueline.models.patient import PatientChat

    cached = CachedChat(PatientChat(model), folder / f"{name}.sqlite")
    requests = {p.id: p for p in plan.requests}

    async def go() -> tuple[Attempted, ...]:
        PACE.set(Pacer(plan.limits, plan.spent))
        try:
            with bar(name) as advance:
                grader = AttackGrader(plan.project.grader())
                return await replay(
                    cached, grader, some, requests, sampling, concurrency=min(16, plan.options["concurrency"]), progress=advance
                )
        finally:
            await cached.close()

    return asyncio.run(go())


def show_layers(result: dict[str, Any]) -> None:
    """Who stopped what, for a terminal."""
    from trueline.evals.redteam.attribution import LAYERS, ORDER

    click.echo(f"the same {result['attacks']} attacks on every layer: the first that kept the clause")
    heads = {"held for a person": "held", "redacted or rewritten": "rewritten"}
    click.echo(f"{'family':26}{'n':>6}" + "".join(f"{heads.get(k, k):>13}" for k in ORDER) + "   broke: " + " / ".join(LAYERS))
    for row in (*result["rows"], *result["clauses"][1:]):
        counts = "".join(f"{row['stopped'].get(k, 0):13}" for k in ORDER)
        broke = " / ".join(str(row["broke"][k]) for k in LAYERS)
        differ = f"   gateway and guard differ on {row['disagree']}" if row["disagree"] else ""
        click.echo(f"{row['name'][:25]:26}{row['n']:6}{counts}   {broke}{differ}")
