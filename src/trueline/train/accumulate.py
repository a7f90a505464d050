"""One step in several parts: the loss and gradient of the whole step, with the memory of its largest part."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

Part = Callable[[], torch.Tensor]


class _InParts(torch.autograd.Function):
    """The sum of the parts' losses. The gradient of a part is taken, and its graph freed, before the next part begins."""

    @staticmethod
    def forward(ctx: Any, parts: Sequence[Part], *weights: torch.Tensor) -> torch.Tensor:
        sums: list[torch.Tensor | None] = [None] * len(weights)
        total = torch.zeros((), device=weights[0].device)
        for part in parts:
            with torch.enable_grad():
                loss = part()
                found = torch.autograd.grad(loss, weights, allow_unused=True)
            total = total + loss.detach()
            for i, g in enumerate(found):
                if g is not None:  # summed in float32: many small parts in bfloat16 would be lost beside a large sum
                    known = sums[i]
                    sums[i] = g.float() if known is None else known.add_(g)
        ctx.gradients = [None if g is None else g.to(w.dtype) for g, w in zip(sums, weights, strict=True)]
        return total

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (grad,) = grads
        return None, *(None if g is None else g * grad.to(g.dtype) for g in ctx.gradients)


def in_parts(parts: Sequence[Part], weights: Sequence[torch.Tensor]) -> torch.Tensor:
    """The sum of the scalar losses of `parts`, (), differentiable once in `weights`, whose graph never holds more than one part.

    Every part must be normalised by the whole step already. A single part is computed as it is."""
    if len(parts) == 1:
        return parts[0]()
    out = _InParts.apply(parts, *weights)  # type: ignore[no-untyped-call]
    assert isinstance(out, torch.Tensor)
    return out


def split(batch: Sequence[int], parts: int) -> list[list[int]]:
    """`batch` in at most `parts` runs of nearly equal length, in order, none empty."""
    n = min(parts, len(batch))
    return [list(batch[k * len(batch) // n : (k + 1) * len(batch) // n]) for k in range(n)]
