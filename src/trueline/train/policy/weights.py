"""The weights of the best measurement, kept beside the run so that a run that went too far ends with them."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from trueline.errors import TrainingError
from trueline.train.precision import Master

FILE = "best.safetensors"


def keep_best(folder: Path, weights: dict[str, torch.Tensor], step: int, key: str) -> None:
    """Writes them whole or not at all; `key`: of the run."""
    part = folder / (FILE + ".part")
    try:
        save_file({n: p.detach().contiguous() for n, p in weights.items()}, part, metadata={"step": str(step), "key": key})
    except SafetensorError as e:
        raise TrainingError(f"the best weights cannot be written ({e})"[:200], remedy="check the free space", file=part) from None
    os.replace(part, folder / FILE)


def take_best(folder: Path, master: Master, key: str) -> int:
    """Puts them back into the model; returns the step that they are of. Raises `TrainingError` where they are not of this run."""
    path = folder / FILE
    try:
        with safe_open(path, framework="pt") as f:
            found = dict(f.metadata() or {})
            if found.get("key") != key:
                raise TrainingError("these weights are of another run", remedy="remove the folder to start over", file=path)
            with torch.no_grad():
                for name, p in master.weights.items():
                    p.copy_(f.get_tensor(name))
    except (SafetensorError, FileNotFoundError) as e:
        what = f"the weights of the best measurement cannot be read ({type(e).__name__})"
        raise TrainingError(what, remedy="remove the folder to start over", file=path) from None
    master.push()
    return int(found["step"])
