"""The encoder tier of the reply grader: a small sentence encoder whose last layers were changed on human labels, and a linear head.

In order: the package's weights and tokenizer, verified by the digests in the card; the low-rank change that ships here, merged into them
in the graph that the user's cache holds; the mean states at two layers of the reply's first tokens; the head; a temperature fitted on
questions outside training. Left out on purpose: the question, which the labelled replies do not come with.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trueline.charter.digests import digest_file
from trueline.errors import DataError
from trueline.evals.graders.reply import LABELS, Reader, ReplyGrader, read_part
from trueline.models.encoder.folder import encoder_folder, read_encoder, verified
from trueline.models.encoder.session import OnnxEncoder, open_encoder

FOLDER = Path(__file__).parent.parent.parent / "shipped" / "graders" / "reply_encoder"
ENCODER = "TRUELINE_ENCODER"
"""The setting that names another folder with the same weights, where the package cannot be installed."""


def softmax(logits: NDArray[np.floating], temperature: float) -> NDArray[np.float64]:
    """(rows, classes) of logits to probabilities at a temperature > 0."""
    scaled = logits.astype(np.float64) / temperature
    e = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return np.asarray(e / e.sum(axis=1, keepdims=True))


def encoder_reader(
    encoder: OnnxEncoder, weight: NDArray[np.floating], bias: NDArray[np.floating], temperature: float, tokens: int
) -> Reader:
    """weight (3, layers x width) and bias (3,) of the head over the mean states of the first `tokens` tokens. A reply of several is read
    alone, whatever stands beside it."""

    def read(pairs: Sequence[tuple[str, str]]) -> NDArray[np.float64]:
        if not pairs:
            return np.zeros((0, len(LABELS)))
        states = np.stack([encoder.head(read_part(reply), tokens).ravel() for _, reply in pairs])
        return softmax(states @ weight.T + bias, temperature)

    return read


@lru_cache(maxsize=1)
def encoder_reply_grader() -> ReplyGrader:
    """The tier that needs the package of the encoder. Raises `DataError` where that is absent or other than it was, or files are damaged."""
    from safetensors.numpy import load_file

    try:
        card = json.loads((FOLDER / "card.json").read_text(encoding="utf-8"))
        delta = load_file(FOLDER / "delta.safetensors")
        digest, reads, base = digest_file(FOLDER / "delta.safetensors"), card["reads"], card["base"]
        if digest != card["digest"]:
            raise DataError("its weights are not those that its card names", remedy="reinstall trueline", file=FOLDER)
        files = verified(read_encoder(encoder_folder(os.environ.get(ENCODER, "minilm"))), base["weights"], base["tokenizer"])
        encoder = open_encoder(files, reads["layers"], delta=delta, delta_digest=digest, int8=bool(reads["int8"]))
        weight, bias = delta["head.weight"].astype(np.float32), delta["head.bias"].astype(np.float32)
        read = encoder_reader(encoder, weight, bias, float(card["temperature"]), int(reads["tokens"]))
        return ReplyGrader(read, {**card, "digest": digest})
    except (OSError, KeyError, TypeError, json.JSONDecodeError) as e:
        raise DataError(f"the encoder tier of the reply grader cannot be read ({e})", remedy="reinstall trueline", file=FOLDER) from None
