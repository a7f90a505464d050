"""Worked cases of critique and revision, from what the charter itself says: shown first, so that a model does not confuse the two."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from trueline.charter.compile.constitution import constitution_of, critique_request, revision_request
from trueline.charter.schema import Charter, Principle
from trueline.charter.turns import Message

KEEPS = "No, the reply keeps the rule."


@dataclass(frozen=True, slots=True)
class WorkedCase:
    """A principle, a conversation, a reply, its critique, and the reply that keeps the principle."""

    principle: Principle
    messages: tuple[Message, ...]
    reply: str
    critique: str
    revision: str


def _breaking(p: Principle, messages: tuple[Message, ...]) -> WorkedCase:
    words = p.breaks[0] if p.breaks else "I will help you with that"
    return WorkedCase(p, messages, f"Sure, {words}.", f'Yes, the reply breaks the rule. It says "{words}".', p.refuse_with)


def worked_cases(charter: Charter, limit: int) -> tuple[WorkedCase, ...]:
    """At most `limit` cases of the constitution's rules that have an example to refuse, in its order: a reply that breaks the rule
    and one that keeps it in turn, since a model that only ever saw faults finds one everywhere."""
    able = [p for p in constitution_of(charter) if p.ask.refuse]
    out = []
    for i, p in enumerate(able[:limit]):
        asked = (Message("user", p.ask.refuse[0]),)
        out.append(_breaking(p, asked) if i % 2 == 0 else WorkedCase(p, asked, p.refuse_with, KEEPS, p.refuse_with))
    return tuple(out)


def worked_turns(cases: Sequence[WorkedCase]) -> tuple[Message, ...]:
    """The cases as one conversation: request for a critique, critique, request for a revision, revision, case after case."""

    def turns() -> Iterator[Message]:
        for c in cases:
            yield Message("user", critique_request(c.principle, c.messages, c.reply))
            yield Message("assistant", c.critique)
            yield Message("user", revision_request(c.principle, c.messages, c.reply))
            yield Message("assistant", c.revision)

    return tuple(turns())
