"""In what numbers a stage computes: float32, or bfloat16 with a float32 master of every trained weight.

The model itself is turned to bfloat16, so no step casts weights again (as autocast does), and the optimiser moves the master, so no
small update is lost to rounding. Buffers (rotary frequencies) stay as they are: bfloat16 positions would be other positions.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from trueline.errors import RunFileError
from trueline.train.gradients import set_aside

PRECISIONS = ("auto", "float32", "bfloat16")


def resolve(name: str, device: torch.device) -> str:
    """float32 or bfloat16; `auto` is bfloat16 where the processor multiplies it natively. Raises `RunFileError` for another name."""
    if name not in PRECISIONS:
        raise RunFileError(f"unknown precision {name!r}, expected one of {', '.join(PRECISIONS)}", remedy="mend `precision`")
    if name != "auto":
        return name
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    native = device.type == "cpu" and bool(torch.cpu._is_avx512_bf16_supported())
    return "bfloat16" if native else "float32"


@dataclass(frozen=True, slots=True)
class Master:
    """`weights`: name -> the float32 tensor that the optimiser moves; `computing`: name -> the parameter that the model computes
    with (the same tensor in float32)."""

    weights: dict[str, torch.Tensor]
    computing: dict[str, torch.Tensor]

    def pull(self) -> None:
        """Gradients of the computing weights become those of the master."""
        for name, p in self.computing.items():
            own = self.weights[name]
            if p is not own:
                own.grad = None if p.grad is None else p.grad.float()
                set_aside([p])
                p.grad = None

    @torch.no_grad()
    def push(self) -> None:
        """The model computes with what the master holds."""
        for name, p in self.computing.items():
            if p is not self.weights[name]:
                p.copy_(self.weights[name])


@contextmanager
def computing_in(model: Any, precision: str) -> Iterator[Master]:
    """Inside, `model` computes in `precision` (resolved); behind it, it holds what was learnt in the dtype it came in, and weights that
    were not trained are the very same as before."""
    trained = {n: p for n, p in model.named_parameters() if p.requires_grad}
    if precision == "float32":
        yield Master(trained, trained)
        return
    # layers in four bits multiply in a number format of their own
    held = [m for m in model.modules() if getattr(m, "compute_dtype", None) is torch.float32]
    before = {n: p.data for n, p in model.named_parameters()}
    master = {n: p.detach().float().clone() for n, p in trained.items()}
    for p in model.parameters():
        if p.is_floating_point():
            p.data = p.data.to(torch.bfloat16)
    for m in held:
        m.compute_dtype = torch.bfloat16
    try:
        yield Master(master, trained)
    finally:
        for n, p in model.named_parameters():
            p.data = master[n].to(before[n].dtype) if n in master else before[n]
            p.grad = None
        for m in held:
            m.compute_dtype = torch.float32
