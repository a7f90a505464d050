"""A model computes its attention by a function of ours for a while: what `split_attention` and `block_attention` share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

WINDOWS = ("sliding_window", "attention_chunk_size")  # of a config whose layers do not all see everything
# what the model of some kind wants computed and neither way does
UNKNOWN = ("softcap", "s_aux", "position_bias", "cache")
# what a model that does not go along raises, whoever wrote it
ERRORS = (RuntimeError, ValueError, TypeError, KeyError, IndexError, AttributeError, NotImplementedError, ImportError)
Forward = Callable[..., tuple[torch.Tensor, None]]


def refuse_unknown(active: bool, dropout: float, more: Mapping[str, Any]) -> None:
    """Raises `ValueError` where this attention is not meant, or what the model asks of it is computed with a mask alone."""
    if not active or dropout or any(more.get(name) is not None for name in UNKNOWN):
        raise ValueError("this attention is computed with a mask")


@contextmanager
def attending(model: Any, name: str, forward: Forward) -> Iterator[None]:
    """Inside, transformers calls `forward`, registered as `name`, for every layer of `model`."""
    from transformers import AttentionInterface

    AttentionInterface.register(name, forward)
    config = model.config.get_text_config()
    before = config._attn_implementation
    config._attn_implementation = name
    try:
        yield
    finally:
        config._attn_implementation = before
