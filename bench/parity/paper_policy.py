"""The papers' policy losses once more, token by token in float64, apart from `trueline.algos` and from TRL.

A formula takes all groups of a step and gives what every reply makes of the loss, so that the step's loss is their mean, and the
advantages: one a reply, or one a token (PPO).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch

Tensor = torch.Tensor
Options = Mapping[str, float]


@dataclass(frozen=True)
class Reply:
    """log pi of every token: `new` with its graph, `old` and `ref` numbers; the reward; PPO's values, old and (with its graph) new; longest:
    the most tokens that a reply may have."""

    new: Tensor
    old: list[float]
    ref: list[float]
    reward: float
    longest: int
    old_values: list[float] = field(default_factory=list)
    values: Tensor | None = None


Groups = Sequence[Sequence[Reply]]
Worked = tuple[list[Tensor], list[float] | list[list[float]]]


def total(terms: list[Tensor]) -> Tensor:
    """Their sum."""
    return torch.stack(terms).sum()


def clip(x: Tensor, low: float, high: float) -> Tensor:
    """x kept in [low, high]."""
    return torch.clamp(x, low, high)


def surrogate(ratio: Tensor, a: float, o: Options) -> Tensor:
    """min(r A, clip(r, 1 - low, 1 + high) A): 1707.06347 eq. 7; with two clips 2503.14476 eq. 8."""
    return torch.minimum(ratio * a, clip(ratio, 1 - o["clip_low"], 1 + o["clip_high"]) * a)


def divergence(new: Tensor, ref: float) -> Tensor:
    """2402.03300 eq. 4: ref / pi - log (ref / pi) - 1."""
    return torch.exp(ref - new) - (ref - new) - 1


def token_terms(y: Reply, a: float, o: Options) -> list[Tensor]:
    """The bracket of 2402.03300 eq. 3, token by token."""
    return [surrogate(torch.exp(y.new[t] - y.old[t]), a, o) - o["kl_weight"] * divergence(y.new[t], y.ref[t]) for t in range(len(y.old))]


def over_deviation(group: Sequence[Reply], constant: float = 1e-4) -> list[float]:
    """2402.03300 section 4.1.2: (r - mean) / std. The constant is ours and TRL's; the paper has none. Sample deviation."""
    r = [y.reward for y in group]
    mean = sum(r) / len(r)
    deviation = math.sqrt(sum((x - mean) ** 2 for x in r) / (len(r) - 1))
    return [(x - mean) / (deviation + constant) for x in r]


def grpo(groups: Groups, o: Options, constant: float = 1e-4) -> Worked:
    """2402.03300 eq. 3: 1 / |o_i| over a reply's tokens."""
    advantages = [over_deviation(g, constant) for g in groups]
    values = [
        -total(token_terms(y, a, o)) / len(y.old) for g, own in zip(groups, advantages, strict=True) for y, a in zip(g, own, strict=True)
    ]
    return values, [a for own in advantages for a in own]


def dr_grpo(groups: Groups, o: Options) -> Worked:
    """2503.20783 section 3.2 and listing 1: no deviation, no length; a constant in place of |o_i|."""
    values, advantages = [], []
    for g in groups:
        mean = sum(y.reward for y in g) / len(g)
        for y in g:
            advantages.append(y.reward - mean)
            values.append(-total(token_terms(y, y.reward - mean, o)) / y.longest)
    return values, advantages


def dapo(groups: Groups, o: Options) -> Worked:
    """2503.14476 eq. 8 with every token of the step the same: 1 / sum |o_i| over all groups."""
    replies, tokens = sum(map(len, groups)), sum(len(y.old) for g in groups for y in g)
    advantages = [a for g in groups for a in over_deviation(g)]
    every = [y for g in groups for y in g]
    return [-total(token_terms(y, a, o)) * replies / tokens for y, a in zip(every, advantages, strict=True)], advantages


def dapo_printed(groups: Groups, o: Options) -> Worked:
    """2503.14476 eq. 8 as printed: the expectation over questions of 1 / sum |o_i| over that question's replies."""
    parts = [dapo([g], o) for g in groups]
    return [v for values, _ in parts for v in values], [a for g in groups for a in over_deviation(g)]


def gspo(groups: Groups, o: Options) -> Worked:
    """2507.18071 eq. 5 with s_i of eq. 7; the penalty, which the paper leaves out, as in GRPO."""
    values, advantages = [], []
    for g in groups:
        for y, a in zip(g, over_deviation(g), strict=True):
            n = len(y.old)
            s = torch.exp(total([y.new[t] - y.old[t] for t in range(n)]) / n)
            penalty = total([divergence(y.new[t], y.ref[t]) for t in range(n)]) / n
            values.append(-surrogate(s, a, o) + o["kl_weight"] * penalty)
            advantages.append(a)
    return values, advantages


def less_the_others(group: Sequence[Reply], o: Options) -> list[float]:
    """2402.14740 section 3: R(y_i) - the mean of the others', R = r - beta log (pi / ref) of the whole reply, by the weights that drew it."""
    r = [y.reward - o["kl_weight"] * (sum(y.old) - sum(y.ref)) for y in group]
    return [r[i] - sum(r[:i] + r[i + 1 :]) / (len(r) - 1) for i in range(len(r))]


def rloo(groups: Groups, o: Options) -> Worked:
    """Its estimator under PPO's clip of the whole reply's ratio, for steps away from the weights that drew the replies."""
    pairs = [(y, a) for g in groups for y, a in zip(g, less_the_others(g, o), strict=True)]
    return [-surrogate(torch.exp(y.new.sum() - sum(y.old)), a, o) for y, a in pairs], [a for _, a in pairs]


def reinforce(groups: Groups, o: Options) -> Worked:
    """2402.14740 section 3 as printed: the gradient of -A log pi(y)."""
    pairs = [(y, a) for g in groups for y, a in zip(g, less_the_others(g, o), strict=True)]
    return [-a * y.new.sum() for y, a in pairs], [a for _, a in pairs]


def gae(y: Reply, o: Options) -> list[float]:
    """1506.02438 eq. 16 as a sum: A_t = sum over l of (gamma lambda)^l delta_{t+l}. The reward comes at the last token, less beta log (pi /
    ref) at every token (2203.02155)."""
    n = len(y.old)
    r = [-o["kl_weight"] * (y.old[t] - y.ref[t]) + (y.reward if t == n - 1 else 0.0) for t in range(n)]
    v = [*y.old_values, 0.0]
    delta = [r[t] + o["gamma"] * v[t + 1] - v[t] for t in range(n)]
    return [sum((o["gamma"] * o["lam"]) ** (k - t) * delta[k] for k in range(t, n)) for t in range(n)]


def ppo(groups: Groups, o: Options) -> Worked:
    """1707.06347 eq. 7, its mean over all tokens of the step, advantages made mean 0 and variance 1 over them as by its authors' code."""
    every = [y for g in groups for y in g]
    raw = [gae(y, o) for y in every]
    flat = [a for own in raw for a in own]
    mean = sum(flat) / len(flat)
    deviation = math.sqrt(sum((a - mean) ** 2 for a in flat) / len(flat))
    advantages = [[(a - mean) / deviation for a in own] for own in raw]
    each = [
        total([surrogate(torch.exp(y.new[t] - y.old[t]), a[t], o) for t in range(len(a))]) for y, a in zip(every, advantages, strict=True)
    ]
    return [-x * len(every) / len(flat) for x in each], advantages


def ppo_value(groups: Groups, o: Options) -> Worked:
    """1707.06347 eq. 9's squared error, halved, the larger of plain and clipped as in its authors' code; returns are A + V."""
    every = [y for g in groups for y in g]
    tokens = sum(len(y.old) for y in every)
    returns = [[a + v for a, v in zip(gae(y, o), y.old_values, strict=True)] for y in every]
    out = []
    for y, target in zip(every, returns, strict=True):
        assert y.values is not None
        terms = []
        for v, was, to in zip(y.values, y.old_values, target, strict=True):
            near = was + clip(v - was, -o["value_clip"], o["value_clip"])
            terms.append(torch.maximum((v - to) ** 2, (near - to) ** 2) / 2)
        out.append(total(terms) * len(every) / tokens)
    return out, returns


FORMULAS: dict[str, Callable[[Groups, Options], Worked]] = {
    "grpo": grpo,
    "grpo, no constant": lambda groups, o: grpo(groups, o, 0.0),
    "dr_grpo": dr_grpo,
    "dapo": dapo,
    "dapo, eq. 8": dapo_printed,
    "gspo": gspo,
    "rloo": rloo,
    "rloo, REINFORCE": reinforce,
    "ppo": ppo,
    "ppo value": ppo_value,
}
