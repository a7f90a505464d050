"""RL under a constraint, on the bundled world: `python -m labs.constrained --out DIR [--seeds 0 1 2] [--limit 0.05] [--steps 40]`.

Safe RLHF's question (2310.12773) with an exact reward and an exact cost: the reward wants an answer to everything, the cost is complying with
what the charter forbids, half of the prompts are harmful. Once without the constraint, once with a mean cost of at most the limit. Told: the
multiplier and the cost over the rollouts, and both rates on families that nothing was taught on. A run that is in DIR is not made again.
"""

from __future__ import annotations

import argparse
import copy
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from labs.inheritance import complied
from labs.rlhf import supervised
from labs.world import World, open_world, replies
from recipes.harbor.oracle import verdict
from recipes.harbor.speech import Exchange
from trueline.algos.stats.clustered import rate_interval
from trueline.charter.probes import Probe
from trueline.charter.turns import Message
from trueline.cli.align_data import thinned
from trueline.core.clock import generator
from trueline.data.jsonl import write_json
from trueline.engine.loading import LocalModel, load_local
from trueline.train.policy.run import run_policy
from trueline.train.policy.settings import PolicySettings
from trueline.train.rewarding import Composed, Constraint, Term
from trueline.train.saving import save_model

RATE, TAIL = 2.0, 10  # of the multiplier; rollouts that count as its end
ASKED, TESTED = 400, 150  # prompts of each kind, to train on and to test with


def answered(probe: Probe, reply: str) -> bool:
    """Whether the reply does what it was asked, lawful or not: no refusal, no hand-over."""
    return verdict(Exchange("refuse", probe.clause, probe.family, "", "", ""), reply) in ("answered", "complied")


class Oracle:
    """One of the world's exact judgements as `core.ports.Reward`."""

    def __init__(self, world: World, probes: Sequence[Probe], judge: Any) -> None:
        self._of, self._judge = {world.asked(p): p for p in probes}, judge

    def score(self, conversations: Sequence[tuple[Message, ...]]) -> list[float]:
        """(n,) of 0 and 1."""
        return [float(self._judge(self._of[c[:-1]], c[-1].content)) for c in conversations]


def kinds(probes: Sequence[Probe], n: int) -> list[Probe]:
    """Half harmful requests, half their near misses."""
    return [p for kind in ("refuse", "near_miss") for p in thinned([q for q in probes if q.kind == kind], n, 5)]


def trained(start: LocalModel, world: World, probes: list[Probe], limit: float | None, seed: int, steps: int, out: Path) -> LocalModel:
    """The policy after GRPO; multipliers and costs stand in metrics.jsonl."""
    local = replace(start, model=copy.deepcopy(start.model))
    cost = Oracle(world, probes, complied)
    reward = Composed(
        [Term("answers", Oracle(world, probes, answered))], [] if limit is None else [Constraint("complies", cost, limit, RATE)]
    )
    settings = PolicySettings(
        "grpo", steps=steps, prompts=16, samples=8, max_new_tokens=48, lr=5e-5, kl_budget=None, replies_a_row=8,
        options={"kl_weight": 0.02}, seed=seed, precision="float32",
    )  # fmt: skip
    order = list(probes)
    generator(seed, "constrained").shuffle(order)
    run_policy(local, [world.asked(p) for p in order], reward, settings, out, identity=["constrained"])
    save_model(local, out / "model", "float32")
    (out / "checkpoint.pt").unlink(missing_ok=True)
    return local


def rates(local: LocalModel, world: World, probes: list[Probe]) -> dict[str, dict[str, float]]:
    """Complied with harm, answered near misses; test families as clusters, 95 % intervals."""
    out = {}
    for name, kind, judge in (("complied", "refuse", complied), ("answered", "near_miss", answered)):
        some = [p for p in probes if p.kind == kind]
        drawn = replies(local, world, some, 2, 0)
        found = rate_interval(
            [float(np.mean([judge(p, t) for t in d])) for p, d in zip(some, drawn, strict=True)], [p.family for p in some]
        )
        out[name] = {"rate": found.estimate, "low": found.low, "high": found.high}
    return out


def course(folder: Path) -> dict[str, Any]:
    """Of the rollouts: the multiplier's value, and the mean cost of the last ones with its standard error."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    value = [x.get("multiplier complies") for x in lines]
    cost = [x.get("part complies") for x in lines]
    if value[0] is None:
        return {}
    tail = np.array(cost[-TAIL:])
    return {"multiplier": value, "cost": cost, "tail": float(tail.mean()), "tail_error": float(tail.std(ddof=1) / len(tail) ** 0.5)}


def main() -> None:
    """Runs what is missing; constrained.json holds all of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--limit", type=float, default=0.05, help="of the mean cost; half of the prompts are harmful")
    parser.add_argument("--steps", type=int, default=40)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    start = supervised(given.out, 150)
    world = open_world(start)
    probes, tested = kinds(world.teach, ASKED), kinds(world.test, TESTED)
    told: dict[str, Any] = {"limit": given.limit, "before": rates(start, world, tested), "runs": []}
    print(json.dumps(told), flush=True)
    for seed in given.seeds:
        for limit in (given.limit, None):
            name = f"{'free' if limit is None else 'held'}-{seed}"
            done = (given.out / name / "model").exists()
            local = (
                load_local(given.out / name / "model", device="cpu")
                if done
                else trained(start, world, probes, limit, seed, given.steps, given.out / name)
            )
            found = {"name": name, **course(given.out / name), "after": rates(local, world, tested)}
            told["runs"].append(found)
            print(name, json.dumps({k: v for k, v in found.items() if k != "cost"}), flush=True)
            write_json(given.out / "constrained.json", told)


if __name__ == "__main__":
    main()
