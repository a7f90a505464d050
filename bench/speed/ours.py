"""Trueline's side: its public trainer on a Hugging Face folder. Prints one JSON line."""

from __future__ import annotations

import dataclasses
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from case import EPOCHS, GROUP, MINIBATCHES, Clock, arguments, even, pairs

from trueline.charter.turns import Message
from trueline.core.records import Preference
from trueline.data.conversations import Example
from trueline.engine.loading import load_local


class Even:
    """The reward of both sides."""

    def score(self, conversations: Sequence[tuple[Message, ...]]) -> list[float]:
        """(n,)."""
        return [even(c[-1].content) for c in conversations]


def main() -> None:
    """One case."""
    a = arguments()
    torch.set_num_threads(a.threads)
    local = load_local(str(a.model), device=a.device)
    rows = pairs(local.model.config.vocab_size, a.batch * a.steps, a.prompt, a.completion)
    clock, settings = Clock(a.device), {"lr": 1e-5, "max_tokens": 2048, "precision": a.dtype}
    clock.loaded(local.model)

    def advance(done: int, of: int, loss: float) -> None:
        clock.mark()

    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        if a.method == "sft":
            from trueline.train.sft import SftSettings, run_sft

            examples = [Example((Message("user", r["prompt"]),), r["chosen"]) for r in rows]
            budget = a.batch * (a.prompt + a.completion)
            run_sft(local, examples, SftSettings(epochs=1, batch_tokens=budget, **settings), Path(folder), advance)
        elif a.method in ("grpo", "ppo"):
            from trueline.train.policy.run import run_policy
            from trueline.train.policy.settings import PolicySettings
            from trueline.train.rewarding import Composed, Term

            ppo = a.method == "ppo"
            policy = PolicySettings(
                a.method, steps=a.steps, prompts=a.batch if ppo else a.batch // GROUP, samples=1 if ppo else GROUP, epochs=EPOCHS if ppo else 1,
                minibatches=MINIBATCHES if ppo else 1, max_new_tokens=a.completion, lr=1e-5, kl_budget=None, precision=a.dtype,
            )  # fmt: skip
            asked = [(Message("user", r["prompt"]),) for r in rows]
            run_policy(local, asked, Composed([Term("even words", Even())]), policy, Path(folder), progress=advance)
        else:
            found = [Preference((Message("user", r["prompt"]),), r["chosen"], r["rejected"]) for r in rows]
            if a.method == "dpo":
                from trueline.train.dpo import DpoSettings, run_dpo

                budget = a.batch * (a.prompt + 2 * a.completion)
                run_dpo(local, found, DpoSettings(epochs=1, batch_tokens=budget, **settings), Path(folder), advance)
            else:
                from trueline.train.reward import RewardSettings, run_reward, with_head

                headed = with_head(local, 0)
                names = {f.name for f in dataclasses.fields(RewardSettings)}
                budget = a.batch * (a.prompt + 2 * a.completion)
                own = RewardSettings(**{k: v for k, v in {**settings, "epochs": 1, "batch_tokens": budget}.items() if k in names})
                run_reward(headed, found, own, Path(folder), advance)
        whole = time.perf_counter() - began
    if len(clock.marks) != a.steps:  # a step of another size would make every figure below wrong
        sys.exit(f"{len(rows)} rows were trained in {len(clock.marks)} steps, expected {a.steps}")
    trained = clock.marks[-1] - clock.marks[0]
    before = whole - trained * len(clock.marks) / max(1, len(clock.marks) - 1)  # reference, encoding, proof of sharing
    from trueline.train.block_attention import attention_of

    print(clock.told(a.batch, seconds_before=before, rows=len(rows), attention=attention_of(local.model)))


if __name__ == "__main__":
    main()
