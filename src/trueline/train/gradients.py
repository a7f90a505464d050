"""Gradients of large tables, written where they stay: the vocabulary's matrix, at the input and at the output.

With a large vocabulary this matrix is most of a small model. Autograd makes its gradient anew at every step, a dense one for the few rows
that were looked up and another for the projection, adds the two, and gives everything back to the system, which hands it out page by page at
the next step. Here both are added to one array that is kept between steps (with the sums and logits of `head`: a step of 768 tokens on
152 k x 896 weights in 7.4 s instead of 15.9). Only inside `written_in_place` (the backward pass of a step or of a proof); everywhere else gradients are autograd's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

LARGE = 2**24  # elements; below, making a gradient anew costs nothing that could be measured
_SPARE = "_spare_gradient"  # attribute of a parameter: its array between steps
_OURS = "_gradient_in_place"  # attribute of a parameter: its gradient was written here, and will be again
_writing = False


@contextmanager
def written_in_place(on: bool = True) -> Iterator[None]:
    """Inside, `add_product` and tables made by `tables_in_place` write into `.grad` itself."""
    global _writing
    before, _writing = _writing, on
    try:
        yield
    finally:
        _writing = before


def _takes(weight: torch.Tensor) -> bool:
    return _writing and weight.is_leaf and weight.requires_grad and weight.numel() >= LARGE and weight.is_contiguous()


def _array(weight: torch.Tensor) -> torch.Tensor:
    """An array for the gradient, with whatever stands in it."""
    setattr(weight, _OURS, True)
    kept: torch.Tensor | None = getattr(weight, _SPARE, None)
    if kept is None or kept.shape != weight.shape or kept.dtype != weight.dtype or kept.device != weight.device:
        return torch.empty_like(weight)
    delattr(weight, _SPARE)
    return kept


def add_product(weight: torch.Tensor, left: torch.Tensor, right: torch.Tensor) -> bool:
    """Adds left^T right, (n, rows) and (n, width), to the gradient of `weight` (rows, width) in place; False where that is not possible and the
    caller gives its gradient to autograd."""
    if not _takes(weight):
        return False
    if weight.grad is None:
        weight.grad = torch.mm(left.T, right, out=_array(weight))
    else:
        weight.grad.addmm_(left.T, right)
    return True


def set_aside(weights: Iterable[torch.Tensor]) -> None:
    """After a step: the gradients that were written in place leave `.grad`, and their arrays are kept for the next step."""
    for w in weights:
        if w.grad is not None and hasattr(w, _OURS):
            setattr(w, _SPARE, w.grad)
            w.grad = None


def released(model: Any) -> None:
    """Training is over: nothing is kept any longer."""
    for w in model.parameters():
        for name in (_SPARE, _OURS):
            if hasattr(w, name):
                delattr(w, name)


class _Looked(torch.autograd.Function):
    """weight[ids], whose gradient goes into `.grad` where that may be."""

    @staticmethod
    def forward(ctx: Any, weight: torch.Tensor, ids: torch.Tensor, padding: int) -> torch.Tensor:
        ctx.save_for_backward(weight, ids)
        ctx.padding = padding
        return torch.nn.functional.embedding(ids, weight)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (grad,) = grads
        weight, ids = ctx.saved_tensors
        # elsewhere adding row by row has no fixed order, and below float32 it rounds at every one
        if not _takes(weight) or weight.device.type != "cpu" or weight.dtype != torch.float32:
            return torch.ops.aten.embedding_dense_backward(grad, ids, len(weight), ctx.padding, False), None, None
        if weight.grad is None:
            weight.grad = _array(weight).zero_()
        at, rows = ids.flatten(), grad.reshape(-1, grad.shape[-1])
        if ctx.padding >= 0:
            at, rows = at[at != ctx.padding], rows[at != ctx.padding]
        weight.grad.index_add_(0, at, rows)
        return None, None, None


class _Table(torch.nn.Embedding):
    """An embedding whose gradient is written in place."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        out = _Looked.apply(self.weight, input, -1 if self.padding_idx is None else self.padding_idx)  # type: ignore[no-untyped-call]
        assert isinstance(out, torch.Tensor)
        return out


def tables_in_place(model: Any) -> None:
    """Lets large plain embeddings of `model` write their gradients in place. Values, names and saved form stay as they are."""
    for module in model.modules():
        plain = type(module) is torch.nn.Embedding and module.max_norm is None and not module.scale_grad_by_freq and not module.sparse
        if plain and module.weight.numel() >= LARGE:
            module.__class__ = _Table
