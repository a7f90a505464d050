"""TRL's side, run in its own environment: `python theirs.py FOLDER`. Values and full-weight gradients by TRL's own loss methods.

Nothing of Trueline is imported. FOLDER holds the two models and `batch.json`; `theirs.pt` is written there.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch
from cases import CASES, DIFFERENCES, Case
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer, set_seed

Tensor = torch.Tensor
FOLDER = Path(sys.argv[1])
BATCH = json.loads((FOLDER / "batch.json").read_text())
N = len(BATCH["prompt"])


def _arguments() -> dict[str, Any]:
    return {
        "output_dir": str(FOLDER / "trl"), "report_to": [], "use_cpu": True, "bf16": False, "gradient_checkpointing": False,
        "per_device_train_batch_size": N, "disable_dropout": True, "max_length": None,
    }  # fmt: skip


def trainers() -> dict[str, Any]:
    """One trainer of each kind on the same two models, float32."""
    from trl import DPOConfig, DPOTrainer, KTOConfig, KTOTrainer
    from trl.experimental.cpo import CPOConfig, CPOTrainer
    from trl.experimental.orpo import ORPOConfig, ORPOTrainer

    tokenizer = AutoTokenizer.from_pretrained(FOLDER / "policy")
    pairs = Dataset.from_list([{"prompt": "a", "chosen": "b", "rejected": "c"}] * N)
    rows = Dataset.from_list([{"prompt": "a", "completion": "b", "label": bool(i % 2)} for i in range(N)])

    def model(name: str) -> Any:
        return AutoModelForCausalLM.from_pretrained(FOLDER / name, dtype=torch.float32)

    common = {"processing_class": tokenizer}
    plain = {k: v for k, v in _arguments().items() if k != "max_length"}
    return {
        "dpo": DPOTrainer(model=model("policy"), ref_model=model("reference"), args=DPOConfig(**_arguments()), train_dataset=pairs, **common),
        "kto": KTOTrainer(model=model("policy"), ref_model=model("reference"), args=KTOConfig(**_arguments()), train_dataset=rows, **common),
        "cpo": CPOTrainer(model=model("policy"), args=CPOConfig(**plain), train_dataset=pairs, **common),
        "orpo": ORPOTrainer(model=model("policy"), args=ORPOConfig(**plain), train_dataset=pairs, **common),
    }  # fmt: skip


def dpo(trainer: Any, index: list[int], part: str) -> Tensor:
    """TRL's loss of these pairs through its own collator."""
    examples = [{f"{k}_ids": BATCH[k][i] for k in ("prompt", "chosen", "rejected")} for i in index]
    loss = trainer._compute_loss(trainer.model, dict(trainer.data_collator(examples)), False)
    assert isinstance(loss, Tensor)
    return loss


def kto(trainer: Any, index: list[int], part: str) -> Tensor:
    """The loss of the rows `index`, with the baseline of all rows, as in a batch of all."""
    mismatched = [
        {"prompt_ids": p, "completion_ids": c, "KL_completion_ids": k, "label": bool(d)}
        for p, c, k, d in zip(BATCH["prompt"], BATCH["completion"], BATCH["other"], BATCH["desirable"], strict=True)
    ]
    if not trainer.calculate_KL:
        mismatched = [{k: v for k, v in row.items() if not k.startswith("KL")} for row in mismatched]
    inputs = dict(trainer.data_collator(mismatched))
    for name in ("input_ids", "attention_mask", "completion_mask", "label"):
        inputs[name] = inputs[name][index]
    loss = trainer._compute_loss(trainer.model, inputs, False)
    assert isinstance(loss, Tensor)
    return loss


def _padded(index: list[int], side: str) -> dict[str, Tensor]:
    rows = [(BATCH["prompt"][i], BATCH[side][i]) for i in index]
    width = max(len(p) + len(c) for p, c in rows)
    out = {"input_ids": [], "attention_mask": [], "labels": []}  # type: dict[str, list[list[int]]]
    for p, c in rows:
        rest = width - len(p) - len(c)
        out["input_ids"].append(p + c + [0] * rest)
        out["attention_mask"].append([1] * (len(p) + len(c)) + [0] * rest)
        out["labels"].append([-100] * len(p) + c + [-100] * rest)
    return {f"{side}_{name}": torch.tensor(value) for name, value in out.items()}


def experimental(trainer: Any, index: list[int], part: str) -> Tensor:
    """CPO, SimPO and ORPO: the loss that the trainer optimises, or (part "odds") ORPO's odds-ratio term."""
    batch = {**_padded(index, "chosen"), **_padded(index, "rejected")}
    if part == "odds":
        chosen, rejected = trainer.concatenated_forward(trainer.model, batch)[:2]
        losses = trainer.odds_ratio_loss(chosen, rejected)[0]
        return -losses.mean()
    loss, _ = trainer.get_batch_loss_metrics(trainer.model, batch, train_eval="train")
    assert isinstance(loss, Tensor)
    return loss


CALLS = {"dpo": dpo, "kto": kto, "cpo": experimental, "orpo": experimental}


def measured(trainer: Any, case: Case) -> dict[str, Tensor]:
    """values (n,), gradients (n, weights), mean () and mean_gradient (weights,) of a case, the weights in the order of their names."""
    assert case.theirs is not None
    kind, attributes = case.theirs
    for name, value in attributes.items():
        # simpo_gamma is set by TRL's constructor only where the loss is simpo
        assert hasattr(trainer, name) or name == "simpo_gamma", f"TRL's {kind} trainer has no {name}"
        setattr(trainer, name, value)
    trainer.model.train()
    weights = [p for _, p in sorted(trainer.model.named_parameters())]

    def one(index: list[int]) -> tuple[Tensor, Tensor]:
        loss = CALLS[kind](trainer, index, case.part)
        found = torch.autograd.grad(loss, weights, allow_unused=True)
        flat = [torch.zeros_like(p) if g is None else g for p, g in zip(weights, found, strict=True)]
        return loss.detach().float(), torch.cat([g.flatten() for g in flat])

    each = [one([i]) for i in range(N)]
    mean = one(list(range(N)))
    return {
        "values": torch.stack([v.reshape(()) for v, _ in each]),
        "gradients": torch.stack([g for _, g in each]),
        "mean": mean[0].reshape(()),
        "mean_gradient": mean[1],
    }


def main() -> None:
    """All cases and the known differences."""
    import transformers
    import trl

    set_seed(0)
    made = trainers()
    out: dict[str, Any] = {"versions": {"trl": trl.__version__, "torch": str(torch.__version__), "transformers": transformers.__version__}}
    out["cases"] = {c.name: measured(made[c.theirs[0]], c) for c in CASES if c.theirs}
    out["differences"] = {c.name: measured(made[c.theirs[0]], c) for c in DIFFERENCES if c.theirs}
    torch.save(out, FOLDER / "theirs.pt")


if __name__ == "__main__":
    main()
