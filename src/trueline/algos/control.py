"""What steers a run of reinforcement learning from outside: the KL coefficient that holds a target, and multipliers of constraints.

Each is a frozen record whose `after` gives the next one; `dataclasses.asdict` writes it and the constructor reads it back.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from trueline.errors import DataError, RunFileError, TrainingError

CLIP = 0.2  # 1909.08593, section 2.2: one reading moves the coefficient as an error of at most 20 % would


def _positive(name: str, value: float) -> None:
    if not math.isfinite(value) or value <= 0:
        raise RunFileError(f"{name} must be finite and above 0, got {value}", remedy=f"mend {name}")


@dataclass(frozen=True, slots=True)
class AdaptiveKl:
    """coefficient: weight of the KL penalty, reward per nat. target: mean KL of a reply to the reference, nats. horizon: replies
    over which the coefficient changes by at most 20 %. Raises `RunFileError` where one is not above 0."""

    coefficient: float
    target: float
    horizon: float

    def __post_init__(self) -> None:
        for name in ("coefficient", "target", "horizon"):
            _positive(name, getattr(self, name))

    def after(self, kl: float, n: int) -> AdaptiveKl:
        """The controller after `n` replies of mean `kl` nats (1909.08593, section 2.2, its K as n / horizon): e = (kl / target - 1) clipped
        to +-0.2, coefficient x (1 + e n / horizon). `kl` may be below 0: an estimate may. Raises `TrainingError` for a kl that is not a
        number, and for n outside 1 .. 5 horizon, from where on the coefficient could reach 0 and never come back."""
        if not math.isfinite(kl):
            raise TrainingError(f"the KL to the reference is {kl}, expected a finite number", remedy="lower the learning rate")
        if not 0 < CLIP * n < self.horizon:
            most = self.horizon / CLIP
            raise TrainingError(f"{n} replies an update, expected 1 or more and fewer than {most:g}", remedy="raise the horizon")
        error = min(max(kl / self.target - 1, -CLIP), CLIP)
        return replace(self, coefficient=self.coefficient * (1 + error * n / self.horizon))


@dataclass(frozen=True, slots=True)
class Multiplier:
    """The Lagrange multiplier of a constraint E[cost] <= limit, reward per unit of cost.

    limit: in units of cost. rate: change of log value per unit of excess cost. lowest, highest: the value stays within them; a lowest
    above 0 lets it come back after a long time of slack, a highest bounds the pull of a constraint that cannot be met.
    Raises `RunFileError` out of range."""

    value: float
    limit: float
    rate: float
    lowest: float = 1e-3
    highest: float = 100.0

    def __post_init__(self) -> None:
        for name in ("value", "rate", "lowest", "highest"):
            _positive(name, getattr(self, name))
        if not math.isfinite(self.limit):
            raise RunFileError(f"limit must be a finite number, got {self.limit}", remedy="give the most that the mean cost may be")
        if self.lowest >= self.highest or not self.lowest <= self.value <= self.highest:
            where = f"{self.lowest:g} <= {self.value:g} <= {self.highest:g}"
            raise RunFileError(f"expected lowest <= value <= highest and lowest < highest, got {where}", remedy="mend one of them")

    def after(self, mean_cost: float) -> Multiplier:
        """The multiplier after a batch of mean cost `mean_cost`: log value + rate x (mean_cost - limit), kept within the bounds.

        Dual ascent in log space. Safe RLHF (2310.12773, eq. 31) steps along the gradient in log value and so has one more factor `value`;
        left out here (the exponentiated gradient: the same fixed point), since with it a multiplier that has become small takes
        a time of 1 / value to answer a violation, without it log(1 / value). Raises `TrainingError` for a cost that is not a number."""
        if not math.isfinite(mean_cost):
            raise TrainingError(f"the mean cost is {mean_cost}, expected a finite number", remedy="look at what the cost model was given")
        factor = math.exp(min(self.rate * (mean_cost - self.limit), 700.0))  # above 709 exp overflows; any bound is reached long before
        return replace(self, value=min(max(self.value * factor, self.lowest), self.highest))


def combined(reward: NDArray[np.floating], costs: NDArray[np.floating], multipliers: Sequence[Multiplier]) -> NDArray[np.float64]:
    """(r - sum_k lambda_k c_k) / (1 + sum_k lambda_k): what is maximised under the constraints (2310.12773, appendix on PPO-Lagrangian).

    reward: (replies,); costs: (replies, constraints); one multiplier a constraint; result: (replies,). The division keeps the scale of
    the update whatever the multipliers are. Raises `DataError` where the shapes disagree."""
    r, c = np.asarray(reward, dtype=np.float64), np.asarray(costs, dtype=np.float64)
    if r.ndim != 1 or c.shape != (len(r), len(multipliers)):
        raise DataError(
            f"rewards of shape {r.shape}, costs of shape {c.shape}, {len(multipliers)} multipliers",
            remedy="give costs of shape (replies, constraints) and one multiplier a constraint",
        )
    weights = np.array([m.value for m in multipliers], dtype=np.float64)
    return np.asarray((r - c @ weights) / (1 + weights.sum()))
