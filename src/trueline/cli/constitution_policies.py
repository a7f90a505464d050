"""What `trueline train constitution` trains its policy with, once it has labels and a reward model on them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from trueline.charter.turns import Message, behind
from trueline.cli.constitution_run import Run, done_once
from trueline.cli.progress import bar

STEPS, RATE, KL_BUDGET = 40, 2e-5, 10.0  # of grpo: rollouts of 8 prompts x 8 replies, learning rate, nats a reply


def _digest(folder: str) -> str:
    from trueline.engine.folders import weights_digest

    return weights_digest(Path(folder))


def _dpo(run: Run, start: str, pairs: list[Any]) -> dict[str, Any]:
    """Direct preference optimisation of the supervised model on the soft rows: `policy/model`."""
    from trueline.engine.loading import load_local
    from trueline.train.dpo import DpoSettings, run_dpo
    from trueline.train.saving import save_model
    from trueline.train.sft import vars_of

    o, folder = run.options, run.out / "policy"
    settings = DpoSettings(batch_tokens=o["batch_tokens"], max_tokens=o["max_tokens"], seed=o["seed"], precision=o["precision"])

    def work() -> dict[str, Any]:
        local = load_local(start)
        with bar("dpo") as advance:
            report = run_dpo(local, pairs, settings, folder, advance)
        digest = save_model(local, folder / "model", "float32")
        (folder / "checkpoint.pt").unlink(missing_ok=True)
        return {"digest": digest, "rows": report.rows, "steps": report.steps, "too_long": report.too_long, "note": report.words()}

    rows = [p.to_dict() for p in pairs]
    return {
        "model": str(folder / "model"),
        **done_once(folder, {"from": _digest(start), "rows": rows, "settings": vars_of(settings)}, work),
    }


def _policy_prompts(run: Run) -> list[tuple[Message, ...]]:
    """The red-team prompts, and those of the helpful rows that the supervised phase mixed in, each once, behind the system prompt."""
    from trueline.data.prompts import read_prompts

    asked = [behind(run.system, p.messages) for p in run.prompts]
    helpful = run.out / "sl" / "helpful.jsonl"
    if helpful.exists() and helpful.stat().st_size:
        asked += [p.messages for p in read_prompts(helpful).prompts]
    return list(dict.fromkeys(asked))


def _grpo(run: Run, start: str, pairs: list[Any]) -> dict[str, Any]:
    """Reinforcement learning of the supervised model against the phase's reward model (2212.08073, section 4): `policy/model`. The soft
    rows are in that reward model already."""
    from trueline.engine.loading import load_local
    from trueline.train.policy.run import run_policy
    from trueline.train.policy.settings import PolicySettings
    from trueline.train.reward import load_reward, reward_digest
    from trueline.train.rewarding import Composed, RewardModelTerm, Term
    from trueline.train.saving import save_model
    from trueline.train.sft import vars_of

    o, folder, judge = run.options, run.out / "policy", run.out / "reward" / "model"
    settings = PolicySettings(
        "grpo", steps=STEPS, max_new_tokens=o["reply_tokens"], temperature=o["temperature"], batch_tokens=o["batch_tokens"], lr=RATE,
        kl_budget=KL_BUDGET, seed=o["seed"], precision=o["precision"],
    )  # fmt: skip
    prompts, identity = _policy_prompts(run), reward_digest(judge)

    def work() -> dict[str, Any]:
        local = load_local(start)
        reward = Composed([Term("ai preferences", RewardModelTerm(load_reward(judge)))])
        with bar("grpo") as advance:
            report = run_policy(local, prompts, reward, settings, folder, identity=[identity], progress=advance)
        digest = save_model(local, folder / "model", "float32")
        (folder / "checkpoint.pt").unlink(missing_ok=True)
        told = {k: report.metrics.get(k) for k in ("reward", "kl", "entropy", "length")}
        return {
            "digest": digest,
            "prompts": report.rows,
            "too_long": report.too_long,
            "steps": report.steps,
            "stopped": report.stopped,
            **told,
        }

    asked = [[m.to_dict() for m in p] for p in prompts]
    inputs = {"from": _digest(start), "reward": identity, "prompts": asked, "settings": vars_of(settings)}
    return {"model": str(folder / "model"), **done_once(folder, inputs, work)}


POLICIES: Mapping[str, Callable[[Run, str, list[Any]], dict[str, Any]]] = {"dpo": _dpo, "grpo": _grpo}
"""What trains the policy on the labelled preferences: (run, supervised model, soft preferences) -> what to tell. `run.out/reward/model` is
the reward model trained on them."""
