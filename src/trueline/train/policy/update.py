"""From a scored rollout to optimiser steps: advantages, minibatches, micro-batches, the loss of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import torch

from trueline.algos.advantages import OF_GROUPS, gae, whitened
from trueline.algos.losses.policy import KL, RATIOS, clipped, clipped_value, shares
from trueline.algos.losses.policy_variants import PolicyOptions, Variant
from trueline.core.clock import generator
from trueline.train.distributed import share_of
from trueline.train.layout import Group
from trueline.train.policy.rollout import Rollout

Tensor = torch.Tensor


@dataclass(frozen=True, slots=True)
class Batch:
    """A rollout ready to learn from; tensors are (replies, longest). old: log-probabilities it was drawn by; reference: those of the model
    at step 0; advantages: of tokens, or (replies, 1); used: numbers of the groups that count. Of PPO: values and returns."""

    rollout: Rollout
    old: Tensor
    reference: Tensor
    advantages: Tensor
    used: tuple[int, ...]
    values: Tensor | None = None
    returns: Tensor | None = None

    def rows(self, groups: Sequence[int]) -> list[int]:
        """Numbers of the replies of these groups. All groups have the same size."""
        size = len(self.rollout.groups[0].replies)
        return [g * size + k for g in groups for k in range(size)]


def prepared(
    rollout: Rollout, old: Tensor, rewards: Tensor, reference: Tensor, variant: Variant, options: PolicyOptions, values: Tensor | None
) -> tuple[Batch, dict[str, float]]:
    """(batch, what is told): rewards (replies,) to advantages, the penalty on the divergence in them where the variant has it there."""
    keep, size = rollout.keep, len(rollout.groups[0].replies)
    penalty = options.kl_weight * torch.where(keep, KL["k1"](old, reference), torch.zeros_like(reference))
    everything = tuple(range(len(rollout.groups)))
    batch = Batch(rollout, old, reference, torch.zeros_like(old), everything)
    if variant.advantage == "gae":
        assert values is not None
        last = keep & (torch.arange(keep.shape[1], device=keep.device)[None] == keep.sum(dim=1, keepdim=True) - 1)
        each = -penalty + torch.where(last, rewards[:, None], torch.zeros_like(penalty))  # the reward comes at the last token
        advantages, returns = gae(each, values, keep, options.gamma, options.lam)
        spread = float(returns[keep].var(correction=0))
        explained = 1 - float((returns - values)[keep].var(correction=0)) / spread if spread > 0 else 0.0
        return replace(batch, advantages=whitened(advantages, keep), values=values, returns=returns), {"value_explained": explained}
    total = rewards - penalty.sum(dim=1) if variant.kl_in == "reward" else rewards
    grouped = rewards.view(-1, size)
    equal = (grouped == grouped[:, :1]).all(dim=1)
    used = tuple(i for i in everything if not (options.drop_equal and bool(equal[i])))
    advantages = OF_GROUPS[variant.advantage](total.view(-1, size)).reshape(-1, 1)
    return replace(batch, advantages=advantages, used=used), {"equal_groups": float(equal.float().mean())}


def minibatches(batch: Batch, count: int, seed: int, *names: str) -> list[list[int]]:
    """The used groups in `count` parts of nearly equal size, in an order of the seed's and the names'; empty parts are left out."""
    order = list(batch.used)
    generator(seed, "minibatches", *names).shuffle(order)
    ends = [round(k * len(order) / count) for k in range(count + 1)]
    return [order[a:b] for a, b in pairwise(ends) if b > a]


def parted(groups: Sequence[Group], budget: int, per_row: int) -> Iterator[list[int]]:
    """Places of the groups, in order, in parts of at most `budget` tokens, padding counted, when `per_row` replies stand in a row. A group is
    never cut: one above the budget is a part of its own."""
    part: list[int] = []
    rows = longest = 0
    for place, g in enumerate(groups):
        own = -(-len(g.replies) // per_row)
        width = max(len(g.prompt) + sum(map(len, g.replies[i : i + per_row])) for i in range(0, len(g.replies), per_row))
        if part and (rows + own) * max(longest, width) > budget:
            yield part
            part, rows, longest = [], 0, 0
        part.append(place)
        rows, longest = rows + own, max(longest, width)
    if part:
        yield part


def microbatches(batch: Batch, groups: Sequence[int], budget: int, per_row: int) -> Iterator[list[int]]:
    """The groups of a minibatch in such parts, like lengths together."""
    order = sorted(groups, key=lambda g: -len(batch.rollout.groups[g]))
    for part in parted([batch.rollout.groups[g] for g in order], budget, per_row):
        yield [order[i] for i in part]


@dataclass(frozen=True, slots=True)
class Norm:
    """What a whole optimiser step holds: replies, tokens; longest: the most tokens that a reply may have."""

    replies: int
    tokens: int
    longest: int


def policy_loss(
    batch: Batch, rows: Sequence[int], logps: Tensor, variant: Variant, options: PolicyOptions, norm: Norm
) -> tuple[Tensor, dict[str, float]]:
    """The part of a step's loss that the replies `rows` make, and sums of what is told over them. logps: (rows, longest of them)."""
    width = logps.shape[1]
    index = torch.tensor(rows, device=logps.device)
    keep, old, reference = (x[index, :width] for x in (batch.rollout.keep, batch.old, batch.reference))
    advantages = batch.advantages[index, :width]
    ratio = RATIOS[variant.ratio](logps, old, keep)
    weight = shares(keep, variant.reduce, norm.replies, norm.tokens, norm.longest)
    loss = (clipped(ratio, advantages, options.clip_low, options.clip_high) * weight).sum()
    if variant.kl_in == "loss" and options.kl_weight:
        apart = KL["k3"](torch.where(keep, logps, reference), reference)
        loss = loss + options.kl_weight * (apart * weight).sum()
    with torch.no_grad():
        outside = (ratio > 1 + options.clip_high) & (advantages > 0) | (ratio < 1 - options.clip_low) & (advantages < 0)
        off = (logps - batch.rollout.sampled[index, :width]).abs() * keep
        told = {
            "clip_share": float((outside.expand_as(keep) & keep).sum()),
            "gap_mean": float(off.sum()),
            "gap_max": float(off.max()),
            "tokens": float(keep.sum()),
        }
    return loss, told


def value_loss(batch: Batch, rows: Sequence[int], values: Tensor, options: PolicyOptions, norm: Norm) -> Tensor:
    """The part of the value model's loss that the replies `rows` make; values: (rows, longest of them)."""
    assert batch.values is not None
    assert batch.returns is not None
    index, width = torch.tensor(rows, device=values.device), values.shape[1]
    keep, old, returns = (x[index, :width] for x in (batch.rollout.keep, batch.values, batch.returns))
    return (clipped_value(values, old, returns, options.value_clip) * keep).sum() / norm.tokens


def chunks(groups: Sequence[Group], budget: int, per_row: int, of: Callable[[list[Group]], Tensor]) -> Tensor:
    """`of`, which carries no gradient, over parts of the groups (`parted`), put together again: (replies, longest). Several processes compute
    a run of the groups each."""
    share = share_of(range(len(groups)))
    own = [groups[i] for i in share.rows]
    out = [of([own[i] for i in part]) for part in parted(own, budget, per_row)]
    width = max(len(r) for g in groups for r in g.replies)
    return share.whole(torch.cat([torch.nn.functional.pad(x, (0, width - x.shape[1])) for x in out]))
