"""TRL's side of reward models and supervised fine-tuning, in its own environment: `python theirs_supervised.py FOLDER`. Nothing of Trueline is
imported: `RewardTrainer.compute_loss` and `SFTTrainer.compute_loss` on what their own collators make of the ids."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from measuring import measured, weights_of
from supervised_cases import CASES, SupervisedCase
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer, set_seed

Tensor = torch.Tensor
FOLDER = Path(sys.argv[1])
BATCH = json.loads((FOLDER / "batch.json").read_text())
N = len(BATCH["prompt"])
PLAIN = {
    "output_dir": str(FOLDER / "trl"),
    "report_to": [],
    "use_cpu": True,
    "bf16": False,
    "gradient_checkpointing": False,
    "max_length": None,
}


def trainers() -> dict[str, Any]:
    """One of each kind, float32. The data sets say only which columns there are: batches are given below."""
    from trl import RewardConfig, RewardTrainer, SFTConfig, SFTTrainer

    tokenizer = AutoTokenizer.from_pretrained(FOLDER / "policy")
    critic = AutoModelForSequenceClassification.from_pretrained(FOLDER / "critic", dtype=torch.float32)
    policy = AutoModelForCausalLM.from_pretrained(FOLDER / "policy", dtype=torch.float32)
    pairs = Dataset.from_list([{"chosen_ids": [5, 6], "rejected_ids": [5, 7], "margin": 0.0}] * N)
    rows = Dataset.from_list([{"input_ids": [5, 6], "labels": [-100, 6]}] * N)
    return {
        "reward": RewardTrainer(model=critic, args=RewardConfig(**PLAIN), train_dataset=pairs, processing_class=tokenizer),
        "sft": SFTTrainer(model=policy, args=SFTConfig(loss_type="nll", **PLAIN), train_dataset=rows, processing_class=tokenizer),
    }


def pair(case: SupervisedCase, i: int) -> dict[str, Any]:
    """What the collator of RewardTrainer takes."""
    prompt = BATCH["prompt"][i]
    sides = {f"{side}_ids": prompt + BATCH[side][i] for side in ("chosen", "rejected")}
    return {**sides, "margin": BATCH["margins"][i]} if case.margins else sides


def row(case: SupervisedCase, i: int) -> dict[str, Any]:
    """What the collator of SFTTrainer takes: only the completion is taught."""
    prompt, completion = BATCH["prompt"][i], BATCH["completion"][i]
    return {"input_ids": prompt + completion, "labels": [-100] * len(prompt) + completion}


EXAMPLE: dict[str, Callable[[SupervisedCase, int], dict[str, Any]]] = {"reward": pair, "sft": row}


def theirs(trainer: Any, case: SupervisedCase) -> dict[str, Tensor]:
    """Every example as a batch of its own, and all of them."""
    assert case.theirs is not None
    of = EXAMPLE[case.theirs]
    trainer.model.train()

    def loss(index: list[int]) -> Tensor:
        found = trainer.compute_loss(trainer.model, dict(trainer.data_collator([of(case, i) for i in index])))
        assert isinstance(found, Tensor)
        return found

    return measured(lambda i: loss([i]), lambda: loss(list(range(N))), N, weights_of(trainer.model))


def main() -> None:
    """All cases that TRL has."""
    set_seed(0)
    made = trainers()
    cases = {c.name: theirs(made[c.theirs], c) for c in CASES if c.theirs}
    torch.save({"cases": cases, "differences": {}}, FOLDER / "theirs_supervised.pt")


if __name__ == "__main__":
    main()
