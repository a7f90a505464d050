"""The frontier of exact reward against KL: `python -m labs.frontier --out DIR [--methods dpo grpo ppo best-of-n] [--seeds 0 1 2]`.

As in Rafailov et al. (2305.18290), figure 2, with an exact reward: the same supervised model, the same comparisons; DPO over its beta, GRPO and PPO
over their `kl_weight` against the reward model of those comparisons, best-of-n of that reward model. Told of each run: the exact reward on probes
of families that nothing was taught on with its interval, and the KL of a reply to the supervised model (k3, nats). DIR may be that of
`labs.rlhf`; a run that is in it is not made again.
"""

from __future__ import annotations

import argparse
import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from labs.overoptimisation import NS, best_of, interval
from labs.rlhf import compare, reward_model, settings_of, supervised
from labs.world import World, compared, exact, open_world, replies
from trueline.algos.stats.overoptimisation import best_of_n_kl
from trueline.charter.probes import Probe
from trueline.cli.align_data import thinned
from trueline.core.records import Preference
from trueline.data.jsonl import write_json
from trueline.engine.loading import LocalModel
from trueline.train.dpo import DpoSettings, run_dpo
from trueline.train.policy.evidence import reply_kl
from trueline.train.policy.likelihood import by_reply, laid_out, picked
from trueline.train.policy.rollout import Rollout, ask, roll_out
from trueline.train.policy.run import run_policy
from trueline.train.reward import score
from trueline.train.reward_causal import CausalMembers
from trueline.train.reward_model import RewardModel
from trueline.train.rewarding import Composed, RewardModelTerm, Term

BETAS = {"dpo": (0.03, 0.1, 0.3, 1.0), "grpo": (0.1, 0.3, 1.0), "ppo": (0.02, 0.05, 0.2)}
TESTED, MEASURED, DRAWS = 400, 128, 32  # probes of the reward, of the KL, replies a prompt for best-of-n


def under(model: LocalModel, rollout: Rollout) -> torch.Tensor:
    """Log-probabilities of a rollout's replies under `model` at temperature 1, (replies, longest) nats, without a gradient."""
    layout = laid_out(rollout.groups, 1, model.tokenizer.pad_token_id or 0, model.device)
    with torch.no_grad():
        return by_reply(picked(model.model, layout, 1, 1.0), rollout.groups)[0]


def kl_of(local: LocalModel, start: LocalModel, world: World, probes: list[Probe]) -> float:
    """Nats a reply, of replies that `local` draws at temperature 1."""
    rollout = roll_out(local, ask(local, [world.asked(p) for p in probes], 48), range(len(probes)), 1, 48, 1.0, 0, "frontier")
    return float(reply_kl(under(local, rollout), under(start, rollout), rollout.keep).mean())


def trained(
    method: str, beta: float, seed: int, start: LocalModel, world: World, pairs: list[Preference], reward: RewardModel, out: Path
) -> LocalModel:
    """The policy of one setting."""
    local = replace(start, model=copy.deepcopy(start.model))
    if method == "dpo":
        run_dpo(local, pairs, DpoSettings(beta=beta, epochs=3, lr=2e-4, batch_tokens=2048, seed=seed, precision="float32"), out)
        return local
    settings = settings_of(method, 20, seed, kl_budget=None, options={"kl_weight": beta})
    members = reward.members
    assert isinstance(members, CausalMembers)
    term = Composed([Term("reward model", RewardModelTerm(reward))])
    critic = members.models[0] if method == "ppo" else None
    run_policy(local, [world.asked(p) for p in world.teach], term, settings, out, critic=critic, identity=["frontier"])
    return local


def best_of_n(start: LocalModel, world: World, reward: RewardModel, probes: list[Probe]) -> list[dict[str, Any]]:
    """Exact reward and KL for every n."""
    texts = replies(start, world, probes, DRAWS, 17)
    liked = np.array(score(reward, [(world.asked(p), t) for p, row in zip(probes, texts, strict=True) for t in row])).reshape(
        len(probes), -1
    )
    gold = np.array([[exact(p, t) for t in row] for p, row in zip(probes, texts, strict=True)])
    families = [p.family for p in probes]
    return [
        {"method": "best-of-n", "beta": n, "kl": best_of_n_kl(n), "exact": interval(best_of(liked, gold, n), families)}
        for n in NS
        if n <= DRAWS
    ]


def main() -> None:
    """Runs what is missing; frontier.json holds all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--methods", nargs="+", default=[*BETAS, "best-of-n"], choices=[*BETAS, "best-of-n"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    start = supervised(given.out, 150)
    world = open_world(start)
    pairs = compare(start, world, given.out)
    reward, _ = reward_model(start, world, pairs, given.out)
    tested, measured = thinned(world.test, TESTED, 2), thinned(world.test, MEASURED, 4)
    before = replies(start, world, tested, 2, 3)
    told: list[dict[str, Any]] = []
    for method in given.methods:
        if method == "best-of-n":
            told += best_of_n(start, world, reward, thinned(world.test, MEASURED, 2))
        for beta in BETAS.get(method, ()):
            for seed in given.seeds:
                out = given.out / "frontier" / f"{method}-{beta}-{seed}"
                if not (out / "found.json").exists():
                    local = trained(method, beta, seed, start, world, pairs, reward, out)
                    found = compared(world, tested, before, replies(local, world, tested, 2, 3))
                    write_json(
                        out / "found.json", {"kl": kl_of(local, start, world, measured), "exact": found["after"], "gain": found["gain"]}
                    )
                    (out / "checkpoint.pt").unlink(missing_ok=True)
                row = json.loads((out / "found.json").read_text(encoding="utf-8"))
                told.append({"method": method, "beta": beta, "seed": seed, **row})
                print(json.dumps(told[-1]), flush=True)
        write_json(given.out / "frontier.json", told)


if __name__ == "__main__":
    main()
