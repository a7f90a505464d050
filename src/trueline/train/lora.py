"""LoRA (2106.09685) through peft: put on, merged, saved."""

from __future__ import annotations

import math
import os
import shutil
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from trueline.charter.digests import digest_of
from trueline.core.clock import generator
from trueline.data.jsonl import write_json
from trueline.engine.folders import BASE, weights_digest
from trueline.engine.four_bit import is_four_bit
from trueline.engine.loading import LocalModel, load_local
from trueline.engine.vocabulary import vocabulary_digest
from trueline.errors import RunFileError, TargetError, TrainingError
from trueline.train.saving import written


@dataclass(frozen=True, slots=True)
class LoraSettings:
    """r: rank; alpha: scale (the update is alpha / r times B A); on all linear layers."""

    r: int = 16
    alpha: int = 32


def put_on(local: LocalModel, settings: LoraSettings) -> LocalModel:
    """The same model with trainable adapters, everything else frozen. Raises `RunFileError` for a rank above the width of every layer: such
    adapters hold more numbers than the weights that they stand in for."""
    from peft import LoraConfig, get_peft_model

    linear = [m for m in local.model.modules() if hasattr(m, "in_features") and hasattr(m, "out_features")]
    widest = max((min(m.in_features, m.out_features) for m in linear), default=0)
    widest = max([widest, *(min(p.shape) for p in local.model.parameters() if p.dim() == 2)])
    if settings.r > widest:
        what = f"lora rank {settings.r} is above {widest}, the narrow side of the model's largest layer"
        raise RunFileError(what, remedy="lower the rank, e.g. 16, or train all weights without lora")
    config = LoraConfig(r=settings.r, lora_alpha=settings.alpha, target_modules="all-linear", lora_dropout=0.0, task_type="CAUSAL_LM")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # peft's own use of a name that transformers is about to change
        wrapped: Any = get_peft_model(local.model, config)
    for name, p in wrapped.named_parameters():
        if "lora_A" in name:  # peft draws them from the global source, in the order of a set, which no run has twice
            source = torch.Generator().manual_seed(generator(0, "lora", name).getrandbits(48))
            drawn = torch.nn.init.kaiming_uniform_(torch.empty(p.shape), a=math.sqrt(5), generator=source)
            p.data.copy_(drawn)
    # what is trained is another thing with other adapters: no checkpoint of theirs is gone on from
    return replace(local, model=_Unwrapped(wrapped), digest=digest_of(["lora", local.digest, settings.r, settings.alpha]))


def merged(local: LocalModel, adapter: Path) -> LocalModel:
    """The model with its adapters merged in. On a base in four bits: the base as it is in its folder, with the adapters that
    `save_adapter` wrote to `adapter`, for rounding the sum to four bits again would lose most of what was learnt."""
    assert isinstance(local.model, _Unwrapped)
    if is_four_bit(local.model):
        try:
            return load_local(adapter, device="cpu")
        except (TargetError, MemoryError) as e:
            what = f"the adapters are whole in {adapter}, and could not be merged into their base ({getattr(e, 'what', e)})"[:300]
            raise TrainingError(what, remedy="use the adapter beside its base, or merge it where the whole base fits into memory") from None
    return replace(local, model=local.model.wrapped.merge_and_unload())


def save_adapter(local: LocalModel, folder: Path) -> None:
    """Writes the adapters alone (peft's format, which names its base), whole or not at all: small to ship beside a base that the
    other side has. Call before `merged`, which dissolves them."""
    assert isinstance(local.model, _Unwrapped)
    beside = folder.with_name(folder.name + ".part")
    shutil.rmtree(beside, ignore_errors=True)
    wrapped = local.model.wrapped
    wrapped.peft_config["default"].base_model_name_or_path = str(local.path.resolve())
    with written(beside):
        wrapped.save_pretrained(beside, safe_serialization=True)
        if local.path.is_dir():
            known = {"weights": weights_digest(local.path, (".safetensors",)), "vocabulary": vocabulary_digest(local.tokenizer)}
            write_json(beside / BASE, known)
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
