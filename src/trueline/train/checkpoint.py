"""Checkpoints: written beside and renamed, holding all that decides the next step, so that a resumed run ends with the
same weights as an uninterrupted one."""

from __future__ import annotations

import json
import os
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from trueline.errors import TrainingError

FILE = "checkpoint.pt"


def save_checkpoint(folder: Path, state: dict[str, Any]) -> None:
    """Writes `state` whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / (FILE + ".part")
    try:
        with part.open("wb") as f:
            torch.save(state, f)
            f.flush()
            os.fsync(f.fileno())
    except (RuntimeError, OSError) as e:  # torch's writer says either where the disk is full
        part.unlink(missing_ok=True)
        raise TrainingError(f"this checkpoint cannot be written ({e})"[:200], remedy="check the free space", file=part) from None
    os.replace(part, folder / FILE)


def load_checkpoint(folder: Path, key: str) -> dict[str, Any] | None:
    """The state, or None where there is none or it belongs to other inputs (`key`). Never runs code from the file. Raises `TrainingError`
    where it cannot be read or is damaged."""
    path = folder / FILE
    if not path.exists():
        return None
    try:
        state = torch.load(path, weights_only=True, map_location="cpu")
    except (RuntimeError, OSError, ValueError, LookupError, EOFError, UnpicklingError) as e:  # a text file: whatever its first letters mean
        raise TrainingError(f"this checkpoint cannot be read ({type(e).__name__})", remedy="remove it to start over", file=path) from None
    if not isinstance(state, dict):
        raise TrainingError(f"this is no checkpoint but a {type(state).__name__}", remedy="remove it to start over", file=path)
    if state.get("key") != key:
        return None
    fault = _fault(state)
    if fault:
        raise TrainingError(f"this checkpoint is damaged: {fault}", remedy="remove it to start over", file=path)
    return state


def _fault(state: dict[str, Any]) -> str:
    """What is not as `save_checkpoint` was given it; empty where nothing is."""
    step, weights = state.get("step"), state.get("weights")
    if isinstance(step, bool) or not isinstance(step, int) or step < 0:
        return f"its step is {step!r:.30}, expected a whole number of at least 0"
    if not isinstance(weights, dict) or not all(isinstance(w, torch.Tensor) for w in weights.values()):
        return f"its weights are {type(weights).__name__}, expected tensors by name"
    off = next((str(name) for name, w in weights.items() if not bool(torch.isfinite(w).all())), None)
    if off is not None:
        return f"its weights {off} are not finite"
    if not isinstance(state.get("optimizer"), dict):
        return "it has no state of the optimiser"
    return ""


def recalled(path: Path, key: str, *names: str) -> dict[str, Any] | None:
    """A choice that an earlier start of the run `key` wrote down (JSON with `key` and `names`): a resumed run takes the same one. None where
    there is none or it is another run's. Raises `TrainingError` where the file cannot be read."""
    if not path.exists():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return {name: found[name] for name in names} if found["key"] == key else None
    except (ValueError, KeyError, TypeError) as e:
        raise TrainingError(f"this choice cannot be read ({type(e).__name__})", remedy="remove it to choose again", file=path) from None
