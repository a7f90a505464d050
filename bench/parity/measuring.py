"""Values and gradients of one reply, row or pair at a time and of the whole step, in one shape for every side. torch alone is imported."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

Tensor = torch.Tensor


def weights_of(model: Any) -> list[Tensor]:
    """What is trained, in the order of the names."""
    return [p for _, p in sorted(model.named_parameters())]


def gradient(of: Tensor, weights: Sequence[Tensor]) -> Tensor:
    """(all weights,), zero where nothing depends on a weight."""
    found = torch.autograd.grad(of, weights, retain_graph=True, allow_unused=True)
    return torch.cat([(torch.zeros_like(p) if g is None else g).flatten() for p, g in zip(weights, found, strict=True)])


def measured(one: Callable[[int], Tensor], whole: Callable[[], Tensor], count: int, weights: Sequence[Tensor]) -> dict[str, Tensor]:
    """values (n,), gradients (n, weights), mean () and mean_gradient (weights,); with no examples the last two. `one`: an example's loss, `whole`: the step's; both are asked
    anew for every gradient, since some projections give their logits up in the backward pass."""
    values, gradients = [], []
    for i in range(count):
        loss = one(i).reshape(())
        values.append(loss.detach())
        gradients.append(gradient(loss, weights))
    step = whole().reshape(())
    found = {"mean": step.detach(), "mean_gradient": gradient(step, weights)}
    return {"values": torch.stack(values), "gradients": torch.stack(gradients), **found} if values else found
