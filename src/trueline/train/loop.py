"""The loop that all methods share: seeded order, exact resume, metrics, alarms.

In order, for every step: take the next batch, its loss, the gradient, clip, step, write a line of metrics; every
`SAVE_SECONDS` a checkpoint. Left out on purpose: several processes (they belong to scale, not to truth).
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from trueline.errors import TrainingError
from trueline.train.checkpoint import save_checkpoint
from trueline.train.precision import Master

SAVE_SECONDS = 20.0  # between checkpoints
StepLoss = Callable[[list[int]], tuple[torch.Tensor, dict[str, float]]]
Progress = Callable[[int, int, float], None]


@dataclass(frozen=True, slots=True)
class LoopSettings:
    """lr: peak learning rate, reached after `warmup` (share of the steps), then linear to zero. clip: gradient norm."""

    lr: float
    warmup: float = 0.05
    clip: float = 1.0
    weight_decay: float = 0.0


def _rate(step: int, total: int, s: LoopSettings) -> float:
    ramp = max(1, round(s.warmup * total))
    return s.lr * min((step + 1) / ramp, max(0.0, (total - step) / max(1, total - ramp)), 1.0)


def _alarm(folder: Path, step: int, batch: list[int], name: str, value: float) -> TrainingError:
    (folder / "nan_batch.json").write_text(json.dumps({"step": step, "rows": batch, name.replace(" ", "_"): str(value)}) + "\n")
    what = f"the {name} became {value} at step {step}; the rows of its batch are saved in nan_batch.json"
    return TrainingError(what, remedy="lower the learning rate or look at these rows", file=folder)


def _forget_after(log: Path, step: int) -> None:
    """Takes out the lines of steps that a killed run did after its last checkpoint: they will be done again."""
    if not log.exists():
        return
    kept = []
    for line in log.read_text(encoding="utf-8").split("\n")[:-1]:  # what follows the last newline was cut by the kill
        if json.loads(line)["step"] <= step:
            kept.append(line + "\n")
    beside = log.with_name(log.name + ".part")
    beside.write_text("".join(kept), encoding="utf-8")
    os.replace(beside, log)


def _optimizer(parameters: dict[str, torch.Tensor], settings: LoopSettings) -> torch.optim.Optimizer:
    decayed = [p for p in parameters.values() if p.dim() >= 2]
    plain = [p for p in parameters.values() if p.dim() < 2]
    groups = [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    return torch.optim.AdamW([g for g in groups if g["params"]], lr=settings.lr, betas=(0.9, 0.99), fused=True)


def _no_dropout(model: Any) -> None:
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0  # a reply's likelihood must not depend on luck


def run_loop(
    model: Any,
    plan: Sequence[list[int]],
    step_loss: StepLoss,
    settings: LoopSettings,
    folder: Path,
    key: str,
    state: dict[str, Any] | None,
    progress: Progress | None = None,
    master: Master | None = None,
) -> dict[str, float]:
    """Runs the batches of `plan` (indices), from the checkpoint `state` if there is one. Returns the last metrics. `master`: what
    `computing_in` gave; without one the weights are trained as they are."""
    if master is None:
        own = {n: p for n, p in model.named_parameters() if p.requires_grad}
        master = Master(own, own)
    parameters = master.weights
    optimizer = _optimizer(parameters, settings)
    first = 0
    if state is not None:
        with torch.no_grad():
            for name, p in parameters.items():
                p.copy_(state["weights"][name])
        master.push()
        optimizer.load_state_dict(state["optimizer"])
        first = int(state["step"])
    folder.mkdir(parents=True, exist_ok=True)
    _forget_after(folder / "metrics.jsonl", first)
    saved, metrics = time.monotonic(), dict[str, float]()
    model.train()
    _no_dropout(model)
    with (folder / "metrics.jsonl").open("a", encoding="utf-8") as log:
        for step in range(first, len(plan)):
            loss, metrics = step_loss(plan[step])
            value = float(loss.detach())
            if not math.isfinite(value):
                raise _alarm(folder, step, plan[step], "loss", value)
            torch.autograd.backward(loss)
            master.pull()
            norm = float(torch.nn.utils.clip_grad_norm_(parameters.values(), settings.clip))
            if not math.isfinite(norm):  # a finite loss can have an infinite gradient; one step of it destroys the weights
                raise _alarm(folder, step, plan[step], "gradient norm", norm)
            for group in optimizer.param_groups:
                group["lr"] = _rate(step, len(plan), settings)
            optimizer.step()
            master.push()
            optimizer.zero_grad(set_to_none=True)
            metrics = {"loss": value, "gradient_norm": norm, **metrics}
            log.write(json.dumps({"step": step + 1, "of": len(plan), **{k: round(v, 6) for k, v in metrics.items()}}) + "\n")
            log.flush()
            if progress is not None:
                progress(step + 1, len(plan), value)
            if time.monotonic() - saved > SAVE_SECONDS:
                weights = {n: p.detach().clone() for n, p in parameters.items()}
                save_checkpoint(folder, {"key": key, "step": step + 1, "weights": weights, "optimizer": optimizer.state_dict()})
                saved = time.monotonic()
    model.eval()
    return metrics
