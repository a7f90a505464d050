"""Advantages of reinforcement learning: by how much a reply, or a token of it, was better than expected.

Of groups: several replies to one prompt are each other's baseline, and no value model is needed. `gae`: a value model's baseline, token by token.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

Tensor = torch.Tensor
EPSILON = 1e-4  # keeps a group of nearly equal rewards from being blown up


def centred(rewards: Tensor) -> Tensor:
    """Reward less the group's mean (Dr. GRPO, 2503.20783, section 3.2). rewards: (groups, size); the same shape."""
    return rewards - rewards.mean(dim=1, keepdim=True)


def standardised(rewards: Tensor) -> Tensor:
    """Reward less the group's mean, over the group's standard deviation (GRPO, 2402.03300, section 4.1.2). (groups, size); a group of
    equal rewards gives zeros."""
    return centred(rewards) / (rewards.std(dim=1, keepdim=True) + EPSILON)


def leave_one_out(rewards: Tensor) -> Tensor:
    """Reward less the mean of the group's others (RLOO, 2402.14740, section 3): unbiased, since no reply is in its own baseline.
    (groups, size)."""
    size = rewards.shape[1]
    return centred(rewards) * (size / (size - 1))


OF_GROUPS: dict[str, Callable[[Tensor], Tensor]] = {"centred": centred, "standardised": standardised, "leave_one_out": leave_one_out}
"""Name -> advantages (groups, size) of rewards (groups, size), size at least 2."""


def gae(rewards: Tensor, values: Tensor, keep: Tensor, gamma: float, lam: float) -> tuple[Tensor, Tensor]:
    """(advantages, returns) by generalised advantage estimation (1506.02438, eq. 16), both (rows, tokens), zero where not `keep`.

    rewards: of each token; values: expected before each token; keep: True where a token counts, a row's kept tokens first. What comes
    after a row's last token is worth nothing: every reply ends."""
    out = torch.zeros_like(values)
    later = torch.zeros_like(values[:, 0])
    following = torch.zeros_like(later)
    for t in range(values.shape[1] - 1, -1, -1):
        here = keep[:, t]
        delta = rewards[:, t] + gamma * following - values[:, t]
        later = torch.where(here, delta + gamma * lam * later, torch.zeros_like(later))
        following = torch.where(here, values[:, t], following)
        out[:, t] = later
    return out, torch.where(keep, out + values, torch.zeros_like(out))


def whitened(advantages: Tensor, keep: Tensor) -> Tensor:
    """Mean 0 and variance 1 over the tokens that count, zero elsewhere; (rows, tokens). A single token becomes 0."""
    own = advantages[keep]
    spread = own.std(correction=0) if own.numel() else own.new_zeros(())
    return torch.where(keep, (advantages - own.mean()) / (spread + 1e-8), torch.zeros_like(advantages))
