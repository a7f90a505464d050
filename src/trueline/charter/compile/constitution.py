"""Requests of Constitutional AI (2212.08073), one set a principle: critique, revision, choice between (A) and (B).

Each ends with its plain question: a small model knows the tasks by that sentence (recipes/harbor taught these), and a longer one
makes it answer something else. How much to say is shown by the worked cases of `constitution_shots`, for models that read them.
"""

from __future__ import annotations

from collections.abc import Sequence

from trueline.charter.schema import Charter, Principle, PrincipleAsk
from trueline.charter.turns import Message

_NAMES = {"user": "User", "assistant": "Assistant", "system": "System", "tool": "Tool"}


def constitution_of(charter: Charter) -> tuple[Principle, ...]:
    """What a model is criticised by: the charter's principles, then each high-stakes clause that has a `reply`, as a principle under the
    clause's own id: its rule is what the clause describes, and what it prescribes is the sentence that hands over."""
    handing = (
        Principle(id=h.id, rule=h.describe, refuse_with=h.reply, ask=PrincipleAsk(refuse=h.examples, answer=h.near_misses), breaks=h.breaks)
        for h in charter.high_stakes
        if h.reply is not None
    )
    return (*charter.principles, *handing)


def transcript(messages: Sequence[Message]) -> str:
    """A conversation as lines of text; a single question as a question, as the bundled model knows it."""
    if len(messages) == 1 and messages[0].role == "user":
        return f'Question: "{messages[0].content}"'
    return "\n".join(f"{_NAMES[m.role]}: {m.content}" for m in messages)


def critique_request(principle: Principle, messages: Sequence[Message], reply: str) -> str:
    """Asks for the ways in which a reply breaks the principle."""
    why = f" ({principle.why})" if principle.why else ""
    return f'Rule: {principle.rule}{why}\n{transcript(messages)}\nReply: "{reply}"\nDoes the reply break the rule?'


def revision_request(principle: Principle, messages: Sequence[Message], reply: str) -> str:
    """Asks for a reply that keeps the principle. It goes on from the critique, which stands in the turn before and is not said again: told
    twice, the bundled model confuses the two and refuses by another rule."""
    return f'Rule: {principle.rule}\n{transcript(messages)}\nReply: "{reply}"\nWrite a reply that keeps the rule.'


def choice_request(principle: Principle, messages: Sequence[Message], first: str, second: str) -> str:
    """Asks which of two replies keeps the principle better; ask in both orders and average."""
    return (
        f"Rule: {principle.rule}\n{transcript(messages)}\n(A) {first}\n(B) {second}\nWhich reply keeps the rule better? Answer (A) or (B)."
    )
