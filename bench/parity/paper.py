"""The papers' formulas once more, term by term in float64, apart from `trueline.algos.losses` and from TRL.

Each takes one example and returns one number (a tensor without dimensions). Names follow the papers where they can.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

Tensor = torch.Tensor


@dataclass(frozen=True)
class Pair:
    """log pi of chosen (w) and rejected (l), of policy and reference; their tokens; the row's margin."""

    w: Tensor
    l: Tensor  # noqa: E741
    ref_w: Tensor
    ref_l: Tensor
    n_w: int
    n_l: int
    margin: float = 0.0


@dataclass(frozen=True)
class Single:
    """log pi of a completion, of policy and reference; the baseline z0; whether it is desirable."""

    y: Tensor
    ref_y: Tensor
    z0: float
    desirable: bool


def s(x: Tensor) -> Tensor:
    """The logistic function, 1 / (1 + e^-x)."""
    return 1 / (1 + torch.exp(-x))


def log(x: Tensor | float) -> Tensor:
    """Natural logarithm."""
    return torch.log(torch.as_tensor(x, dtype=torch.float64))


def h(p: Pair) -> Tensor:
    """log (pi(w) / ref(w)) - log (pi(l) / ref(l))."""
    return (p.w - p.ref_w) - (p.l - p.ref_l)


def per_token(p: Pair) -> Tensor:
    """The same with both log-ratios divided by their tokens."""
    return (p.w - p.ref_w) / p.n_w - (p.l - p.ref_l) / p.n_l


def dpo(p: Pair, beta: float, label_smoothing: float = 0.0, sft_weight: float = 0.0, margin_weight: float = 0.0) -> Tensor:
    """2305.18290 eq. 7, cDPO, ODPO; with sft_weight the term of 2404.19733."""
    z = beta * h(p) - margin_weight * p.margin
    return -(1 - label_smoothing) * log(s(z)) - label_smoothing * log(s(-z)) + sft_weight * (-p.w / p.n_w)


def robust(p: Pair, beta: float, label_smoothing: float) -> Tensor:
    """2403.00409: ((1 - e) L(w, l) - e L(l, w)) / (1 - 2 e)."""
    e, z = label_smoothing, beta * h(p)
    return ((1 - e) * -log(s(z)) - e * -log(s(-z))) / (1 - 2 * e)


def exo(p: Pair, beta: float, label_smoothing: float) -> Tensor:
    """2402.00856 eq. 16: KL of the two softmaxes over (w, l)."""
    a, b = beta * (p.w - p.ref_w), beta * (p.l - p.ref_l)
    q_w, q_l = torch.exp(a) / (torch.exp(a) + torch.exp(b)), torch.exp(b) / (torch.exp(a) + torch.exp(b))
    return q_w * log(q_w / (1 - label_smoothing)) + q_l * log(q_l / label_smoothing)


def discopop(p: Pair, beta: float) -> Tensor:
    """2406.08414 eq. 5, tau 0.05."""
    z = beta * h(p)
    w = s(z / 0.05)
    return (1 - w) * -log(s(z)) + w * torch.exp(-z)


def simpo(p: Pair, beta: float, gamma: float, label_smoothing: float = 0.0, sft_weight: float = 0.0) -> Tensor:
    """2405.14734 eq. 6."""
    z = beta / p.n_w * p.w - beta / p.n_l * p.l - gamma
    return -(1 - label_smoothing) * log(s(z)) - label_smoothing * log(s(-z)) - sft_weight * p.w / p.n_w


def cpo(p: Pair, beta: float, label_smoothing: float = 0.0) -> Tensor:
    """2401.08417: preference term and the likelihood of w, per token as in its authors' code."""
    z = beta * p.w - beta * p.l
    return -(1 - label_smoothing) * log(s(z)) - label_smoothing * log(s(-z)) - p.w / p.n_w


def odds(p: Pair, beta: float) -> Tensor:
    """2403.07691 eq. 7 times lambda: -log sigma(log (odds(w) / odds(l))), odds = P / (1 - P), P = exp(mean log pi)."""
    p_w, p_l = torch.exp(p.w / p.n_w), torch.exp(p.l / p.n_l)
    return -beta * log(s(log((p_w / (1 - p_w)) / (p_l / (1 - p_l)))))


def kto(x: Single, beta: float, desirable_weight: float, undesirable_weight: float) -> Tensor:
    """2402.01306 section 4.1: lambda_y - v(x, y)."""
    r = x.y - x.ref_y
    if x.desirable:
        return desirable_weight - desirable_weight * s(beta * (r - x.z0))
    return undesirable_weight - undesirable_weight * s(beta * (x.z0 - r))


FORMULAS: dict[str, Callable[..., Any]] = {
    "dpo": dpo,
    "dpo_norm": lambda p, beta: -log(s(beta * per_token(p))),  # Tulu 3, 2411.15124
    "ipo": lambda p, beta: (h(p) - 1 / (2 * beta)) ** 2,  # 2310.12036 eq. 17
    "ipo_norm": lambda p, beta: (per_token(p) - 1 / (2 * beta)) ** 2,
    "hinge": lambda p, beta: torch.clamp(1 - beta * h(p), min=0),  # 2305.10425
    "robust": robust,
    "exo": exo,
    "nca": lambda p, beta: -log(s(beta * (p.w - p.ref_w))) - 0.5 * log(s(-beta * (p.w - p.ref_w))) - 0.5 * log(s(-beta * (p.l - p.ref_l))),
    "bco": lambda p, beta: -log(s(beta * (p.w - p.ref_w))) - log(s(-beta * (p.l - p.ref_l))),
    "sppo": lambda p, beta: (p.w - p.ref_w - 1 / (2 * beta)) ** 2 + (p.l - p.ref_l + 1 / (2 * beta)) ** 2,
    "apo_zero": lambda p, beta: 1 - s(beta * (p.w - p.ref_w)) + s(beta * (p.l - p.ref_l)),
    "apo_down": lambda p, beta: s(beta * (p.w - p.ref_w)) + 1 - s(beta * h(p)),
    "discopop": discopop,
    "simpo": simpo,
    "cpo": cpo,
    "odds": odds,
    "orpo": lambda p, beta: -p.w / p.n_w + odds(p, beta),  # eq. 6
    "kto": kto,
    "apo_zero_unpaired": lambda x, beta: 1 - s(beta * (x.y - x.ref_y)) if x.desirable else s(beta * (x.y - x.ref_y)),
}
