"""Supervised fine-tuning: the loss on the assistant's reply alone, normalised by the counted tokens of the whole step.

In order: encode (what does not fit is counted, never cut), batch by length, cross-entropy, resume exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from trueline.charter.digests import digest_of
from trueline.data.conversations import Example
from trueline.engine.loading import LocalModel
from trueline.errors import TrainingError
from trueline.train.batching import batches, make_row, pad, token_logps
from trueline.train.checkpoint import load_checkpoint
from trueline.train.loop import LoopSettings, Progress, run_loop
from trueline.train.precision import computing_in, resolve


@dataclass(frozen=True, slots=True)
class SftSettings:
    """epochs over the data; batch_tokens: padded tokens a step; max_tokens: longest row kept; precision: auto, float32 or
    bfloat16 (with a float32 master of the weights)."""

    epochs: int = 2
    lr: float = 1e-3
    batch_tokens: int = 4096
    max_tokens: int = 1024
    seed: int = 0
    precision: str = "auto"


@dataclass(frozen=True, slots=True)
class TrainReport:
    """What a stage did: steps, rows used, rows left out for length, last metrics."""

    steps: int
    rows: int
    too_long: int
    metrics: dict[str, float]


def run_sft(
    local: LocalModel, examples: Sequence[Example], settings: SftSettings, folder: Path, progress: Progress | None = None
) -> TrainReport:
    """Trains `local.model` in place; `folder` keeps checkpoint and metrics. Raises `TrainingError` where nothing fits."""
    limit = min(settings.max_tokens, local.context)
    made = [make_row(local.tokenizer, e.prompt, e.reply, limit) for e in examples]
    rows = [r for r in made if r is not None]
    if not rows:
        raise TrainingError(f"none of {len(examples)} examples fits {limit} tokens", remedy="raise max_tokens or shorten the examples")
    precision = resolve(settings.precision, local.device)
    key = digest_of(["sft", local.digest, [e.digest() for e in examples], vars_of(settings), precision])
    plan = [b for epoch in range(settings.epochs) for b in batches([len(r) for r in rows], settings.batch_tokens, settings.seed, epoch)]
    pad_id = local.tokenizer.pad_token_id or 0

    def step_loss(batch: list[int]) -> tuple[torch.Tensor, dict[str, float]]:
        padded = pad([rows[i] for i in batch], pad_id, local.device)
        logps = token_logps(local.model, padded)
        counted = int(padded.keep.sum())
        return -logps.sum() / counted, {"tokens": float(counted)}

    state = load_checkpoint(folder, key)
    with computing_in(local.model, precision) as master:
        metrics = run_loop(local.model, plan, step_loss, LoopSettings(settings.lr), folder, key, state, progress, master)
    return TrainReport(len(plan), len(rows), len(examples) - len(rows), metrics)


def vars_of(settings: object) -> dict[str, object]:
    """A frozen settings object as plain data, for digests."""
    from dataclasses import asdict, is_dataclass

    assert is_dataclass(settings)
    assert not isinstance(settings, type)
    return asdict(settings)
