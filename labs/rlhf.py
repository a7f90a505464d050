"""RLHF whole, on the bundled world: `python -m labs.rlhf --out DIR --seed N [--methods grpo ppo] [--weak]`.

In order: a supervised model on few demonstrations; its own replies, compared by raters who err; a reward model; PPO and GRPO against it, with the
exact reward as the held-out one; supervised against trained model on families that nothing was taught on. `--weak`: the reward model learns
from a few dozen comparisons, so that it can be deceived.
"""

from __future__ import annotations

import argparse
import copy
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from labs.world import ExactReward, World, compared, exact, open_world, rated, replies
from trueline.cli.align_data import thinned
from trueline.core.clock import generator
from trueline.core.records import Preference
from trueline.data.conversations import Example
from trueline.data.jsonl import write_json
from trueline.engine.loading import LocalModel, load_local
from trueline.train.judged import of_pairs, split_judged
from trueline.train.policy.run import run_policy
from trueline.train.policy.settings import PolicySettings
from trueline.train.reward import RewardSettings, score
from trueline.train.reward_causal import CausalMembers, train_causal
from trueline.train.reward_model import RewardModel, held_out_report
from trueline.train.rewarding import Composed, RewardModelTerm, Term
from trueline.train.sft import SftSettings, run_sft

DEMONSTRATIONS, PAIRS_FROM, HELD_OUT, TESTED = 400, 1500, 96, 400


def supervised(seed: int, out: Path) -> tuple[LocalModel, World]:
    """The rehearsal model after few demonstrations."""
    local = load_local("bundled:harbor", device="cpu")
    world = open_world(local)
    shown = thinned([p for p in world.teach if p.reply], DEMONSTRATIONS, seed)
    examples = [Example(world.asked(p), p.reply or "") for p in shown]
    run_sft(local, examples, SftSettings(epochs=2, lr=4e-4, batch_tokens=2048, seed=seed, precision="float32"), out / "sft")
    return replace(local, digest=f"lab sft {seed}"), world


def reward_model(local: LocalModel, pairs: list[Preference], seed: int, out: Path) -> tuple[RewardModel, dict[str, Any]]:
    """Of all but a fifth of the comparisons, and what it is worth on that fifth."""
    train, test = split_judged(of_pairs(pairs), 0.2, f"lab {seed}")
    settings = RewardSettings(epochs=2, lr=2e-4, batch_tokens=4096, seed=seed, precision="float32")
    model, _, _ = train_causal(local, train, settings, out / "reward")
    conversations = [(r.prompt, reply) for r in test for reply in r.replies]
    return model, {"trained_on": len(train), **held_out_report(test, np.array(score(model, conversations)))}


def trained(
    method: str, start: LocalModel, world: World, reward: RewardModel, seed: int, out: Path, steps: int, most: float | None
) -> tuple[LocalModel, dict[str, Any]]:
    """(the policy, the run's report)."""
    local = replace(start, model=copy.deepcopy(start.model))
    probes = list(world.teach)
    generator(seed, "lab held out").shuffle(probes)
    held, rest = probes[:HELD_OUT], probes[HELD_OUT:]
    families = {p.family for p in held}
    rest = [p for p in rest if p.family not in families]
    grouped = method != "ppo"
    settings = PolicySettings(
        method, steps=steps, prompts=8 if grouped else 64, samples=8 if grouped else 1, max_new_tokens=48, lr=5e-5 if grouped else 3e-5,
        epochs=1 if grouped else 2, minibatches=1 if grouped else 2, value_lr=None if grouped else 1e-4, kl_budget=most, measure_every=5,
        replies_a_row=8 if grouped else 1, seed=seed, precision="float32",
    )  # fmt: skip
    members = reward.members
    assert isinstance(members, CausalMembers)
    report = run_policy(
        local,
        [world.asked(p) for p in rest],
        Composed([Term("reward model", RewardModelTerm(reward))]),
        settings,
        out / method,
        held_out=[world.asked(p) for p in held],
        held_out_reward=ExactReward(world, held),
        critic=None if grouped else members.models[0],
        identity=[method, str(seed)],
        progress=lambda done, of, value: print(f"{method} {done}/{of} {value:.3f}", flush=True),
    )
    return local, {"steps": report.steps, "stopped": report.stopped, "weights_of_step": report.kept, "evidence": report.evidence}


def main() -> None:
    """Runs one seed; writes lab.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--methods", nargs="+", default=["grpo", "ppo"])
    parser.add_argument("--weak", action="store_true")
    given = parser.parse_args()
    out, seed, began = given.out, given.seed, time.monotonic()
    out.mkdir(parents=True, exist_ok=True)
    start, world = supervised(seed, out)
    asked = thinned(world.teach, PAIRS_FROM, seed + 1)
    drawn = replies(start, world, asked, 4, seed)
    (out / "ratings.db").unlink(missing_ok=True)
    pairs = rated(world, asked, drawn, out / "ratings.db", 3, 0.15, seed)
    if given.weak:
        pairs = thinned(pairs, 40, seed)
    reward, worth = reward_model(start, pairs, seed, out)
    told: dict[str, Any] = {"seed": seed, "weak": given.weak, "comparisons": len(pairs), "reward_model": worth}
    told["teach_reward_before"] = float(np.mean([exact(p, t) for p, texts in zip(asked, drawn, strict=True) for t in texts]))
    print(json.dumps(told), flush=True)
    tested = thinned(world.test, TESTED, seed + 2)
    before = replies(start, world, tested, 2, seed + 3)
    for method in given.methods:
        steps = given.steps * (4 if given.weak else 1)
        local, report = trained(method, start, world, reward, seed, out, steps, None if given.weak else 10.0)
        told[method] = {**report, "exact": compared(world, tested, before, replies(local, world, tested, 2, seed + 3))}
        print(method, json.dumps(told[method]["exact"]), report["stopped"], flush=True)
        write_json(out / "lab.json", {**told, "seconds": time.monotonic() - began})


if __name__ == "__main__":
    main()
