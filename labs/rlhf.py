"""RLHF whole, on the bundled world: `python -m labs.rlhf --out DIR [--seeds 0 1 2] [--methods grpo ppo] [--demonstrations 150] [--weak]`.

In order: a supervised model on few demonstrations; its own replies, compared by raters who err; a reward model; PPO and GRPO against it, with the
exact reward as the held-out one, a run a seed; supervised against trained model on families that nothing was taught on. `--weak`: the reward
model learns from a few dozen comparisons, so that it can be deceived. What is in DIR already is not made again.
"""

from __future__ import annotations

import argparse
import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from labs.world import ExactReward, World, compared, exact, open_world, rated, replies
from trueline.cli.align_data import thinned
from trueline.core.clock import generator
from trueline.core.records import Preference
from trueline.data.conversations import Example, read_preferences
from trueline.data.jsonl import write_json, write_jsonl
from trueline.engine.loading import LocalModel, load_local
from trueline.train.judged import of_pairs, split_judged
from trueline.train.policy.run import run_policy
from trueline.train.policy.settings import PolicySettings
from trueline.train.reward import RewardSettings, load_reward, save_reward, score
from trueline.train.reward_causal import CausalMembers, train_causal
from trueline.train.reward_model import RewardModel, held_out_report
from trueline.train.rewarding import Composed, RewardModelTerm, Term
from trueline.train.saving import save_model
from trueline.train.sft import SftSettings, run_sft

PROMPTS, REPLIES, HELD_OUT, TESTED = 1500, 4, 128, 500
RATERS, ERROR = 3, 0.1
EPOCHS, RATE = 3, 5e-4


def supervised(out: Path, demonstrations: int) -> LocalModel:
    """The rehearsal model after few demonstrations."""
    if not (out / "supervised").exists():
        local = load_local("bundled:harbor", device="cpu")
        world = open_world(local)
        shown = thinned([p for p in world.teach if p.reply], demonstrations, 0)
        examples = [Example(world.asked(p), p.reply or "") for p in shown]
        run_sft(local, examples, SftSettings(epochs=1, lr=4e-4, batch_tokens=2048, precision="float32"), out / "sft")
        save_model(local, out / "supervised", "float32")
    return load_local(str(out / "supervised"), device="cpu")


def compare(start: LocalModel, world: World, out: Path) -> list[Preference]:
    """What raters preferred among the model's own replies."""
    path = out / "preferences.jsonl"
    if not path.exists():
        asked = thinned(world.teach, PROMPTS, 1)
        (out / "ratings.db").unlink(missing_ok=True)
        pairs = rated(world, asked, replies(start, world, asked, REPLIES, 0), out / "ratings.db", RATERS, ERROR, 0)
        write_jsonl(path, (p.to_dict() for p in pairs))
    return read_preferences(path).pairs


def reward_model(start: LocalModel, world: World, pairs: list[Preference], out: Path) -> tuple[RewardModel, dict[str, Any]]:
    """Of all but a fifth of the comparisons, and what it is worth on that fifth: to the raters, and to the oracle."""
    train, test = split_judged(of_pairs(pairs), 0.2, "lab")
    if not (out / "reward" / "model").exists():
        settings = RewardSettings(epochs=EPOCHS, lr=RATE, batch_tokens=2048, precision="float32")
        save_reward(train_causal(start, train, settings, out / "reward")[0], out / "reward" / "model")
    model = load_reward(out / "reward" / "model")
    conversations = [(r.prompt, reply) for r in test for reply in r.replies]
    scores, probes = np.array(score(model, conversations)), {world.asked(p): p for p in world.teach}
    right = [exact(probes[prompt], reply) for prompt, reply in conversations]
    by_oracle = [(scores[i] > scores[i + 1]) == (right[i] > right[i + 1]) for i in range(0, len(right), 2)]
    return model, {"trained_on": len(train), "accuracy_by_the_oracle": float(np.mean(by_oracle)), **held_out_report(test, scores)}


def settings_of(method: str, steps: int, seed: int, **more: Any) -> PolicySettings:
    """Of a rollout of 64 replies: ppo with one to a prompt and two passes, else eight to a prompt and one."""
    grouped = method != "ppo"
    usual: dict[str, Any] = {
        "prompts": 8 if grouped else 64, "samples": 8 if grouped else 1, "max_new_tokens": 48, "lr": 5e-5 if grouped else 3e-5,
        "epochs": 1 if grouped else 2, "minibatches": 1 if grouped else 2, "value_lr": None if grouped else 1e-4,
        "replies_a_row": 8 if grouped else 1, "precision": "float32",
    }  # fmt: skip
    return PolicySettings(method, steps=steps, seed=seed, **{**usual, **more})


def trained(
    method: str, start: LocalModel, world: World, reward: RewardModel, seed: int, out: Path, steps: int, budget: float | None
) -> tuple[LocalModel, dict[str, Any]]:
    """(the policy, the run's report)."""
    local = replace(start, model=copy.deepcopy(start.model))
    probes = list(world.teach)
    generator(0, "lab held out").shuffle(probes)
    held, families = probes[:HELD_OUT], {p.family for p in probes[:HELD_OUT]}
    settings = settings_of(method, steps, seed, kl_budget=budget, measure_every=5, options={"kl_weight": 0.3})
    members = reward.members
    assert isinstance(members, CausalMembers)
    report = run_policy(
        local,
        [world.asked(p) for p in probes[HELD_OUT:] if p.family not in families],
        Composed([Term("reward model", RewardModelTerm(reward))]),
        settings,
        out / f"{method}-{seed}",
        held_out=[world.asked(p) for p in held],
        held_out_reward=ExactReward(world, held),
        critic=members.models[0] if method == "ppo" else None,
        identity=[method],
        progress=lambda done, of, value: print(f"{method} {seed}: {done}/{of} {value:.3f}", flush=True),
    )
    return local, {"steps": report.steps, "stopped": report.stopped, "weights_of_step": report.kept, "evidence": report.evidence}


def main() -> None:
    """Runs what was asked for; lab.json of this call grows with every run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--demonstrations", type=int, default=150, help="of the supervised model")
    parser.add_argument("--methods", nargs="+", default=["grpo", "ppo"])
    parser.add_argument("--weak", action="store_true", help="a reward model of 40 comparisons, no KL budget")
    given = parser.parse_args()
    out = given.out
    out.mkdir(parents=True, exist_ok=True)
    start = supervised(out, given.demonstrations)
    world = open_world(start)
    pairs = compare(start, world, out)
    reward, worth = reward_model(start, world, thinned(pairs, 40, 0) if given.weak else pairs, out / "weak" if given.weak else out)
    told: dict[str, Any] = {
        "weak": given.weak,
        "comparisons": len(pairs),
        "demonstrations": given.demonstrations,
        "reward_model": worth,
        "runs": [],
    }
    print(json.dumps(told), flush=True)
    tested = thinned(world.test, TESTED, 2)
    before = replies(start, world, tested, 2, 3)
    for seed in given.seeds:
        for method in given.methods:
            where = out / "weak" if given.weak else out
            local, report = trained(method, start, world, reward, seed, where, given.steps, None if given.weak else 10.0)
            found = {
                "method": method,
                "seed": seed,
                **report,
                "exact": compared(world, tested, before, replies(local, world, tested, 2, 3)),
            }
            told["runs"].append(found)
            print(method, seed, json.dumps(found["exact"]), report["stopped"], flush=True)
            write_json(where / "lab.json", told)


if __name__ == "__main__":
    main()
