"""Whether a model's confidence in the charter's facts is its accuracy: expected calibration error over the answers that it holds most likely.

Each question of a fact is scored with the charter's answer and the same sentence with a wrong fact in it; the log-probabilities of the whole
replies, made to sum to one over these options, are the confidence. Only where a model gives log-probabilities: what it says in words about its
own certainty is no probability and is not used. A served model is asked for a letter instead (`evals.letters`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from trueline.algos.stats.calibration import expected_calibration_error
from trueline.charter.compile.inherited.building import known, turns
from trueline.charter.compile.inherited.wrong import wrong_answers
from trueline.charter.schema import Charter
from trueline.charter.turns import Message
from trueline.core.chat import ScoredChat
from trueline.errors import DataError

BINS = 10
OPTIONS = 4  # at most, the right one among them


@dataclass(frozen=True, slots=True)
class Question:
    """A question, the sentences that could answer it (the right one first), and the clause it is of."""

    clause: str
    messages: tuple[Message, ...]
    options: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Calibrated:
    """`ece` in [0, 1] over `n` questions in `bins` bins of equal mass; `floor`: what a perfectly calibrated model of this accuracy would show of
    it by chance; `confidence` and `accuracy`: means, in [0, 1]. `form`: whether whole replies or letters were compared; `unread`: questions
    that the model would not have answered with a letter, which are left out."""

    ece: float
    floor: float
    bins: int
    n: int
    confidence: float
    accuracy: float
    form: str = "replies"
    unread: int = 0


def questions(charter: Charter) -> tuple[Question, ...]:
    """Every wording of every fact whose sentence holds the fact word for word, so that only the fact differs between the options."""
    out = []
    for item in known(charter):
        right = item.expected[0]
        said = item.reply or f"It is {right}."
        at = said.lower().find(right.lower())
        wrong = wrong_answers(charter, item)[: OPTIONS - 1]
        if at >= 0 and wrong:
            options = (said, *(said[:at] + w + said[at + len(right) :] for w in wrong))
            out += [Question(item.id, turns(ask), options) for ask in item.ask]
    return tuple(out)


async def scored(
    model: ScoredChat, asked: Sequence[Question], progress: Callable[[int, int], None] | None = None
) -> tuple[tuple[float, ...], ...]:
    """Probabilities of the options of each question, each summing to one. Raises the model's `ModelError`."""
    out = []
    for i, q in enumerate(asked, 1):
        logs = await model.score(q.messages, q.options)
        top = max(logs)
        weights = [math.exp(x - top) for x in logs]
        out.append(tuple(w / sum(weights) for w in weights))
        if progress is not None:
            progress(i, len(asked))
    return tuple(out)


def calibrated(probabilities: Sequence[Sequence[float]], bins: int = BINS) -> Calibrated:
    """The error of the preferred option's probability; the right option is the first. A model that holds a
    wrong option just as likely does not prefer the right one. Raises `DataError` on no question."""
    if not probabilities:
        raise DataError("no question could be scored: insufficient evidence", remedy="give knowledge items a reply that holds their fact")
    confidence = np.array([max(p) for p in probabilities])
    right = np.array([p[0] > max(p[1:], default=0.0) for p in probabilities])
    found = expected_calibration_error(confidence, right, bins)
    p, n = float(right.mean()), len(probabilities)
    floor = math.sqrt(2 * found.bins * p * (1 - p) / (math.pi * n))
    return Calibrated(found.ece, floor, found.bins, n, float(confidence.mean()), p)
