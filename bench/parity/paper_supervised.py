"""The formulas of reward models and supervised fine-tuning once more in float64, apart from `trueline.algos.losses` and from TRL."""

from __future__ import annotations

from collections.abc import Sequence

import torch

Tensor = torch.Tensor


def s(x: Tensor) -> Tensor:
    """The logistic function."""
    return 1 / (1 + torch.exp(-x))


def bradley_terry(chosen: Tensor, rejected: Tensor, margin: float) -> Tensor:
    """2307.09288 eq. 2: -log sigma(r_c - r_r - m)."""
    return -torch.log(s(chosen - rejected - margin))


def plackett_luce(rewards: Sequence[Tensor], ranks: Sequence[int]) -> Tensor:
    """Plackett (1975): every place is a choice among what is left, with chances as e^r. What shares the last rank was not chosen at all."""
    order = sorted(range(len(ranks)), key=lambda i: ranks[i])
    last = max(ranks) if list(ranks).count(max(ranks)) > 1 else len(ranks) + 1
    chance = torch.ones((), dtype=rewards[0].dtype)
    for k, i in enumerate(order):
        if ranks[i] < last:
            chance = chance * torch.exp(rewards[i]) / sum(torch.exp(rewards[j]) for j in order[k:])
    return -torch.log(chance)


def cuts(raw: Tensor) -> list[Tensor]:
    """Rising thresholds: the first, then steps of log(1 + e^x)."""
    out = [raw[0]]
    for x in raw[1:]:
        out.append(out[-1] + torch.log(1 + torch.exp(x)))
    return out


def ordinal(reward: Tensor, level: int, thresholds: Sequence[Tensor]) -> Tensor:
    """McCullagh (1980): P(level <= k) = sigma(theta_k - r)."""
    below = s(thresholds[level] - reward) if level < len(thresholds) else 1.0
    above = s(thresholds[level - 1] - reward) if level > 0 else 0.0
    return -torch.log(below - above)


def nll(logps: Tensor) -> Tensor:
    """The sum of -log p over a reply's tokens."""
    return -logps.sum()


def constrained(logps: Tensor, reference: Sequence[float]) -> Tensor:
    """2406.05946 eq. 3, summed over a reply's tokens: -(2 / beta_t) log sigma(beta_t log (pi / pi_aligned)), with beta 0.5 for the first token, 2
    for the next four and 0.1 after (section 4.2)."""
    betas = [0.5, 2.0, 2.0, 2.0, 2.0]
    terms = []
    for t, ref in enumerate(reference):
        beta = betas[t] if t < len(betas) else 0.1
        terms.append(-2 / beta * torch.log(s(beta * (logps[t] - ref))))
    return torch.stack(terms).sum()
