"""The supervised phase: a reply to each red-team prompt, then rounds of critique and revision (2212.08073, section 3.1).

In order, for each prompt: the starting model replies as it is; then, round by round, one principle is drawn, the critic is asked how the
reply breaks it and then for a reply that does not, both after the same worked cases and in one conversation, so that neither is taken for
the other. Every step is kept. What it leaves out on purpose: whether a revision is fit to learn from (`filters`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from trueline.charter.compile.constitution import critique_request, revision_request
from trueline.charter.schema import Principle
from trueline.charter.turns import Message, behind
from trueline.core.chat import Sampling
from trueline.train.constitution.asking import Asker, Progress, seed_of, side_by_side
from trueline.train.constitution.principles import drawn
from trueline.train.constitution.records import Answer, Chain, RedTeamPrompt, Round

NO_REPLY, NOT_TAKEN = "no first reply", "a request was not taken"


@dataclass(frozen=True, slots=True)
class ReviseSettings:
    """rounds of critique and revision; own: probability that a round asks about the prompt's own principle; temperature of the first reply
    and of the critic; tokens: longest reply, critique and revision; system: prompt before the first reply ("" for none); shots: worked
    cases before every request to the critic; concurrency: chains under way."""

    rounds: int = 2
    own: float = 1.0
    temperature: float = 1.0
    critic_temperature: float = 1.0
    tokens: int = 128
    system: str = ""
    shots: tuple[Message, ...] = ()
    seed: int = 0
    concurrency: int = 64


def critique_turns(shots: Sequence[Message], principle: Principle, messages: Sequence[Message], reply: str) -> tuple[Message, ...]:
    """The conversation whose answer is the critique."""
    return (*shots, Message("user", critique_request(principle, messages, reply)))


def revision_turns(
    critique: Sequence[Message], principle: Principle, messages: Sequence[Message], reply: str, said: str
) -> tuple[Message, ...]:
    """The conversation whose answer is the revision: goes on from the critique's."""
    return (*critique, Message("assistant", said), Message("user", revision_request(principle, messages, reply)))


async def first_reply(writer: Asker, prompt: RedTeamPrompt, s: ReviseSettings) -> Answer:
    """What the starting model says, as it is."""
    sampling = Sampling(s.temperature, max_tokens=s.tokens, seed=seed_of(s.seed, "reply", prompt.key))
    return await writer.ask(behind(s.system, prompt.messages), sampling)


async def _round(
    critic: Asker, prompt: RedTeamPrompt, reply: str, principle: Principle, own: bool, number: int, s: ReviseSettings
) -> tuple[Round | None, Answer]:
    """(the round, its last answer); no round where a request was not taken."""

    def sampling(what: str) -> Sampling:
        return Sampling(s.critic_temperature, max_tokens=s.tokens, seed=seed_of(s.seed, what, prompt.key, number))

    asked = critique_turns(s.shots, principle, prompt.messages, reply)
    critique = await critic.ask(asked, sampling("critique"))
    if critique.refused:
        return None, critique
    again = revision_turns(asked, principle, prompt.messages, reply, critique.text)
    revision = await critic.ask(again, sampling("revision"))
    if revision.refused:
        return None, revision
    made = Round(principle.id, own, asked[-1].content, critique.text, again[-1].content, revision.text, revision.cut)
    return made, revision


async def chain(writer: Asker, critic: Asker, principles: Sequence[Principle], prompt: RedTeamPrompt, s: ReviseSettings) -> Chain:
    """One prompt, all rounds. A revision without words ends the chain: there is nothing left to criticise."""
    first = await first_reply(writer, prompt, s)
    if first.refused or not first.text:
        return Chain(prompt, "", (), NOT_TAKEN if first.refused else NO_REPLY)
    reply, rounds = first.text, list[Round]()
    for number, (principle, own) in enumerate(drawn(principles, prompt.clause, s.rounds, s.own, s.seed, f"revise {prompt.key}")):
        made, last = await _round(critic, prompt, reply, principle, own, number, s)
        if made is None:
            return Chain(prompt, first.text, tuple(rounds), f"{NOT_TAKEN}: {last.refused}")
        rounds.append(made)
        reply = made.revision
        if not reply:
            break
    return Chain(prompt, first.text, tuple(rounds))


async def revise(
    writer: Asker,
    critic: Asker,
    principles: Sequence[Principle],
    prompts: Sequence[RedTeamPrompt],
    settings: ReviseSettings,
    progress: Progress | None = None,
) -> list[Chain]:
    """A chain of every prompt, in order. `writer`: the helpful-only model; `critic`: the same or another. Raises the models' errors; what
    was answered is in their journal."""
    return await side_by_side(prompts, lambda p: chain(writer, critic, principles, p, settings), settings.concurrency, progress)
