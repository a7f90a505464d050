"""Policy-gradient losses, their pure pieces: divergences, ratios, the clipped surrogate, the value loss. Which variant is made of which
stands in `policy_variants`.

Tensors are (replies, tokens) with `keep`, True where a token counts. A loss gives one number a token (or a reply, as (replies, 1)) and
`shares` what each of them counts for, so that the sum is the loss of the whole step however it was cut into micro-batches.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

Tensor = torch.Tensor


def k1(logps: Tensor, reference: Tensor) -> Tensor:
    """log(p / q) of tokens drawn from p: unbiased for KL(p || q), may be negative."""
    return logps - reference


def k2(logps: Tensor, reference: Tensor) -> Tensor:
    """Half the square of log(p / q): its gradient on samples of p is that of KL(p || q)."""
    return (logps - reference).square() / 2


def k3(logps: Tensor, reference: Tensor) -> Tensor:
    """q / p - 1 - log(q / p): unbiased for KL(p || q), never negative (Schulman, "Approximating KL divergence", 2020)."""
    apart = reference - logps
    return torch.expm1(apart) - apart


KL: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"k1": k1, "k2": k2, "k3": k3}


def token_ratio(logps: Tensor, old: Tensor, keep: Tensor) -> Tensor:
    """p / p_old of every token, (replies, tokens)."""
    return torch.where(keep, logps - old, torch.zeros_like(logps)).exp()


def reply_ratio(logps: Tensor, old: Tensor, keep: Tensor) -> Tensor:
    """p / p_old of the whole reply, (replies, 1)."""
    return torch.where(keep, logps - old, torch.zeros_like(logps)).sum(dim=1, keepdim=True).exp()


def mean_ratio(logps: Tensor, old: Tensor, keep: Tensor) -> Tensor:
    """The geometric mean of the tokens' ratios, (replies, 1) (GSPO, 2507.18071, eq. 7)."""
    apart = torch.where(keep, logps - old, torch.zeros_like(logps)).sum(dim=1, keepdim=True)
    return (apart / keep.sum(dim=1, keepdim=True).clamp(min=1)).exp()


RATIOS: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {"token": token_ratio, "reply": reply_ratio, "mean": mean_ratio}


def clipped(ratio: Tensor, advantages: Tensor, low: float, high: float) -> Tensor:
    """-min(ratio A, clip(ratio, 1 - low, 1 + high) A) (PPO, 1707.06347, eq. 7; two clips: DAPO, 2503.14476, eq. 8). The shape that
    ratio and advantages broadcast to."""
    return -torch.minimum(ratio * advantages, ratio.clamp(1 - low, 1 + high) * advantages)


def clipped_value(values: Tensor, old: Tensor, returns: Tensor, clip: float) -> Tensor:
    """Half the larger squared error of the value and of the value kept within `clip` of the old one (1707.06347's authors' code; (n,)
    or (replies, tokens))."""
    near = old + (values - old).clamp(-clip, clip)
    return torch.maximum((values - returns).square(), (near - returns).square()) / 2


def shares(keep: Tensor, reduce: str, replies: int, tokens: int, longest: int) -> Tensor:
    """What every token counts for, (replies, tokens), summing to 1 over a whole step of `replies` replies and `tokens` tokens.

    reply: every reply the same, its tokens alike; token: every token the same; constant: every token 1 / (replies x `longest`), so that
    neither a reply's length nor the others' changes its weight (2503.20783; this one sums to less than 1)."""
    if reduce == "reply":
        return keep / keep.sum(dim=1, keepdim=True).clamp(min=1) / replies
    return keep / (tokens if reduce == "token" else replies * longest)
