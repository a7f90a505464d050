"""LoRA (2106.09685) through peft: put on, merged, saved."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from trueline.engine.loading import LocalModel


@dataclass(frozen=True, slots=True)
class LoraSettings:
    """r: rank; alpha: scale (the update is alpha / r times B A); on all linear layers."""

    r: int = 16
    alpha: int = 32


def put_on(local: LocalModel, settings: LoraSettings) -> LocalModel:
    """The same model with trainable adapters, everything else frozen."""
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(r=settings.r, lora_alpha=settings.alpha, target_modules="all-linear", lora_dropout=0.0, task_type="CAUSAL_LM")
    wrapped: Any = get_peft_model(local.model, config)
    return replace(local, model=_Unwrapped(wrapped))


def merged(local: LocalModel) -> LocalModel:
    """The model with its adapters merged in."""
    assert isinstance(local.model, _Unwrapped)
    return replace(local, model=local.model.wrapped.merge_and_unload())


def save_adapter(local: LocalModel, folder: Path) -> None:
    """Writes the adapters alone (peft's format, which names its base), whole or not at all: small to ship beside a base that the
    other side has. Call before `merged`, which dissolves them."""
    assert isinstance(local.model, _Unwrapped)
    beside = folder.with_name(folder.name + ".part")
    shutil.rmtree(beside, ignore_errors=True)
    wrapped = local.model.wrapped
    wrapped.peft_config["default"].base_model_name_or_path = str(local.path.resolve())
    wrapped.save_pretrained(beside, safe_serialization=True)
    shutil.rmtree(folder, ignore_errors=True)
    os.rename(beside, folder)


class _Unwrapped:
    """A peft model that looks like the model inside: losses and sampling need not know of adapters."""

    def __init__(self, wrapped: Any) -> None:
        self.wrapped, self.inside = wrapped, wrapped.base_model.model

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inside, name)

    def __call__(self, *args: Any, **named: Any) -> Any:
        return self.inside(*args, **named)
