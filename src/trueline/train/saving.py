"""A trained model as a plain Hugging Face folder, whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from trueline.engine.loading import LocalModel, weights_digest
from trueline.engine.vocabulary import mark_vocabulary
from trueline.errors import TrainingError


@contextmanager
def written(beside: Path) -> Iterator[None]:
    """Inside, a folder `beside` is written that will be renamed when it is whole. Where it cannot be (the disk is full) it is taken away
    again, for what is half written only takes room. Raises `TrainingError` that names it."""
    from safetensors import SafetensorError

    try:
        yield
    except (SafetensorError, OSError) as e:
        shutil.rmtree(beside, ignore_errors=True)
        why = getattr(e, "strerror", None) or " ".join(str(e).split())
        raise TrainingError(
            f"this folder cannot be written ({why[:160]})", remedy="check the free space and the rights", file=beside
        ) from None


def _check_learnt(local: LocalModel, folder: Path) -> None:
    for name, p in local.model.named_parameters():
        if not bool(torch.isfinite(p.detach()).all()):
            what = f"the trained weights are not finite ({name}), so {folder} is not written"
            raise TrainingError(what, remedy="lower the learning rate")


def save_model(local: LocalModel, folder: Path, dtype: str = "bfloat16") -> str:
    """Writes weights (safetensors, `dtype`), config, tokenizer and template; returns the digest of the folder. Raises `TrainingError` for
    weights that are not finite, and where the folder cannot be written."""
    _check_learnt(local, folder)
    beside = folder.with_name(folder.name + ".part")
    shutil.rmtree(beside, ignore_errors=True)
    was = next(local.model.parameters()).dtype
    mark_vocabulary(local.model.config, local.tokenizer)
    with written(beside):
        local.model.to(getattr(torch, dtype)).save_pretrained(beside)
        local.model.to(was)
        local.tokenizer.save_pretrained(beside)
    digest = weights_digest(beside)
    old = folder.with_name(folder.name + ".old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        os.rename(folder, old)
    os.rename(beside, folder)
    shutil.rmtree(old, ignore_errors=True)
    return digest
