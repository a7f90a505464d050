"""What `test_world_sizes` starts under torchrun: `worlds.py JOBS.json` trains one job after another, in however many processes there are.

A job: method, folder, and where given shard, lora, part_way, stop (the step at which the run is broken off, as if killed).
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

from trueline.charter.digests import digest_of
from trueline.charter.turns import Message
from trueline.core.records import Preference
from trueline.data.conversations import Example
from trueline.data.unpaired import Labelled
from trueline.engine.loading import LocalModel, load_local
from trueline.train import loop
from trueline.train.distributed import check_alike, joined, main
from trueline.train.dpo import DpoSettings, run_dpo
from trueline.train.keeping import part_way
from trueline.train.kto import KtoSettings, run_kto
from trueline.train.lora import LoraSettings, put_on
from trueline.train.policy.run import run_policy
from trueline.train.policy.settings import PolicySettings
from trueline.train.reward import RewardSettings, run_reward, with_head
from trueline.train.rewarding import Composed, Term
from trueline.train.sft import SftSettings, run_sft

ROWS = 10
SIZES: dict[str, Any] = {"batch_tokens": 96, "precision": "float32"}


class BrokenOffError(Exception):
    """The run is stopped here."""


def texts(i: int) -> tuple[tuple[Message, ...], str, str]:
    """(prompt, better, worse). The last is so long that its batch has no other row: fewer rows than processes."""
    return (Message("user", f"What is fee number {i}?"),), f"It is {i} euros." + " Thank you." * (8 * (i == ROWS - 1)), "No." * (i % 5 + 1)


class Letters:
    """A reward: the share of letters in the reply."""

    def score(self, conversations: Sequence[tuple[Message, ...]]) -> list[float]:
        return [sum(c.isascii() and c.isalpha() for c in talk[-1].content) / max(1, len(talk[-1].content)) for talk in conversations]


def reinforce(method: str, local: LocalModel, folder: Path, progress: Any) -> None:
    """Three rollouts of three prompts, in two steps: of two prompts, and of one, where a process is without."""
    shape: dict[str, Any] = {"steps": 3, "prompts": 3, "minibatches": 2, "max_new_tokens": 6, "measure_every": 2, "replies_a_row": 1}
    settings = PolicySettings(method, samples=1 if method == "ppo" else 4, lr=1e-3, precision="float32", **shape)
    reward = Composed([Term("letters", Letters())])
    asked = [texts(i)[0] for i in range(5)]
    run_policy(local, asked[:4], reward, settings, folder, held_out=asked[4:], progress=progress)


def train(job: dict[str, Any], model: Path) -> Any:
    """Runs one job; the model that it trained."""
    folder, shard, method = Path(job["folder"]), job.get("shard", False), job["method"]
    given = local = load_local(model)
    data = [texts(i) for i in range(ROWS)]
    pairs = [Preference(p, c, r) for p, c, r in data]

    def progress(step: int, total: int, loss: float) -> None:
        if step == job.get("stop"):
            raise BrokenOffError

    if job.get("lora"):
        local = put_on(local, LoraSettings(job["lora"], 2 * job["lora"]))
    if method == "sft":
        run_sft(local, [Example(p, c) for p, c, _ in data], SftSettings(epochs=1, **SIZES), folder, progress, shard=shard)
    elif method == "dpo":
        run_dpo(local, pairs, DpoSettings(lr=1e-3, **SIZES), folder, progress, shard=shard)
    elif method == "kto":
        rows = [Labelled(p, c if i % 2 else r, bool(i % 2)) for i, (p, c, r) in enumerate(data)]
        run_kto(local, rows, KtoSettings(lr=1e-3, **SIZES), folder, progress, shard=shard)
    elif method in ("grpo", "ppo"):
        reinforce(method, local, folder, progress)
    else:
        local = with_head(local, 1)
        run_reward(local, pairs, RewardSettings(lr=1e-3, **SIZES), folder, progress, shard=shard)
    if job.get("part_way"):
        go_part_way(given, local, job["part_way"])
    return local.model


def go_part_way(given: LocalModel, local: LocalModel, share: float) -> None:
    """As the command does; then all processes hold the same weights, and one has read the start."""
    with patch.object(part_way, "load_local", side_effect=load_local) as load:
        part_way.go_part_way(given, local, share)
    assert load.call_count == int(main() and local is given), "adapters need no start, and of whole weights one process reads it"
    check_alike("model", digest_of([p.flatten().tolist() for p in local.model.parameters()]))


def run(jobs: list[dict[str, Any]], model: Path) -> None:
    """All jobs, each keeping the weights that it ends with in its folder; a checkpoint after every step."""
    before = loop.SAVE_SECONDS, torch.get_num_threads()
    loop.SAVE_SECONDS = -1.0
    torch.set_num_threads(1)
    try:
        for job in jobs:
            with suppress(BrokenOffError):
                trained = train(job, model)
                if main():
                    torch.save({n: p.detach() for n, p in trained.named_parameters()}, Path(job["folder"]) / "weights.pt")
    finally:
        loop.SAVE_SECONDS = before[0]
        torch.set_num_threads(before[1])


if __name__ == "__main__":
    read = json.loads(Path(sys.argv[1]).read_text())
    count = int(os.environ.get("WORLD_SIZE", "1"))
    with joined(count) if count > 1 else nullcontext():
        run(read["jobs"], Path(read["model"]))
