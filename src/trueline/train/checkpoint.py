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
    except RuntimeError as e:  # torch's writer says so where the disk is full
        raise TrainingError(f"this checkpoint cannot be written ({e})"[:200], remedy="check the free space", file=part) from None
    os.replace(part, folder / FILE)


def load_checkpoint(folder: Path, key: str) -> dict[str, Any] | None:
    """The state, or None where there is none or it belongs to other inputs (`key`). Never runs code from the file."""
    path = folder / FILE
    if not path.exists():
        return None
    try:
        state = torch.load(path, weights_only=True, map_location="cpu")
    except (RuntimeError, OSError, ValueError, EOFError, UnpicklingError) as e:
        raise TrainingError(f"this checkpoint cannot be read ({type(e).__name__})", remedy="remove it to start over", file=path) from None
    if not isinstance(state, dict):
        raise TrainingError(f"this is no checkpoint but a {type(state).__name__}", remedy="remove it to start over", file=path)
    return state if state.get("key") == key else None


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
