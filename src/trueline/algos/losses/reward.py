"""Losses of reward models: which reward must be larger (pairs, rankings) or how large it must be (ratings).

Each takes rewards and gives one loss an example; the caller weights and reduces. A constant added to every reward changes nothing in
`bradley_terry` and `plackett_luce`; `ordinal` fixes it by its thresholds.
"""

from __future__ import annotations

import torch
from torch.nn.functional import logsigmoid, softplus

LOSSES = ("bradley-terry", "plackett-luce", "ordinal")
"""Names as the command line has them: of pairs, of rankings, of ratings."""


def bradley_terry(chosen: torch.Tensor, rejected: torch.Tensor, margin: torch.Tensor | float = 0.0) -> torch.Tensor:
    """-log sigmoid(r_chosen - r_rejected - margin), shape (pairs,); the margin of Llama 2 (2307.09288, eq. 2)."""
    return -logsigmoid(chosen - rejected - margin)


def plackett_luce(rewards: torch.Tensor, ranks: torch.Tensor, keep: torch.Tensor) -> torch.Tensor:
    """Negative log-likelihood of rankings, shape (rows,). rewards, ranks, keep: (rows, K); rank 1 is the best, `keep` False is padding.

    Without ties: the sum over i of log sum_{j : rank_j >= rank_i} exp(r_j) - r_i (Plackett 1975; Luce 1959), for K = 2 Bradley-Terry.
    A tie says that the raters gave no order, so tied replies are not compared with each other: each is the best of itself and
    what is strictly worse, whose probability is that of Luce's axiom. What is tied last is thus the exact likelihood of a top-k list;
    a tie above is a composite likelihood of true marginals (its score has mean 0 at the truth). Davidson's model would learn a further
    number, how readily raters call ties, of which a reward has no use."""
    beside = keep[:, None, :] & keep[:, :, None]
    eye = torch.eye(ranks.shape[1], dtype=torch.bool, device=ranks.device)
    against = beside & ((ranks[:, None, :] > ranks[:, :, None]) | eye)
    # a padded row of `against` is all False; its own reward stands there so that logsumexp and its gradient stay finite
    against = against | (eye & ~keep[:, :, None])
    lowest = torch.finfo(rewards.dtype).min
    safe = rewards.masked_fill(~keep, 0.0)
    log_sums = torch.logsumexp(safe[:, None, :].expand(*against.shape).masked_fill(~against, lowest), dim=2)
    return torch.where(keep, log_sums - safe, 0.0).sum(dim=1)


def ordered_thresholds(raw: torch.Tensor) -> torch.Tensor:
    """(levels - 1,) strictly rising thresholds of unbounded numbers: the first as it is, then steps of softplus(raw) > 0."""
    return torch.cumsum(torch.cat([raw[:1], softplus(raw[1:])]), dim=0)


def ordinal(rewards: torch.Tensor, levels: torch.Tensor, thresholds: torch.Tensor) -> torch.Tensor:
    """Negative log-likelihood of ratings under proportional odds, P(level <= k) = sigmoid(theta_k - r) (McCullagh 1980), shape (rows,).

    levels: integers (rows,) from 0 to len(thresholds); thresholds: rising. The middle levels use
    sigmoid(a) - sigmoid(b) = sigmoid(a) sigmoid(-b) (1 - exp(b - a)), which keeps its digits where both are near 0 or 1."""
    top = len(thresholds)
    upper = thresholds[levels.clamp(max=top - 1)] - rewards
    lower = thresholds[(levels - 1).clamp(min=0)] - rewards
    below = torch.where(levels < top, logsigmoid(upper), 0.0)
    above = torch.where(levels > 0, logsigmoid(-lower), 0.0)
    inner = (levels > 0) & (levels < top)
    gap = torch.where(inner, (upper - lower).clamp(min=torch.finfo(rewards.dtype).tiny), 1.0)
    return -(below + above + torch.where(inner, torch.log(-torch.expm1(-gap)), 0.0))


def likeliest_level(rewards: torch.Tensor, thresholds: torch.Tensor) -> torch.Tensor:
    """The median level of each reward under proportional odds, integers (rows,): the number of thresholds below it."""
    return (rewards[:, None] > thresholds[None, :]).sum(dim=1)
