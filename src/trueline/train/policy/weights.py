"""The weights of the best measurement, kept beside the run so that a run that went too far ends with them."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from trueline.train.precision import Master

FILE = "best.safetensors"


def keep_best(folder: Path, weights: dict[str, torch.Tensor], step: int) -> None:
    """Writes them whole or not at all."""
    part = folder / (FILE + ".part")
    save_file({n: p.detach().contiguous() for n, p in weights.items()}, part, metadata={"step": str(step)})
    os.replace(part, folder / FILE)


def take_best(folder: Path, master: Master) -> int:
    """Puts them back into the model; returns the step that they are of."""
    with safe_open(folder / FILE, framework="pt") as f:
        with torch.no_grad():
            for name, p in master.weights.items():
                p.copy_(f.get_tensor(name))
        step = int(f.metadata()["step"])
    master.push()
    return step
