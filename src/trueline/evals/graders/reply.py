"""The general reply grader: complied, refused, redirected or unscored, for any reply of any model.

A linear model over hashed n-grams of question and reply, trained on human labels (recipes/reply_grader); where it is
unsure it says unscored. Its card carries sensitivity and specificity on questions held out from training.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from trueline.algos.text.linear import LinearModel, probabilities
from trueline.algos.text.ngrams import NgramSpec, ngram_indices, rows_of
from trueline.core.records import ReplyClass
from trueline.errors import DataError

FOLDER = Path(__file__).parent.parent.parent / "shipped" / "graders" / "reply"
LABELS: tuple[ReplyClass, ...] = ("complied", "refused", "redirected")
# the human-labelled replies are their first 240 characters, so the grader reads no further
SPEC = NgramSpec(words=3, chars=(0, 0), buckets=1 << 16, limit=240)


def features(question: str, reply: str, spec: NgramSpec = SPEC) -> Any:
    """Bucket indices of one (question, reply): the reply's n-grams, and its opening words on their own."""
    opening = " ".join(reply.split()[:6])
    parts = [ngram_indices(reply, spec, "r"), ngram_indices(opening, spec, "o")]
    return np.unique(np.concatenate(parts))


@dataclass(frozen=True, slots=True)
class Seen:
    """The class of a reply and the probability of that class."""

    label: ReplyClass
    confidence: float


class ReplyGrader:
    """`unsure`: below this probability of the best class a reply is unscored."""

    name = "reply-linear-1"

    def __init__(self, model: LinearModel, card: Mapping[str, Any]) -> None:
        self._model, self.card = model, dict(card)
        self._unsure = float(card["unsure_below"])

    def identity(self) -> Mapping[str, Any]:
        """Name, weights digest and measured error: they stand beside every result."""
        keep = ("digest", "unsure_below", "sensitivity", "specificity")
        return {"name": self.name, **{k: self.card[k] for k in keep}}

    def classify_all(self, pairs: Sequence[tuple[str, str]]) -> list[Seen]:
        """Classes of (question, reply) pairs."""
        p = probabilities(self._model, rows_of([features(q, r) for q, r in pairs]))
        out = []
        for row in p:
            best = int(row.argmax())
            sure = float(row[best])
            out.append(Seen(LABELS[best] if sure >= self._unsure else "unscored", sure))
        return out

    def classify(self, question: str, reply: str) -> Seen:
        """Class of one reply."""
        return self.classify_all([(question, reply)])[0]


@lru_cache(maxsize=1)
def shipped_reply_grader() -> ReplyGrader:
    """The grader that ships with the package. Raises `DataError` where its files are damaged."""
    from safetensors.numpy import load_file

    try:
        tensors = load_file(FOLDER / "model.safetensors")
        card = json.loads((FOLDER / "card.json").read_text(encoding="utf-8"))
        full = np.zeros((SPEC.buckets, len(LABELS)), dtype=np.float32)
        full[tensors["buckets"]] = tensors["weights"]
        return ReplyGrader(LinearModel(full, tensors["bias"].astype(np.float32), LABELS), card)
    except (OSError, KeyError, ValueError) as e:
        raise DataError(f"the shipped reply grader cannot be read ({e})", remedy="reinstall trueline", file=FOLDER) from None
