"""Reinforcement learning against proxies of several sizes: `python -m labs.overoptimisation_rl --out DIR [--sizes 25 75 0] [--layers 1 3] [--seeds 0]`.

As in Gao et al. (2210.10760), section 3, with an exact reward: GRPO without a penalty, a budget or a stop, so that the turn-over can be seen, against
a causal reward model of `sizes` comparisons (0: all), of the supervised model's first `layers` layers with all comparisons, and three of
`ensemble` comparisons by their mean, their worst and mean less deviation. Every few rollouts the exact reward, the proxy's and the KL
(k3, nats) on probes of families that nothing was taught on, with the same draws each time. Told of a run: these over sqrt(KL), the law
d (alpha - beta log d), where it turns, gain at the end and fall to it with intervals over families, and when the stop rule of `algos.stats`
would have ended it. DIR may be that of `labs.overoptimisation`; a run that is in it is not made again, one that was cut off goes on.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, astuple, dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from labs.frontier import under
from labs.overoptimisation import WAYS, Array, combined, interval, key_of, proxy
from labs.rlhf import compare, settings_of, supervised
from labs.world import ExactReward, World, open_world
from trueline.algos.stats.overoptimisation import Measurement, StopSettings, fitted_law, judged
from trueline.charter.probes import Probe
from trueline.cli.align_data import thinned
from trueline.core.clock import generator
from trueline.core.records import Preference
from trueline.data.jsonl import write_json
from trueline.engine.loading import LocalModel
from trueline.errors import RunFileError
from trueline.train.policy.evidence import HeldOut, Record, measure
from trueline.train.policy.rollout import ask
from trueline.train.policy.run import run_policy
from trueline.train.reward_model import RewardModel
from trueline.train.rewarding import Composed, RewardModelTerm, Term

TOKENS = 48  # of a reply at most


@dataclass(frozen=True, slots=True)
class Cell:
    """One run. proxy: a name of `labs.overoptimisation.combined`; size: comparisons, 0 for all; layers: of the proxy, 0 for all."""

    proxy: str
    size: int
    layers: int
    seed: int

    @property
    def name(self) -> str:
        """Of its folder."""
        return f"{self.proxy.replace(',', '').replace(' ', '-')}-{self.size}-{self.layers}-{self.seed}"


@dataclass(frozen=True, slots=True)
class How:
    """steps: rollouts of 64 replies; every: rollouts between looks; rate: of learning; tested: probes of a look."""

    steps: int
    every: int
    rate: float
    tested: int

    @property
    def looks(self) -> int:
        """The one before the run among them."""
        return 1 + -(-self.steps // self.every)


def grid(sizes: Sequence[int], layers: Sequence[int], ensemble: int, seeds: Sequence[int]) -> list[Cell]:
    """All runs, seed by seed: what is cut off is the last seed."""
    one = [("one", size, 0) for size in sizes] + [("one", 0, n) for n in layers]
    return [Cell(*what, seed) for seed, what in product(seeds, one + [(way, ensemble, 0) for way in WAYS])]


def trained(cell: Cell, start: LocalModel, world: World, model: RewardModel, tested: list[Probe], out: Path, how: How) -> list[Measurement]:
    """The looks of one run: before it, every `how.every` rollouts, and at its end."""
    local = replace(start, model=copy.deepcopy(start.model))
    reward = Composed([Term("reward model", RewardModelTerm(model))])
    prompts = ask(local, [world.asked(p) for p in tested], TOKENS)
    assert not prompts.too_long
    held = HeldOut(prompts, ExactReward(world, tested), how.looks, None)
    out.mkdir(parents=True, exist_ok=True)
    record = Record(out, held, how.steps)

    def look(done: int, of: int, _: float = 0.0) -> None:
        # draws depend on seed and step alone: a run that goes on would measure again what it measured
        if (done % how.every and done != of) or any(m.step == done for m in record.history):
            return
        m = measure(local, held, reward, lambda r: (r.sampled, under(start, r)), done, TOKENS, 1.0, 5)
        record.add(m)
        print(f"{cell.name}: {done}/{of} exact {np.mean(m.held_out):.3f} proxy {np.mean(m.proxy):.3f} KL {m.kl:.3f}", flush=True)

    look(0, how.steps)
    # `measure_every` and the stop belong to held-out prompts, of which run_policy is given none
    settings = settings_of("grpo", how.steps, cell.seed, lr=how.rate, kl_budget=None, options={"kl_weight": 0.0})
    run_policy(local, [world.asked(p) for p in world.teach], reward, settings, out, identity=[cell.name], progress=look)
    return record.history


def fall(gold: Array, families: Sequence[str]) -> dict[str, float]:
    """How far the last look lies from the best one, (looks, prompts). The best is chosen on the other half of the families: chosen on the same
    prompts, the largest of several noisy means would make a fall of nothing."""
    names = sorted(set(families))
    generator(0, "halves").shuffle(names)
    half = np.isin(families, names[::2])
    out = np.zeros(gold.shape[1])
    for own in (half, ~half):
        best = int(np.argmax(gold[:, ~own].mean(axis=1)))
        out[own] = gold[-1, own] - gold[best, own]
    return interval(out, families)


def stopped_at(history: Sequence[Measurement], looks: int) -> int | None:
    """Rollouts after which the stop rule would have ended the run as over-optimised, None where it never would."""
    rule = StopSettings(looks)
    return next((history[n].step for n in range(len(history)) if judged(history[: n + 1], rule).reason == "over-optimisation"), None)


def told_of(history: Sequence[Measurement], families: Sequence[str]) -> dict[str, Any]:
    """A run in figures; proxy: in its standard deviations at the start."""
    gold, liked = (np.array([getattr(m, which) for m in history]) for which in ("held_out", "proxy"))
    distances, gains = [math.sqrt(max(m.kl, 0.0)) for m in history], (gold - gold[0]).mean(axis=1)
    law, best = fitted_law("rl", distances, gains.tolist()), int(np.argmax(gains))
    return {
        "steps": [m.step for m in history],
        "kl": [m.kl for m in history],
        "start": float(gold[0].mean()),
        "gold": gains.tolist(),
        "liked": ((liked - liked[0]).mean(axis=1) / (liked[0].std() or 1.0)).tolist(),
        "characters": [float(np.mean(m.characters or 0)) for m in history],
        "law": None if law is None else asdict(law),
        "best": {"step": history[best].step, "kl": history[best].kl, **interval(gold[best] - gold[0], families)},
        "last": interval(gold[-1] - gold[0], families),
        "fall": fall(gold, families),
        "stop_rule": stopped_at(history, len(history)),
    }


def run_cell(cell: Cell, start: LocalModel, world: World, pairs: list[Preference], out: Path, how: How) -> Any:
    """What is told of a run, from its folder where it is there."""
    tested, data = thinned(world.test, how.tested, 2), key_of(start, pairs)
    folder = out / "rl" / "-".join(map(str, (data[:8], *astuple(how)))) / cell.name
    if not (folder / "found.json").exists():
        model = combined(proxy(start, pairs, cell.size, cell.layers, cell.seed, out))[cell.proxy]
        history = trained(cell, start, world, model, tested, folder, how)
        write_json(folder / "found.json", {**asdict(cell), **told_of(history, [p.family for p in tested])})
        (folder / "checkpoint.pt").unlink(missing_ok=True)
    return json.loads((folder / "found.json").read_text(encoding="utf-8"))


def main() -> None:
    """Runs what is missing; overoptimisation_rl.json grows with each run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="of labs.rlhf or labs.overoptimisation, or a new one")
    parser.add_argument("--sizes", type=int, nargs="+", default=[25, 75, 0])
    parser.add_argument("--layers", type=int, nargs="*", default=[1, 3])
    parser.add_argument("--ensemble", type=int, default=75, help="comparisons of the ensembles")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--every", type=int, default=2)
    parser.add_argument("--rate", type=float, default=2e-4)
    parser.add_argument("--tested", type=int, default=256, help="probes of a look")
    given = parser.parse_args()
    how = How(given.steps, given.every, given.rate, given.tested)
    try:
        StopSettings(how.looks)
    except RunFileError as e:  # now, and not when a run has been made
        parser.error(f"{e.what}: raise --steps or lower --every")
    given.out.mkdir(parents=True, exist_ok=True)
    start = supervised(given.out, 150)
    world = open_world(start)
    pairs = compare(start, world, given.out)
    told: list[Any] = []
    for cell in grid(given.sizes, given.layers, given.ensemble, given.seeds):
        told.append(run_cell(cell, start, world, pairs, given.out, how))
        write_json(given.out / "overoptimisation_rl.json", {"comparisons": len(pairs), **asdict(how), "runs": told})
        print(json.dumps(told[-1]), flush=True)


if __name__ == "__main__":
    main()
