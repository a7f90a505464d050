"""The loop that all methods share: seeded order, exact resume, metrics, alarms.

In order, for every step: take the next batch, its loss, the gradient, clip, step, write a line of metrics; every
`SAVE_SECONDS` a checkpoint. Reinforcement learning (`train.policy`), whose data come out of the model, has a loop of its own round `Stepper`. Left out on purpose: several processes (they belong to scale, not to truth).
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
    """lr: peak learning rate, reached after `warmup` (share of the steps), then linear to zero, or kept (`decay` off). clip: gradient norm."""

    lr: float
    warmup: float = 0.05
    clip: float = 1.0
    weight_decay: float = 0.0
    decay: bool = True


def _rate(step: int, total: int, s: LoopSettings) -> float:
    ramp = max(1, round(s.warmup * total))
    falling = max(0.0, (total - step) / max(1, total - ramp)) if s.decay else 1.0
    return s.lr * min((step + 1) / ramp, falling, 1.0)


def _alarm(folder: Path, step: int, batch: list[int], name: str, value: float) -> TrainingError:
    (folder / "nan_batch.json").write_text(json.dumps({"step": step, "rows": batch, name.replace(" ", "_"): str(value)}) + "\n")
    what = f"the {name} became {value} at step {step}; the rows of its batch are saved in nan_batch.json"
    return TrainingError(what, remedy="lower the learning rate or look at these rows", file=folder)


def forget_after(log: Path, step: int) -> None:
    """Takes out the lines of steps that a killed run did after its last checkpoint: they will be done again."""
    if not log.exists():
        return
    kept = []
    for number, line in enumerate(log.read_text(encoding="utf-8").split("\n")[:-1], 1):  # what follows the last newline was cut by the kill
        try:
            if json.loads(line)["step"] <= step:
                kept.append(line + "\n")
        except (ValueError, KeyError, TypeError):
            raise TrainingError("this line is no metrics of a step", remedy="remove the file", file=log, line=number) from None
    beside = log.with_name(log.name + ".part")
    beside.write_text("".join(kept), encoding="utf-8")
    os.replace(beside, log)


def _optimizer(parameters: dict[str, torch.Tensor], settings: LoopSettings) -> torch.optim.Optimizer:
    decayed = [p for p in parameters.values() if p.dim() >= 2]
    plain = [p for p in parameters.values() if p.dim() < 2]
    groups = [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    return torch.optim.AdamW([g for g in groups if g["params"]], lr=settings.lr, betas=(0.9, 0.99), fused=True)


class Stepper:
    """One optimiser over the weights of a method, with its alarms and its exact resume. `weights`: name -> what it moves; `step`: optimiser
    steps done. `rows` of a call name the data behind it, for the alarm."""

    def __init__(self, master: Master, settings: LoopSettings, folder: Path, key: str, total: int) -> None:
        self.master, self.settings, self.folder, self.key, self.total = master, settings, folder, key, total
        self.step, self._saved = 0, time.monotonic()
        self._optimizer = _optimizer(master.weights, settings)
        folder.mkdir(parents=True, exist_ok=True)

    def restore(self, state: dict[str, Any]) -> None:
        """Goes on from a checkpoint. Raises `TrainingError` where it is of other weights."""
        shapes = {n: tuple(p.shape) for n, p in self.master.weights.items()}
        if {n: tuple(p.shape) for n, p in state["weights"].items()} != shapes:
            what = "the checkpoint is of other weights than the ones that are trained (with or without adapters, or of another rank)"
            raise TrainingError(what, remedy="give the options that it was made with, or another --out", file=self.folder)
        with torch.no_grad():
            for name, p in self.master.weights.items():
                p.copy_(state["weights"][name])
        self.master.push()
        self._optimizer.load_state_dict(state["optimizer"])
        self.step = int(state["step"])

    def backward(self, loss: torch.Tensor, rows: list[int]) -> float:
        """Adds the gradient of a part of a step; returns the loss. Raises `TrainingError` where it is not finite."""
        value = float(loss.detach())
        if not math.isfinite(value):
            raise _alarm(self.folder, self.step, rows, "loss", value)
        torch.autograd.backward(loss)
        return value

    def descend(self, rows: list[int]) -> float:
        """One step along the gradients gathered; returns their norm before clipping. Raises `TrainingError` where it is not finite."""
        self.master.pull()
        norm = float(torch.nn.utils.clip_grad_norm_(self.master.weights.values(), self.settings.clip))
        if not math.isfinite(norm):  # a finite loss can have an infinite gradient; one step of it destroys the weights
            raise _alarm(self.folder, self.step, rows, "gradient norm", norm)
        for group in self._optimizer.param_groups:
            group["lr"] = _rate(self.step, self.total, self.settings)
        self._optimizer.step()
        self.master.push()
        self._optimizer.zero_grad(set_to_none=True)
        self.step += 1
        return norm

    def state(self) -> dict[str, Any]:
        """What `restore` goes on from."""
        weights = {n: p.detach().clone() for n, p in self.master.weights.items()}
        return {"step": self.step, "weights": weights, "optimizer": self._optimizer.state_dict()}

    def save(self, more: dict[str, Any] | None = None, *, now: bool = False) -> None:
        """A checkpoint, if the last is `SAVE_SECONDS` old or `now`; `more`: what else decides the next step."""
        if not now and time.monotonic() - self._saved <= SAVE_SECONDS:
            return
        save_checkpoint(self.folder, {"key": self.key, **self.state(), **(more or {})})
        self._saved = time.monotonic()


def ready(model: Any) -> None:
    """A model in training, without dropout: a reply's likelihood must not depend on luck."""
    model.train()
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0


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
    stepper = Stepper(master, settings, folder, key, len(plan))
    if state is not None:
        stepper.restore(state)
    forget_after(folder / "metrics.jsonl", stepper.step)
    metrics = dict[str, float]()
    ready(model)
    with (folder / "metrics.jsonl").open("a", encoding="utf-8") as log:
        for batch in plan[stepper.step :]:
            loss, metrics = step_loss(batch)
            value = stepper.backward(loss, batch)
            norm = stepper.descend(batch)
            metrics = {"loss": value, "gradient_norm": norm, **metrics}
            log.write(json.dumps({"step": stepper.step, "of": len(plan), **{k: round(v, 6) for k, v in metrics.items()}}) + "\n")
            log.flush()
            if progress is not None:
                progress(stepper.step, len(plan), value)
            stepper.save()
    model.eval()
    return metrics
