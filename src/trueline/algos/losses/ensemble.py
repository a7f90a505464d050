"""One reward of several members' rewards: their mean, their worst, or the mean less what they disagree by.

Worst-case and uncertainty-weighted ensembles nearly remove over-optimisation in best-of-n (2310.02743). The offset of a reward is
free, so members are standardised first: without that the worst member would be the one with the lowest offset.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch

from trueline.errors import TrainingError

Combine = Callable[[torch.Tensor], torch.Tensor]


def standardised(rewards: torch.Tensor, centre: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """(members, n) rewards less each member's `centre`, over its `scale`; both (members,), measured once on the training replies."""
    return (rewards - centre[:, None]) / scale[:, None]


def mean(rewards: torch.Tensor) -> torch.Tensor:
    """(members, n) -> (n,): the mean over the members."""
    return rewards.mean(dim=0)


def worst(rewards: torch.Tensor) -> torch.Tensor:
    """(members, n) -> (n,): the least of the members (2310.02743, worst-case optimisation)."""
    return rewards.min(dim=0).values


def mean_less_deviation(rewards: torch.Tensor, penalty: float) -> torch.Tensor:
    """(members, n) -> (n,): mean - penalty x standard deviation over the members (2310.02743, uncertainty-weighted optimisation, which takes the variance).

    The deviation is the population's (over k, not k - 1): 0 for one member. Its unit is the reward's, so `penalty` has none. Its
    gradient is 0 where the members agree, where the root's would be infinite."""
    centre = rewards.mean(dim=0)
    variance = ((rewards - centre) ** 2).mean(dim=0)
    deviation = torch.where(variance > 0, torch.sqrt(torch.where(variance > 0, variance, 1.0)), 0.0)
    return centre - penalty * deviation


COMBINE = ("mean", "min", "mean-std")


def combine(name: str, penalty: float | None = None) -> Combine:
    """The function of this name. `penalty` belongs to mean-std alone, which needs it; anything else is a `TrainingError`."""
    plain: dict[str, Combine] = {"mean": mean, "min": worst}
    if name not in COMBINE:
        raise TrainingError(f"unknown way to combine {name!r}, expected one of {', '.join(COMBINE)}", remedy="choose one of these")
    if name in plain:
        if penalty is not None:
            raise TrainingError(f"the penalty {penalty} has no effect on {name}", remedy="remove it or combine by mean-std")
        return plain[name]
    if penalty is None or not 0 < penalty < float("inf"):
        raise TrainingError(f"mean-std needs a penalty above 0, got {penalty}", remedy="give one, e.g. 1")
    return partial(mean_less_deviation, penalty=penalty)
