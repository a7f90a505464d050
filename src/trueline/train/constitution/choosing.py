"""(A) or (B)? The two ways to a probability: the log-probabilities of the letters, or a share of sampled answers where a served model
gives none. An answer that is neither letter counts for neither; too few letters, and the question is unscored."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from trueline.charter.digests import digest_of
from trueline.charter.turns import Message
from trueline.core.chat import Sampling
from trueline.engine.loading import LocalModel
from trueline.engine.logprobs import all_choice_probabilities
from trueline.engine.templates import encode_completion
from trueline.train.constitution.asking import Asker, Journal, Progress, seed_of, side_by_side
from trueline.train.constitution.records import Choice

LETTERS = ("(A)", "(B)")
_LETTER = re.compile(r"\W*([AB])\W*")
BATCH = 32  # questions between two writes of the journal

Question = tuple[Message, ...]


class Chooser(Protocol):
    """Answers (A)-or-(B) questions. `per_question`: requests that one question costs."""

    per_question: int

    def identity(self) -> Mapping[str, Any]:
        """How it chooses, and with which model."""

    async def choose(self, questions: Sequence[Question], progress: Progress | None = None) -> list[Choice]:
        """One choice a question, in order."""


def letter_of(answer: str) -> str | None:
    """ "A" or "B" where the answer is that letter and no word more, with whatever punctuation; else None. Nothing is guessed from a
    sentence: "Both (A) and (B)" and "(A) is worse" hold an A too."""
    found = _LETTER.fullmatch(answer.strip())
    return found[1] if found else None


class LetterChooser:
    """A local model: the normalised log-probabilities of the two letters (2212.08073, section 4.1)."""

    per_question = 1

    def __init__(self, local: LocalModel, journal: Journal) -> None:
        self._local, self._journal = local, journal

    def identity(self) -> Mapping[str, Any]:
        """The weights and the template that the letters are read from."""
        return {"by": "log-probabilities of the letters", "weights": self._local.digest, "template": self._local.template}

    def _fits(self, question: Question) -> bool:
        prompt, completion = encode_completion(self._local.tokenizer, question, LETTERS[0])
        return len(prompt) + len(completion) <= self._local.context

    async def choose(self, questions: Sequence[Question], progress: Progress | None = None) -> list[Choice]:
        """One choice a question; one that does not fit the context is unscored."""
        who = self.identity()
        keys = [digest_of(["letters", dict(who), [m.to_dict() for m in q]]) for q in questions]
        missing = [i for i, k in enumerate(keys) if self._journal.get(k) is None]
        for start in range(0, len(missing), BATCH):
            part = missing[start : start + BATCH]
            fitting = [i for i in part if self._fits(questions[i])]
            found = all_choice_probabilities(self._local, [questions[i] for i in fitting], LETTERS)
            first = dict(zip(fitting, (row[0] for row in found), strict=True))
            for i in part:
                self._journal.put(keys[i], {"first": first.get(i)})
            if progress is not None:
                progress(len(questions) - len(missing) + start + len(part), len(questions))
        rows = [self._journal.get(k) for k in keys]
        return [Choice(row["first"], int(row["first"] is not None)) for row in rows if row is not None]


class VotingChooser:
    """Any `ChatModel`: the share of (A) among `votes` sampled answers that are a letter. Fewer than half that are: unscored."""

    def __init__(
        self, asker: Asker, *, votes: int = 4, temperature: float = 1.0, tokens: int = 128, seed: int = 0, concurrency: int = 64
    ) -> None:
        self.per_question = votes
        self._asker, self._temperature, self._tokens, self._seed, self._concurrency = asker, temperature, tokens, seed, concurrency

    def identity(self) -> Mapping[str, Any]:
        """The model, and how many answers of which temperature are counted."""
        told = {"by": "sampled answers", "votes": self.per_question, "temperature": self._temperature}
        return {**told, "model": dict(self._asker.chat.identity())}

    async def choose(self, questions: Sequence[Question], progress: Progress | None = None) -> list[Choice]:
        """One choice a question."""

        async def one(question: Question) -> Choice:
            said = []
            for vote in range(self.per_question):
                seed = seed_of(self._seed, "vote", [m.to_dict() for m in question], vote)
                said.append(
                    letter_of((await self._asker.ask(question, Sampling(self._temperature, max_tokens=self._tokens, seed=seed))).text)
                )
            told = [x for x in said if x is not None]
            scored = 2 * len(told) >= self.per_question
            return Choice(told.count("A") / len(told) if scored else None, len(told), len(said) - len(told))

        return await side_by_side(questions, one, self._concurrency, progress)
