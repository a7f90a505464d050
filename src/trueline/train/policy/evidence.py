"""Evidence against proxy objectives: what the model earns on prompts that it is not trained on, by the reward trained on and by one it never saw,
against its distance from where it began.

In order, every few rollouts: the same held-out prompts with the same draws, proxy, held-out reward, KL, lengths; the decision whether to stop
(`algos.stats.overoptimisation.judged`); the weights of the best measurement are kept.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from trueline.algos.losses.policy import KL
from trueline.algos.stats.overoptimisation import FEWEST_PROMPTS, Measurement, StopSettings, Summary, judged, summary
from trueline.core.ports import Reward
from trueline.engine.loading import LocalModel
from trueline.errors import RunFileError, TrainingError
from trueline.train.distributed import main
from trueline.train.policy.rollout import Asked, Rollout, roll_out
from trueline.train.rewarding import Composed, Scored
from trueline.train.scoring import scores_of

FILE = "held_out.jsonl"
LEAST_LOOKS = 4  # of the stop rule's windows


@dataclass(frozen=True, slots=True)
class HeldOut:
    """prompts: never trained on; reward: never trained on either, None where there is none (then only the KL budget can stop a run);
    looks: measurements planned."""

    prompts: Asked
    reward: Reward | None
    looks: int
    kl_budget: float | None

    def stop(self) -> StopSettings:
        """The stop rule's settings."""
        return StopSettings(self.looks, kl_budget=self.kl_budget)


def check_decidable(prompts: int, looks: int) -> None:
    """Raises `RunFileError` where over-optimisation could not be decided on so many held-out prompts and measurements."""
    if prompts < FEWEST_PROMPTS:
        what = f"{prompts} held-out prompts, expected at least {FEWEST_PROMPTS}: fewer cannot show over-optimisation"
        raise RunFileError(what, remedy="hold out more prompts, or give no held-out reward")
    if looks < LEAST_LOOKS:
        what = f"{looks} measurements planned, expected at least {LEAST_LOOKS}: fewer cannot show over-optimisation"
        raise RunFileError(what, remedy="lower measure_every, or give no held-out reward")


def checked(held_out: HeldOut) -> HeldOut:
    """The same, or `RunFileError` where there is a reward to judge by and too little to judge on."""
    if held_out.reward is not None:
        check_decidable(len(held_out.prompts), held_out.looks)
    return held_out


def proxy_of(reward: Composed, scored: Scored) -> list[float]:
    """What the terms give, (n,), multipliers and penalties left out: they move while a run goes on, and a measure must not."""
    total = np.sum([t.weight * scored.parts[t.name] for t in reward.terms], axis=0)
    return [float(x) for x in total]


def reply_kl(sampled: torch.Tensor, reference: torch.Tensor, keep: torch.Tensor) -> torch.Tensor:
    """KL to the reference of every reply in nats, estimated by the sum of k3 over its tokens: unbiased and never negative; (replies,)."""
    return torch.where(keep, KL["k3"](sampled, reference), torch.zeros_like(reference)).sum(dim=1)


def measure(
    local: LocalModel,
    held_out: HeldOut,
    reward: Composed,
    logps: Callable[[Rollout], tuple[torch.Tensor, torch.Tensor]],
    step: int,
    most: int,
    temperature: float,
    seed: int,
) -> Measurement:
    """One look: a reply to every held-out prompt, with the same draws at every step. `logps`: of a rollout, by the model and the reference."""
    rollout = roll_out(local, held_out.prompts, range(len(held_out.prompts)), 1, most, temperature, seed, "held out")
    proxy = proxy_of(reward, reward.score(rollout.conversations, rollout.ended))
    gold = proxy if held_out.reward is None else list(map(float, scores_of("the held-out reward", held_out.reward, rollout.conversations)))
    kl = float(reply_kl(*logps(rollout), rollout.keep).mean())
    return Measurement(step, kl, tuple(proxy), tuple(gold), tuple(len(c[-1].content) for c in rollout.conversations))


class Record:
    """The measurements of a run, a line each in held_out.jsonl, and what follows from them."""

    def __init__(self, folder: Path, held_out: HeldOut, done: int | None) -> None:
        """`done`: rollouts of the checkpoint that is gone on from; None: the run begins, and what an earlier one left is not its own."""
        self._path, self.held_out = folder / FILE, held_out
        self.history = [] if done is None else [m for m in _read(self._path) if m.step <= done]
        if main():
            beside = self._path.with_name(FILE + ".part")
            beside.write_text("".join(_line(m) for m in self.history), encoding="utf-8")
            os.replace(beside, self._path)

    def add(self, m: Measurement) -> None:
        """Keeps a look."""
        self.history.append(m)
        with open(self._path if main() else os.devnull, "a", encoding="utf-8") as f:
            f.write(_line(m))

    def verdict(self) -> str | None:
        """The reason to stop at the latest look, or None."""
        if not self.history:
            return None
        m = self.history[-1]
        if self.held_out.reward is None:
            over = self.held_out.kl_budget is not None and m.kl > self.held_out.kl_budget
            return f"The KL of {m.kl:.3g} nats is above the budget of {self.held_out.kl_budget:g}." if over else None
        found = judged(self.history, self.held_out.stop())
        return found.text if found.stop else None

    def best(self, look: Measurement) -> bool:
        """Whether a look is better than all before it: by the held-out reward, or, where there is none, simply within the KL budget. The
        first always is."""
        if not self.history:
            return True
        if self.held_out.kl_budget is not None and look.kl > self.held_out.kl_budget:
            return False
        return self.held_out.reward is None or math.fsum(look.held_out) > max(math.fsum(m.held_out) for m in self.history)

    def told(self, kept: int) -> dict[str, Any]:
        """For train.json: the look at the step whose weights are kept and, with a held-out reward, curves, fitted law, gap and lengths."""
        last = next((m for m in self.history if m.step == kept), self.history[-1])
        told: dict[str, Any] = {
            "held_out_prompts": len(self.held_out.prompts),
            "step": last.step,
            "kl": last.kl,
            "proxy": _mean(last.proxy),
        }
        if self.held_out.reward is None:
            return {**told, "over_optimisation": "not measured: no held-out reward was given"}
        found: Summary = summary(self.history, self.held_out.stop())
        law = None if found.law is None else {**asdict(found.law), "formula": "gain = d (alpha - beta log d), d = sqrt(KL), 2210.10760"}
        curves = {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(found).items() if k != "law"}
        return {**told, "held_out": _mean(last.held_out), "law": law or "insufficient evidence", "curves": curves}


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _line(m: Measurement) -> str:
    return json.dumps(asdict(m)) + "\n"


def _read(path: Path) -> list[Measurement]:
    if not path.exists():
        return []
    try:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n")[:-1]]  # the last one may be cut short
        return [Measurement(r["step"], r["kl"], tuple(r["proxy"]), tuple(r["held_out"]), tuple(r["characters"])) for r in rows]
    except (ValueError, TypeError, KeyError) as e:
        raise TrainingError(
            f"these measurements cannot be read ({type(e).__name__})", remedy="remove the folder to start over", file=path
        ) from None
