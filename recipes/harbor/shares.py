"""What the corpus is made of: documents and tokens by source, counted on a draw. For the model card."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass
from typing import Any

from recipes.harbor.corpus import Corpus
from recipes.harbor.tokens import encode

REAL = {"real_bank": "banking77", "real_off": "CLINC", "real_harm": "harmful requests", "english": "English"}


@dataclass(frozen=True, slots=True)
class Share:
    """Of all documents and of all tokens, in percent."""

    documents: float
    tokens: float

    def __str__(self) -> str:
        return f"{self.documents:.0f} % ({self.tokens:.0f} %)"


def shares(corpus: Corpus, tokenizer: Any, draws: int = 4000, seed: int = 0) -> dict[str, Share]:
    """Share of every source; what is invented is `bank`. Questions of real people inside the sorting tasks count as `bank`."""
    rng, documents, tokens = random.Random(f"{seed}|shares"), Counter[str](), Counter[str]()
    weights = [w for w, _ in corpus.tasks]
    for _ in range(draws):
        make = rng.choices(corpus.tasks, weights)[0][1]
        source = REAL.get(make.__name__, "bank")
        documents[source] += 1
        tokens[source] += len(encode(make(rng), tokenizer)[0])
    return {s: Share(100 * documents[s] / draws, 100 * tokens[s] / tokens.total()) for s in (*REAL.values(), "bank")}
