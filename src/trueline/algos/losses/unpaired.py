"""Unpaired preference losses: one completion that people found desirable or not in, one loss a completion out."""

from __future__ import annotations

import torch

from trueline.algos.losses.options import PreferenceOptions

Tensor = torch.Tensor


def kl_baseline(policy: Tensor, reference: Tensor) -> Tensor:
    """z0 of KTO (2402.01306, section 4.1): the mean log-ratio of completions that belong to other prompts, at least 0; (m,) and
    (m,) in nats to a number. It estimates KL(policy || reference) and carries no gradient."""
    return (policy - reference).mean().clamp(min=0).detach()


def kto(scores: Tensor, desirable: Tensor, o: PreferenceOptions, baseline: Tensor | float) -> Tensor:
    """lambda - v of KTO (2402.01306, section 4.1): desirable_weight (1 - sigmoid(beta (score - z0))), and where undesirable
    undesirable_weight (1 - sigmoid(beta (z0 - score))). scores: (rows,) log-ratios; desirable: (rows,) bool; (rows,)."""
    z = o.beta * (scores - baseline)
    return torch.where(desirable, o.desirable_weight * torch.sigmoid(-z), o.undesirable_weight * torch.sigmoid(z))


def apo_zero_unpaired(scores: Tensor, desirable: Tensor, o: PreferenceOptions, baseline: Tensor | float) -> Tensor:
    """The same with z0 = 0: APO-zero (2408.06266, eq. 7) on single completions."""
    return kto(scores, desirable, o, 0.0)
