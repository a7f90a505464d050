"""The direct preference family: one table of pure losses from log-probabilities to one loss a pair.

Every function takes policy log-probabilities of chosen and rejected minus those of the reference (the implicit rewards
over beta), shape (pairs,), and returns (pairs,). The caller reduces. An option that a loss does not use is an error.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.nn.functional import logsigmoid

from trueline.errors import RunFileError

Tensor = torch.Tensor


@dataclass(frozen=True, slots=True)
class PreferenceOptions:
    """`beta`: strength of the pull to the reference; `label_smoothing`: share of flipped labels assumed (cDPO), [0, 0.5)."""

    beta: float = 0.1
    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        if not self.beta > 0:
            raise RunFileError(f"beta must be above 0, got {self.beta}", remedy="the usual value is 0.1")
        if not 0 <= self.label_smoothing < 0.5:
            raise RunFileError(f"label_smoothing must lie in [0, 0.5), got {self.label_smoothing}", remedy="0 turns it off")


def dpo(chosen: Tensor, rejected: Tensor, o: PreferenceOptions) -> Tensor:
    """-log sigmoid(beta (chosen - rejected)), eq. 7 of 2305.18290; with label smoothing the conservative form (cDPO)."""
    z = o.beta * (chosen - rejected)
    return -(1 - o.label_smoothing) * logsigmoid(z) - o.label_smoothing * logsigmoid(-z)


def ipo(chosen: Tensor, rejected: Tensor, o: PreferenceOptions) -> Tensor:
    """(chosen - rejected - 1 / (2 beta))^2, eq. 17 of 2310.12036."""
    return (chosen - rejected - 1 / (2 * o.beta)) ** 2


def hinge(chosen: Tensor, rejected: Tensor, o: PreferenceOptions) -> Tensor:
    """max(0, 1 - beta (chosen - rejected)), SLiC-HF (2305.10425) with a reference."""
    return torch.relu(1 - o.beta * (chosen - rejected))


def robust(chosen: Tensor, rejected: Tensor, o: PreferenceOptions) -> Tensor:
    """The unbiased loss under flipped labels, eq. 12 of 2403.00409; `label_smoothing` is the flip rate."""
    z, e = o.beta * (chosen - rejected), o.label_smoothing
    return (-(1 - e) * logsigmoid(z) + e * logsigmoid(-z)) / (1 - 2 * e)


LOSSES: dict[str, Callable[[Tensor, Tensor, PreferenceOptions], Tensor]] = {"dpo": dpo, "ipo": ipo, "hinge": hinge, "robust": robust}
SMOOTHED = frozenset({"dpo", "robust"})


def preference_loss(name: str, o: PreferenceOptions) -> Callable[[Tensor, Tensor], Tensor]:
    """The loss by name with its options. Raises `RunFileError` for an unknown name or an option without effect."""
    if name not in LOSSES:
        raise RunFileError(f"unknown loss {name!r}, expected one of {', '.join(LOSSES)}", remedy="mend `loss`")
    if o.label_smoothing and name not in SMOOTHED:
        raise RunFileError(f"label_smoothing has no effect on {name}", remedy=f"remove it, or use {' or '.join(sorted(SMOOTHED))}")
    chosen = LOSSES[name]
    return lambda c, r: chosen(c, r, o)
