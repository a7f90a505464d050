"""Hashed n-grams: text -> sparse counts of words, word pairs and characters, without a vocabulary.

The hashing trick (Weinberger et al., 0902.2206): feature index = hash mod buckets. Pure Python and numpy, so that the
gateway can use it without torch.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)?|[^\w\s]")


@dataclass(frozen=True, slots=True)
class NgramSpec:
    """Which n-grams: words 1..`words`, characters `chars[0]`..`chars[1]` inside words; `buckets` a power of two;
    only the first `limit` characters are read (0 = all). `tag` keeps two texts (question, reply) apart."""

    words: int = 2
    chars: tuple[int, int] = (3, 5)
    buckets: int = 1 << 18
    limit: int = 0


@lru_cache(maxsize=200_000)
def _bucket(gram: str, buckets: int) -> int:
    return zlib.crc32(gram.encode("utf-8", "surrogatepass")) & (buckets - 1)


def ngram_indices(text: str, spec: NgramSpec, tag: str = "") -> NDArray[np.int64]:
    """Sorted unique bucket indices of `text`'s n-grams, shape (k,), dtype int64."""
    text = (text[: spec.limit] if spec.limit else text).lower()
    words = _WORD.findall(text)
    found = set()
    for n in range(1, spec.words + 1):
        for i in range(len(words) - n + 1):
            found.add(_bucket(f"{tag}w{n}:" + " ".join(words[i : i + n]), spec.buckets))
    low, high = spec.chars
    if low:
        for word in words:
            padded = f"<{word}>"
            for n in range(low, high + 1):
                for i in range(len(padded) - n + 1):
                    found.add(_bucket(f"{tag}c:" + padded[i : i + n], spec.buckets))
    return np.fromiter(sorted(found), dtype=np.int64, count=len(found))


@dataclass(frozen=True, slots=True)
class SparseRows:
    """Binary rows in CSR form: row i has ones at `columns[starts[i]:starts[i+1]]`, scaled to unit length."""

    columns: NDArray[np.int64]
    starts: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.starts) - 1


def rows_of(indices: Sequence[NDArray[np.int64]]) -> SparseRows:
    """Stacks index arrays to rows."""
    starts = np.zeros(len(indices) + 1, dtype=np.int64)
    np.cumsum([len(i) for i in indices], out=starts[1:])
    columns = np.concatenate(indices) if indices else np.zeros(0, dtype=np.int64)
    return SparseRows(columns, starts)
