"""Reward models: a body with one number on top, fitted so that the preferred reply gets the larger one (Bradley-Terry).

In order: put a head on the causal model, encode pairs, the loss of the difference at the last token, resume exactly, measure on
pairs whose prompts were held out. The folder is a Hugging Face sequence classifier with one label, as other programs read it.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from trueline.algos.losses.reward import bradley_terry
from trueline.charter.digests import digest_of
from trueline.core.records import Preference
from trueline.engine.loading import LocalModel
from trueline.errors import TrainingError
from trueline.train.batching import Row, batches, pad
from trueline.train.checkpoint import load_checkpoint
from trueline.train.dpo import encode_pairs
from trueline.train.loop import LoopSettings, Progress, run_loop
from trueline.train.sft import TrainReport, vars_of


@dataclass(frozen=True, slots=True)
class RewardSettings:
    """epochs over the pairs; batch_tokens: padded tokens a step (both replies counted); max_tokens: longest row kept;
    margin: whether a pair's `margin` must be exceeded (2307.09288, eq. 2)."""

    epochs: int = 1
    lr: float = 2e-4
    batch_tokens: int = 4096
    max_tokens: int = 1024
    margin: bool = True
    seed: int = 0


def with_head(local: LocalModel, seed: int) -> LocalModel:
    """The same weights under a fresh head (normal, 1 / sqrt(width), by the seed). Raises `TrainingError` where transformers has
    no sequence classifier of this architecture."""
    import transformers

    config = copy.deepcopy(local.model.config)
    config.num_labels = 1
    try:
        model = transformers.AutoModelForSequenceClassification.from_config(config).float()
    except ValueError:
        what = f"transformers has no sequence classifier for {type(local.model.config).__name__}"
        raise TrainingError(what, remedy="train the reward model from another architecture") from None
    model.base_model.load_state_dict(local.model.base_model.state_dict())
    head = head_of(model)
    with torch.no_grad():
        source = torch.Generator().manual_seed(seed)
        head.weight.copy_(torch.randn(head.weight.shape, generator=source) / head.weight.shape[1] ** 0.5)
    model.config.pad_token_id = local.tokenizer.pad_token_id or 0
    return replace(local, model=model.eval().to(local.device))


def head_of(model: Any) -> Any:
    """The linear layer that gives the reward."""
    found = getattr(model, "score", None)
    if found is None:
        raise TrainingError(f"{type(model).__name__} has no layer `score`", remedy="train from another architecture")
    return found


def rewards(local: LocalModel, rows: Sequence[Row], pad_id: int) -> torch.Tensor:
    """The reward of every row, read at its last token, shape (rows,)."""
    batch = pad(rows, pad_id, local.device)
    hidden = local.model.base_model(input_ids=batch.ids, use_cache=False).last_hidden_state
    last = torch.tensor([len(r) - 1 for r in rows], device=local.device)
    at = torch.arange(len(rows), device=local.device)
    out = head_of(local.model)(hidden[at, last])[:, 0].float()
    assert isinstance(out, torch.Tensor)
    return out


def run_reward(
    local: LocalModel, pairs: Sequence[Preference], settings: RewardSettings, folder: Path, progress: Progress | None = None
) -> TrainReport:
    """Trains a model made by `with_head` in place. Raises `TrainingError` where nothing fits."""
    data = encode_pairs(local, pairs, min(settings.max_tokens, local.context))
    if not data.chosen:
        raise TrainingError(f"none of {len(pairs)} pairs fits {settings.max_tokens} tokens", remedy="raise max_tokens")
    pad_id = local.tokenizer.pad_token_id or 0
    margins = torch.tensor(data.margins if settings.margin else [0.0] * len(data.chosen), device=local.device)
    weights = torch.tensor(data.weights, device=local.device)
    key = digest_of(["reward", local.digest, data.keys, data.weights, data.margins, vars_of(settings)])

    def step_loss(batch: list[int]) -> tuple[torch.Tensor, dict[str, float]]:
        index = torch.tensor(batch, device=local.device)
        found = rewards(local, [*(data.chosen[i] for i in batch), *(data.rejected[i] for i in batch)], pad_id)
        c, r = found[: len(batch)], found[len(batch) :]
        w = weights[index]
        told = {"accuracy": float((c > r).float().mean()), "difference": float((c - r).detach().mean())}
        return (bradley_terry(c, r, margins[index]) * w).sum() / w.sum(), told

    sizes = [len(c) + len(r) for c, r in zip(data.chosen, data.rejected, strict=True)]
    plan = [b for epoch in range(settings.epochs) for b in batches(sizes, settings.batch_tokens, settings.seed, epoch)]
    metrics = run_loop(local.model, plan, step_loss, LoopSettings(settings.lr), folder, key, load_checkpoint(folder, key), progress)
    return TrainReport(len(plan), len(data.chosen), data.too_long, metrics)


@torch.no_grad()
def reward_accuracy(local: LocalModel, pairs: Sequence[Preference], limit: int) -> tuple[int, int, int]:
    """(pairs ordered as the people did, pairs that fit, pairs too long). A tie counts as wrong."""
    data = encode_pairs(local, pairs, limit)
    pad_id = local.tokenizer.pad_token_id or 0
    right = 0
    for i in range(0, len(data.chosen), 8):
        c, r = data.chosen[i : i + 8], data.rejected[i : i + 8]
        found = rewards(local, [*c, *r], pad_id)
        right += int((found[: len(c)] > found[len(c) :]).sum())
    return right, len(data.chosen), data.too_long
