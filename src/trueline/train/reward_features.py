"""Features of a reply to a prompt for a linear reward: hashed n-grams, log length, and a frozen encoder's states where there is one.

A reward's differences within a prompt are all that pairs see, so what depends on the prompt alone is left out: from the encoder come the
reply's states at three layers and their product with the last user turn's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from trueline.algos.stats.length_bias import log_length
from trueline.algos.text.ngrams import NgramSpec, ngram_indices, rows_of
from trueline.charter.turns import Message

SPEC = NgramSpec(words=2, chars=(3, 5), buckets=1 << 18)
FEWEST = 3  # replies that must hold an n-gram before it is a feature
LENGTH_SHARE = 0.3  # weight of log length against a block of features
Conversation = tuple[tuple[Message, ...], str]
Encode = Callable[[Sequence[str]], NDArray[np.float32]]
"""Texts -> (texts, layers, width), as `engine.encoder.encode`."""


@dataclass(frozen=True, slots=True)
class Raw:
    """grams: CSR (replies, buckets), rows of unit length; dense: (replies, columns), the last one log length; blocks: how many columns
    each dense block has."""

    grams: Any
    dense: NDArray[np.float64]
    blocks: tuple[int, ...]

    def rows(self, index: Sequence[int] | NDArray[np.int64]) -> Raw:
        """The given replies."""
        return Raw(self.grams[index], self.dense[index], self.blocks)


def _last_words(prompt: Sequence[Message]) -> str:
    return next((m.content for m in reversed(prompt) if m.role == "user"), prompt[-1].content)


def raw_features(conversations: Sequence[Conversation], encode: Encode | None) -> Raw:
    """Features before any scaling: nothing here is fitted to data."""
    replies = [reply for _, reply in conversations]
    sparse = rows_of([ngram_indices(r, SPEC) for r in replies])
    counts = np.diff(sparse.starts)
    data = np.repeat(1 / np.sqrt(np.maximum(counts, 1)), counts)
    grams = sp.csr_matrix((data, sparse.columns, sparse.starts), shape=(len(replies), SPEC.buckets))
    length = log_length(replies)[:, None]
    if encode is None:
        return Raw(grams, length, (1,))
    texts = list(dict.fromkeys([*replies, *(_last_words(p) for p, _ in conversations)]))
    at = {t: i for i, t in enumerate(texts)}
    states = encode(texts).astype(np.float64)
    mine = states[[at[r] for r in replies]]
    asked = states[[at[_last_words(p)] for p, _ in conversations]]
    product = mine[:, -1] * asked[:, -1]
    layers = [mine[:, k] for k in range(mine.shape[1])]
    dense = np.concatenate([*layers, product, length], axis=1)
    return Raw(grams, dense, (*(part.shape[1] for part in layers), product.shape[1], 1))


@dataclass(frozen=True, slots=True)
class Scaling:
    """Fitted on training replies alone: `columns` of the n-grams that are kept, `centre` and `factor` of the dense columns, and
    `grams` the factor of the n-grams. Every block has mean square length 1 over the number of blocks, length `LENGTH_SHARE` of it."""

    columns: NDArray[np.int64]
    centre: NDArray[np.float64]
    factor: NDArray[np.float64]
    grams: float

    def apply(self, raw: Raw) -> Any:
        """CSR-like pair (sparse (n, kept), dense (n, columns)), scaled."""
        return raw.grams[:, self.columns] * self.grams, (raw.dense - self.centre) * self.factor


def fit_scaling(raw: Raw) -> Scaling:
    """The scaling of these replies."""
    held = np.asarray((raw.grams > 0).sum(axis=0)).ravel()
    columns = np.nonzero(held >= FEWEST)[0].astype(np.int64)
    centre, spread = raw.dense.mean(axis=0), raw.dense.std(axis=0)
    spread[spread < 1e-9] = np.inf  # a constant column says nothing
    share = np.concatenate([np.full(n, 1 / n) for n in raw.blocks])
    share[-1] = LENGTH_SHARE
    count = len(raw.blocks)  # length is the last and small; the n-grams stand in its place
    return Scaling(columns, centre, np.sqrt(share / count) / spread, float(1 / np.sqrt(count)))
