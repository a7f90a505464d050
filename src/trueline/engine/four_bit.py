"""Weights in four bits: the frozen base of QLoRA (2305.14314), by transformers and bitsandbytes.

Every linear layer but the output layer is held as NF4 with its scales quantised once more; a layer is full again only while it
multiplies. Embeddings and norms stay as they are. Nothing trains these weights, and nothing saves them.
"""

from __future__ import annotations

import importlib.util
from math import prod
from pathlib import Path
from typing import Any

import torch

from trueline.errors import TargetError


def four_bit_options(place: str) -> dict[str, Any]:
    """What `from_pretrained` is given besides. Raises `TargetError` where bitsandbytes is not there."""
    if importlib.util.find_spec("bitsandbytes") is None:
        raise TargetError("weights in four bits need bitsandbytes", remedy="pip install 'trueline[four-bit]'")
    import transformers

    config = transformers.BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.float32,  # as the rest of the model; `train.precision` turns both to bfloat16
    )
    return {"quantization_config": config, "device_map": {"": place}}


def is_four_bit(model: Any) -> bool:
    """Whether `model` holds weights in four bits."""
    return bool(getattr(model, "is_loaded_in_4bit", False))


def check_quantised(model: Any, folder: Path) -> None:
    """Raises `TargetError` where no layer came to be held in four bits: a flag without effect."""
    if not any(hasattr(p, "quant_state") for p in model.parameters()):
        raise TargetError(f"no layer of {folder} could be held in four bits", remedy="leave --four-bit out")


def keep_layout(model: Any) -> None:
    """Forbids bitsandbytes another layout of the weights on processors with AVX512-BF16: outside of training it would repack them in place for
    kernels in bfloat16, so that the reference and the trained model are computed differently, and fail where a layer is narrower than a block."""
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False


def numbers_in(p: torch.Tensor) -> int:
    """How many numbers a weight stands for: two of them share a byte in four bits."""
    state = getattr(p, "quant_state", None)
    return p.numel() if state is None else prod(state.shape)
