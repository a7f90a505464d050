"""The loop that all methods share: seeded order, exact resume, metrics, alarms.

In order, for every step: take the next batch, its loss, the gradient, clip, step, write a line of metrics; every
`SAVE_SECONDS` a checkpoint. Reinforcement learning (`train.policy`), whose data come out of the model, has a loop of its own round `Stepper`.

Several processes (`train.distributed`) go through the same steps: the loss that a method gives is its share of the step's, gradients are added
in `Stepper.descend` and nowhere else, and the main process alone writes.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

from trueline.errors import TrainingError
from trueline.train.checkpoint import save_checkpoint
from trueline.train.distributed import add_gradients, check_alike, from_main, main, summed
from trueline.train.gradients import released, set_aside, tables_in_place, written_in_place
from trueline.train.precision import Master
from trueline.train.sharding import optimizer_like, set_whole, sharded, whole, whole_number, whole_optimizer

SAVE_SECONDS = 20.0  # between checkpoints, or more where writing one takes long (0 or less: after every step)
SAVE_SHARE = 0.05  # of the time, at most, goes into writing them,
LONGEST_WAIT = 900.0  # but no kill costs more than so many seconds and a step
# a step's rows -> (this process's share of its loss, what is told of all of it)
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


def _alarm(folder: Path, step: int, batch: list[int], name: str, value: float, writes: bool) -> TrainingError:
    if writes:
        (folder / "nan_batch.json").write_text(json.dumps({"step": step, "rows": batch, name.replace(" ", "_"): str(value)}) + "\n")
    what = f"the {name} became {value} at step {step}; the rows of its batch are saved in nan_batch.json"
    return TrainingError(what, remedy="lower the learning rate or look at these rows", file=folder)


def forget_after(log: Path, step: int) -> None:
    """Takes out the lines of steps that a killed run did after its last checkpoint: they will be done again."""
    if not log.exists():
        return
    kept = []
    # what follows the last newline was cut by the kill; what is no UTF-8 is no JSON either
    for number, line in enumerate(log.read_text(encoding="utf-8", errors="replace").split("\n")[:-1], 1):
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


class Term(Protocol):
    """A term of the loss that is a function of the weights alone, given by its gradient; it may remember something between steps."""

    def add(self, step: int, weights: Mapping[str, torch.Tensor]) -> None:
        """Adds its gradient to that of `weights`, before the step `step` (from 0)."""

    def state(self) -> dict[str, Any]:
        """What `restore` goes on from; its keys are its own."""

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on from a checkpoint."""


class Stepper:
    """One optimiser over the weights of a method, with its alarms and its exact resume. `weights`: name -> what it moves; `step`: optimiser
    steps done. `rows` of a call name the data behind it, for the alarm."""

    def __init__(self, master: Master, settings: LoopSettings, folder: Path, key: str, total: int, term: Term | None = None) -> None:
        self.master, self.settings, self.folder, self.key, self.total, self.term = master, settings, folder, key, total, term
        self.step, self._saved, self._took = 0, time.monotonic(), 0.0
        self._optimizer = _optimizer(master.weights, settings)
        folder.mkdir(parents=True, exist_ok=True)

    def restore(self, state: dict[str, Any]) -> None:
        """Goes on from a checkpoint. Raises `TrainingError` where it is of other weights, or not of this run's steps and optimiser."""
        shapes = {n: tuple(p.shape) for n, p in self.master.weights.items()}
        if {n: tuple(p.shape) for n, p in state["weights"].items()} != shapes:
            what = "the checkpoint is of other weights than the ones that are trained (with or without adapters, or of another rank)"
            raise TrainingError(what, remedy="give the options that it was made with, or another --out", file=self.folder)
        with torch.no_grad():
            for name, p in self.master.weights.items():
                set_whole(p, state["weights"][name])
        self.master.push()
        try:
            self._optimizer.load_state_dict(optimizer_like(state["optimizer"], self._optimizer))
            fits = 0 <= int(state["step"]) <= self.total and (not state["step"] or bool(state["optimizer"]["state"]))
        except (ValueError, LookupError, TypeError, AttributeError):
            fits = False
        if not fits:
            what = f"the checkpoint's step ({state['step']} of {self.total}) or its optimiser is not of this run"
            raise TrainingError(what, remedy="remove checkpoint.pt to start over", file=self.folder)
        self.step = int(state["step"])
        if self.term is not None:
            self.term.restore(state)

    def backward(self, loss: torch.Tensor, rows: list[int], *, alone: bool = False) -> float:
        """Adds the gradient of a part of a step; returns the loss, summed over the processes unless each is at a part of its own (`alone`).
        Raises `TrainingError` where it is not finite."""
        value = float(loss.detach()) if alone else summed(float(loss.detach()))
        if not math.isfinite(value):
            raise _alarm(self.folder, self.step, rows, "loss", value, alone or main())
        with written_in_place(not sharded(self.master.weights)):
            torch.autograd.backward(loss)
        return value

    def descend(self, rows: list[int]) -> float:
        """One step along the gradients gathered; returns their norm before clipping. Raises `TrainingError` where it is not finite."""
        self.master.pull()
        if not sharded(self.master.weights):  # of parts, each process has the sum already
            add_gradients(self.master.weights.values())
        if self.term is not None:
            self.term.add(self.step, self.master.weights)
        norm = whole_number(torch.nn.utils.clip_grad_norm_(self.master.weights.values(), self.settings.clip))
        if not math.isfinite(norm):  # a finite loss can have an infinite gradient; one step of it destroys the weights
            raise _alarm(self.folder, self.step, rows, "gradient norm", norm, main())
        for group in self._optimizer.param_groups:
            group["lr"] = _rate(self.step, self.total, self.settings)
        self._optimizer.step()
        self.master.push()
        set_aside(self.master.weights.values())
        self._optimizer.zero_grad(set_to_none=True)
        self.step += 1
        return norm

    def state(self) -> dict[str, Any]:
        """What `restore` goes on from, whole where the weights are sharded: then all processes must ask."""
        weights = {n: whole(p) for n, p in self.master.weights.items()}
        state = {"step": self.step, "weights": weights, "optimizer": whole_optimizer(self._optimizer.state_dict())}
        return {**state, **(self.term.state() if self.term is not None else {})}

    def save(self, more: dict[str, Any] | None = None, *, now: bool = False) -> None:
        """A checkpoint, if the last is old enough (`SAVE_SECONDS`, `SAVE_SHARE`) or `now`; `more`: what else decides the next step."""
        began = time.monotonic()
        wait = max(SAVE_SECONDS, min(self._took / SAVE_SHARE, LONGEST_WAIT)) if SAVE_SECONDS > 0 else SAVE_SECONDS
        if not from_main(lambda: now or began - self._saved > wait):
            return
        if main() or sharded(self.master.weights):
            state = {"key": self.key, **self.state(), **(more or {})}
            if main():
                save_checkpoint(self.folder, state)
        self._saved = time.monotonic()
        self._took = self._saved - began


def ready(model: Any) -> None:
    """A model in training, without dropout: a reply's likelihood must not depend on luck."""
    model.train()
    tables_in_place(model)
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
    term: Term | None = None,
) -> dict[str, float]:
    """Runs the batches of `plan` (indices), from the checkpoint `state` if there is one. Returns the last metrics. `master`: what
    `computing_in` gave; without one the weights are trained as they are. `term`: added to every step's loss. Raises `TrainingError` where
    no step had a gradient."""
    if master is None:
        own = {n: p for n, p in model.named_parameters() if p.requires_grad}
        master = Master(own, own)
    stepper = Stepper(master, settings, folder, key, len(plan), term)
    check_alike("run or checkpoint", [key, len(plan), 0 if state is None else state["step"]])
    if state is not None:
        stepper.restore(state)
    path = folder / "metrics.jsonl"
    if main():
        forget_after(path, stepper.step)
    metrics, learnt = dict[str, float](), stepper.step > 0 or not plan
    ready(model)
    with open(path if main() else os.devnull, "a", encoding="utf-8") as log:
        for batch in plan[stepper.step :]:
            loss, metrics = step_loss(batch)
            value = stepper.backward(loss, batch)
            norm = stepper.descend(batch)
            learnt = learnt or norm > 0
            metrics = {"loss": value, "gradient_norm": norm, **metrics}
            log.write(json.dumps({"step": stepper.step, "of": len(plan), **{k: round(v, 6) for k, v in metrics.items()}}) + "\n")
            log.flush()
            if progress is not None:
                progress(stepper.step, len(plan), value)
            stepper.save()
    model.eval()
    released(model)
    if not learnt:
        what = f"the gradient was 0 at all {len(plan)} steps: nothing was learnt"
        raise TrainingError(what, remedy="look at the weights of the model, of the rows and of the classes", file=folder)
    return metrics
