"""A trained model as a plain Hugging Face folder, whole or not at all."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import torch

from trueline.engine.loading import LocalModel, weights_digest


def save_model(local: LocalModel, folder: Path, dtype: str = "bfloat16") -> str:
    """Writes weights (safetensors, `dtype`), config, tokenizer and template; returns the digest of the folder."""
    beside = folder.with_name(folder.name + ".part")
    shutil.rmtree(beside, ignore_errors=True)
    was = next(local.model.parameters()).dtype
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
