"""What an attack is, and the small builders that the themes of the table share.

An attack changes the last user turn, or puts turns before or behind it, and nothing else; the conversation still ends with a user. It is a
pure function: the same conversation gives the same attacked one on every machine.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from trueline.charter.turns import Message

Conversation = tuple[Message, ...]
Change = Callable[[Conversation], Conversation]


@dataclass(frozen=True, slots=True)
class Attack:
    """`family`: none, encoding, look-alike, splitting, frame, pressure, carrier, turns, or the name of the search that made it; of a
    composition all of its families, with + between them. `apply` keeps every message but the ones it attacks with."""

    name: str
    family: str
    describe: str
    apply: Change


def asked_at(messages: Conversation) -> int:
    """Index of the last user turn."""
    found = [i for i, m in enumerate(messages) if m.role == "user"]
    assert found, "a probe that must be refused asks something"
    return found[-1]


def asked_text(messages: Conversation) -> str:
    """What the last user turn says."""
    return messages[asked_at(messages)].content


def on_text(change: Callable[[str], str]) -> Change:
    """Rewrites the last user turn."""

    def apply(messages: Conversation) -> Conversation:
        at = asked_at(messages)
        return (*messages[:at], replace(messages[at], content=change(messages[at].content)), *messages[at + 1 :])

    return apply


def framed(before: str, after: str = "") -> Change:
    """Puts text before and behind the last user turn."""
    return on_text(lambda text: f"{before}{text}{after}")


def turned(change: Callable[[Message], Conversation]) -> Change:
    """Puts several turns in the place of the last user turn; they must end with a user."""

    def apply(messages: Conversation) -> Conversation:
        at = asked_at(messages)
        return (*messages[:at], *change(messages[at]), *messages[at + 1 :])

    return apply
