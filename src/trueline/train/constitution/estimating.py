"""What a run will ask, before it asks: requests exactly, tokens from above.

Requests are those of a run in which nothing stops early and no two replies are the same; tokens take every answer at its longest, and
leave out the few that a chat template adds. So a run
asks at most this, and exactly so many requests where nothing is skipped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from trueline.charter.schema import Principle
from trueline.charter.turns import Message, behind
from trueline.train.constitution.labelling import FINAL, THINK, LabelSettings, both_orders
from trueline.train.constitution.principles import drawn
from trueline.train.constitution.records import Pair, RedTeamPrompt
from trueline.train.constitution.revising import ReviseSettings, critique_turns, revision_turns

Count = Callable[[str], int]


@dataclass(frozen=True, slots=True)
class Estimate:
    """Requests to the writer (the model that replies) and to the critic; tokens in and out of both together, at most."""

    writer: int
    critic: int
    input_tokens: int
    output_tokens: int

    @property
    def requests(self) -> int:
        """All requests."""
        return self.writer + self.critic

    def __add__(self, other: Estimate) -> Estimate:
        return Estimate(
            self.writer + other.writer,
            self.critic + other.critic,
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
        )

    def words(self) -> str:
        """One line for a person."""
        parts = f"{self.writer:,} to the model, {self.critic:,} to the critic"
        return f"at most {self.requests:,} requests ({parts}), up to about {self.input_tokens:,} tokens in and {self.output_tokens:,} out"


def _tokens(turns: Sequence[Message], count: Count) -> int:
    return sum(count(m.content) for m in turns)


def revising_cost(prompts: Sequence[RedTeamPrompt], principles: Sequence[Principle], s: ReviseSettings, count: Count) -> Estimate:
    """Of `revise`: a reply a prompt, a critique and a revision a round. `count`: tokens of a text."""
    read = 0
    shots = _tokens(s.shots, count)
    for prompt in prompts:
        read += _tokens(behind(s.system, prompt.messages), count)
        for principle, _ in drawn(principles, prompt.clause, s.rounds, s.own, s.seed, f"revise {prompt.key}"):
            critique = critique_turns((), principle, prompt.messages, "")
            revision = revision_turns(critique, principle, prompt.messages, "", "")
            # the reply stands once in the first request and twice in the second, where the critique stands once
            read += 2 * shots + _tokens(critique, count) + _tokens(revision, count) + 4 * s.tokens
    n = len(prompts)
    return Estimate(n, 2 * s.rounds * n, read, n * (1 + 2 * s.rounds) * s.tokens)


def replying_cost(conversations: Sequence[Sequence[Message]], s: ReviseSettings, count: Count) -> Estimate:
    """Of `own_replies`, where every one of the conversations is asked."""
    n = len(conversations)
    return Estimate(n, 0, sum(_tokens(behind(s.system, c), count) for c in conversations), n * s.tokens)


def labelling_cost(
    prompts: Sequence[RedTeamPrompt], principles: Sequence[Principle], s: LabelSettings, per_question: int, answer_tokens: int, count: Count
) -> Estimate:
    """Of `sample_pairs` and `label_pairs`: two replies a pair, two questions a pair, each `per_question` requests of at most
    `answer_tokens`, after a thought where `s.thoughts`."""
    longest = max(principles, key=lambda p: count(p.rule))
    n = s.pairs * len(prompts)
    read = 2 * s.pairs * sum(_tokens(behind(s.system, p.messages), count) for p in prompts)
    write = 2 * n * s.tokens
    for prompt in prompts:
        question = count(both_orders(Pair(prompt, "", ""), longest)[0]) + 2 * s.tokens
        thought = count(THINK) + question if s.thoughts else 0
        asked = question + (s.think_tokens + count(THINK) + count(FINAL) if s.thoughts else 0)
        read += 2 * s.pairs * (thought + per_question * asked)
    write += 2 * n * (per_question * answer_tokens + (s.think_tokens if s.thoughts else 0))
    return Estimate(2 * n, 2 * n * (per_question + int(s.thoughts)), read, write)
