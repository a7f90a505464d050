"""Weights and tokenizer belong together: which id means which piece of text is learnt into the weights.

Two vocabularies of one size cannot be told apart by shapes, so a model that Trueline saves carries a digest of its vocabulary in config.json,
and is refused beside another one. Models from elsewhere carry none: there only ids beyond the embedding are noticed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from trueline.charter.digests import digest_of
from trueline.engine.folders import BASE
from trueline.errors import TargetError

MARK = "trueline_vocabulary"
"""The key in config.json."""


def vocabulary_digest(tokenizer: Any) -> str:
    """SHA-256 over all pieces of text and their ids."""
    return digest_of({str(piece): int(i) for piece, i in tokenizer.get_vocab().items()})


def mark_vocabulary(config: Any, tokenizer: Any) -> None:
    """Writes the digest of `tokenizer` into a transformers config that is about to be saved."""
    setattr(config, MARK, vocabulary_digest(tokenizer))


def check_vocabulary(known: str | None, tokenizer: Any, folder: Path) -> None:
    """Raises `TargetError` where the weights of `folder` were trained with another vocabulary (digest `known`; None: it is not known which)
    than the one beside them."""
    if known is not None and known != (found := vocabulary_digest(tokenizer)):
        what = (
            f"the tokenizer of {folder} has another vocabulary (digest {found[:12]}) than its weights were trained with ({str(known)[:12]})"
        )
        remedy = (
            f"take tokenizer and weights from the same model, or remove the digest (config.json: {MARK}; {BASE}: vocabulary) if it is meant"
        )
        raise TargetError(what, remedy=remedy)
