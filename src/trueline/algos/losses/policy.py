"""Policy-gradient losses: one table from a variant's name to what it is made of, and the pure pieces.

Tensors are (replies, tokens) with `keep`, True where a token counts. A loss gives one number a token (or a reply, as (replies, 1)) and
`shares` what each of them counts for, so that the sum is the loss of the whole step however it was cut into micro-batches.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from trueline.errors import RunFileError

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


@dataclass(frozen=True, slots=True)
class Variant:
    """advantage: a name in `advantages.OF_GROUPS`, or gae; ratio: in `RATIOS`; reduce: see `shares`; kl_in: the penalty's place, loss or
    reward; defaults: the options it uses, with their usual values; source: paper and equation."""

    advantage: str
    ratio: str
    reduce: str
    kl_in: str
    defaults: Mapping[str, float]
    source: str


_CLIP = {"clip_low": 0.2, "clip_high": 0.2}
VARIANTS: dict[str, Variant] = {
    "grpo": Variant("standardised", "token", "reply", "loss", {"kl_weight": 0.04, **_CLIP}, "2402.03300 eq. 3"),
    "dr_grpo": Variant("centred", "token", "constant", "loss", {"kl_weight": 0.0, **_CLIP}, "2503.20783 section 3.2"),
    "dapo": Variant("standardised", "token", "token", "loss", {"kl_weight": 0.0, "clip_low": 0.2, "clip_high": 0.28, "drop_equal": 1.0},
                    "2503.14476 eq. 8"),
    "gspo": Variant("standardised", "mean", "reply", "loss", {"kl_weight": 0.0, "clip_low": 3e-4, "clip_high": 4e-4}, "2507.18071 eq. 5"),
    "rloo": Variant("leave_one_out", "reply", "reply", "reward", {"kl_weight": 0.05, **_CLIP}, "2402.14740 section 3"),
    "ppo": Variant("gae", "token", "token", "reward",
                   {"kl_weight": 0.05, **_CLIP, "value_clip": 0.2, "gamma": 1.0, "lam": 0.95},
                   "1707.06347 eq. 7 and 9; penalty as in 2203.02155"),
}  # fmt: skip
METHODS: dict[str, tuple[str, ...]] = {"grpo": ("grpo", "dr_grpo", "dapo", "gspo"), "rloo": ("rloo",), "ppo": ("ppo",)}
"""Method -> its variants, the usual one first."""


@dataclass(frozen=True, slots=True)
class PolicyOptions:
    """What a variant may use. kl_weight: beta, of the KL to the reference per token; clip_low, clip_high: how far a ratio may count below and
    above 1; drop_equal: 1 leaves groups of equal reward out of the step; value_clip: how far the value may move in one update; gamma, lam: of
    `gae`. Raises `RunFileError` out of range."""

    kl_weight: float = 0.0
    clip_low: float = 0.2
    clip_high: float = 0.2
    drop_equal: float = 0.0
    value_clip: float = 0.2
    gamma: float = 1.0
    lam: float = 0.95

    def __post_init__(self) -> None:
        bounds = {"clip_low": 1.0, "gamma": 1.0, "lam": 1.0, "drop_equal": 1.0}
        for name in OPTIONS:
            value, top = getattr(self, name), bounds.get(name, float("inf"))
            if not 0 <= value <= top or value == float("inf"):
                raise RunFileError(f"{name} must lie in [0, {top}], got {value}", remedy=f"mend {name}")


OPTIONS = tuple(PolicyOptions.__dataclass_fields__)


def variant(method: str, name: str | None, given: Mapping[str, float | None] | None = None) -> tuple[str, Variant, PolicyOptions]:
    """(name, variant, its options) of a method; `given`: options by name, None where not given. Raises `RunFileError` for an unknown name or
    an option without effect."""
    names = METHODS[method]
    chosen = name or names[0]
    if chosen not in names:
        raise RunFileError(f"unknown variant {chosen!r} of {method}, expected one of {', '.join(names)}", remedy="choose one of these")
    found = VARIANTS[chosen]
    named = {k: v for k, v in (given or {}).items() if v is not None}
    for option in named:
        if option not in OPTIONS:
            raise RunFileError(f"unknown option {option!r}, expected one of {', '.join(OPTIONS)}", remedy="mend its name")
        if option not in found.defaults:
            users = " or ".join(n for n, v in VARIANTS.items() if option in v.defaults)
            raise RunFileError(f"{option} has no effect on {chosen}", remedy=f"remove it, or use {users}")
    return chosen, found, PolicyOptions(**{**found.defaults, **named})
