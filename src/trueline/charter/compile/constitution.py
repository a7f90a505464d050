"""Requests of Constitutional AI (2212.08073), one set a principle: critique, revision, choice between (A) and (B).

Each ends with its plain question: a small model knows the tasks by that sentence (recipes/harbor taught these), and a longer one
makes it answer something else. How much to say is shown by the worked cases of `constitution_shots`, for models that read them.
"""

from __future__ import annotations

from collections.abc import Sequence

from trueline.charter.schema import Principle
from trueline.charter.turns import Message

_NAMES = {"user": "User", "assistant": "Assistant", "system": "System", "tool": "Tool"}


def transcript(messages: Sequence[Message]) -> str:
    """A conversation as lines of text."""
    return "\n".join(f"{_NAMES[m.role]}: {m.content}" for m in messages)


def critique_request(principle: Principle, messages: Sequence[Message], reply: str) -> str:
    """Asks for the ways in which a reply breaks the principle."""
    why = f" ({principle.why})" if principle.why else ""
    return f'Rule: {principle.rule}{why}\n{transcript(messages)}\nReply: "{reply}"\nDoes the reply break the rule?'


def revision_request(principle: Principle, messages: Sequence[Message], reply: str, critique: str) -> str:
    """Asks for a reply that keeps the principle, given the critique."""
    return (
        f'Rule: {principle.rule}\n{transcript(messages)}\nReply: "{reply}"\nCritique: {critique}\n'
        "Write a reply that keeps the rule. Give the reply only."
    )


def choice_request(principle: Principle, messages: Sequence[Message], first: str, second: str) -> str:
    """Asks which of two replies keeps the principle better; ask in both orders and average."""
    return (
        f"Rule: {principle.rule}\n{transcript(messages)}\n(A) {first}\n(B) {second}\nWhich reply keeps the rule better? Answer (A) or (B)."
    )
