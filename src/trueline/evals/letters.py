"""Confidence of a served model: which letter its reply would begin with, over options that stand in the question.

A server that answers chats does not say how likely a reply of our choosing is; many say how likely the first token of their own is
(`top_logprobs`). Each option stands once at every letter, and what a model gives to a letter whatever stands there falls out of the mean.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from string import ascii_uppercase

from trueline.charter.turns import Message
from trueline.core.chat import ChatRequest, Sampling, TokenChat
from trueline.evals.calibration import Question
from trueline.evals.pacing import Limits, Pacer
from trueline.models.pace import PACE

ASKED = "Which answer is right? Reply with its letter alone."
LEAST = 0.5  # share of probability that must stand on letters: below, the model would not have answered with one
AT_ONCE = 8


def lettered(question: Question, turn: int) -> tuple[Message, ...]:
    """The question with its options, each `turn` letters further on than in `question.options`."""
    options = [question.options[(i - turn) % len(question.options)] for i in range(len(question.options))]
    rows = [f"{letter}) {text}" for letter, text in zip(ascii_uppercase, options, strict=False)]
    last = question.messages[-1]
    return (*question.messages[:-1], replace(last, content="\n".join([last.content, "", *rows, "", ASKED])))


def on_letters(tokens: Mapping[str, float], n: int) -> list[float]:
    """Probability of each of the first `n` letters, (n,): of all tokens that are that letter, whatever stands round it (` A`, `(A`, `**A`)."""
    out = [0.0] * n
    for token, log in tokens.items():
        bare = "".join(c for c in token if c.isalnum())
        if len(bare) == 1 and (at := ascii_uppercase[:n].find(bare.upper())) >= 0:
            out[at] += math.exp(log)
    return out


async def chosen(model: TokenChat, question: Question) -> tuple[float, ...] | None:
    """Probabilities of the question's options, each the mean over all turns, summing to one; None where the model would mostly have begun
    with something else than a letter. Raises the model's `ModelError`."""
    n = len(question.options)
    mean = [0.0] * n
    for turn in range(n):
        seen = on_letters(await model.first_token(ChatRequest(lettered(question, turn), Sampling(max_tokens=1))), n)
        whole = sum(seen)
        if whole < LEAST:
            return None
        for i in range(n):
            mean[i] += seen[(i + turn) % n] / whole / n
    return tuple(mean)


async def chosen_all(
    model: TokenChat,
    asked: Sequence[Question],
    done: Mapping[int, tuple[float, ...] | None],
    keep: Callable[[int, tuple[float, ...] | None], None],
    progress: Callable[[int, int], None] | None = None,
    pacer: Pacer | None = None,
) -> list[tuple[float, ...] | None]:
    """`chosen` of every question, a few at once, within the limits of `pacer`; raises its `BudgetSpent`. `done`: what is known already, by place; `keep` is told of every new one."""
    pacer = pacer or Pacer(Limits(AT_ONCE))
    found, gate = dict(done), asyncio.Semaphore(min(AT_ONCE, pacer.limits.concurrency))

    async def one(i: int) -> None:
        if i not in found:
            PACE.set(pacer)
            async with gate:
                found[i] = await chosen(model, asked[i])
            keep(i, found[i])
        if progress is not None:
            progress(len(found), len(asked))

    try:
        async with asyncio.TaskGroup() as group:
            for i in range(len(asked)):
                group.create_task(one(i))
    except ExceptionGroup as e:
        raise e.exceptions[0] from None  # one reason is enough: the rest were cancelled or say the same
    return [found[i] for i in range(len(asked))]
