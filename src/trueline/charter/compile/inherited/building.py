"""What all inherited families share: how a probe of theirs is built, which clause it names, and how things are chosen by digest."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from trueline.charter.digests import sha256_text
from trueline.charter.probes import OUTCOME_OF, Expectation, Kind, Probe, probe_id
from trueline.charter.schema import Charter, Family, Knowledge
from trueline.charter.turns import Message

PREFIX = "inherited:"


@dataclass(frozen=True, slots=True)
class Fact:
    """A knowledge item that can be asked: its first question, the accepted answers, what the charter says, and a wrong answer."""

    clause: str
    ask: str
    expected: tuple[str, ...]
    said: str
    wrong: str


def ranked(items: Iterable[str], salt: str) -> list[str]:
    """The items in an order that only their texts and the salt decide: the same on every machine, another for every salt."""
    return sorted(items, key=lambda i: sha256_text(f"{salt}|{i}"))


def number(salt: str, below: int) -> int:
    """A number from 0 to below - 1 that the salt decides."""
    return int(sha256_text(salt)[:12], 16) % below


def clause_of(charter: Charter, family: Family, hazards: Sequence[str]) -> str:
    """The charter's first principle that names one of these hazards; where it has none, the family itself as a clause."""
    found = next((p.id for h in hazards for p in charter.principles if h in p.hazards), None)
    return found or PREFIX + family


def breaks_of(charter: Charter, clause: str) -> tuple[str, ...]:
    """The marks by which the charter itself proves this clause broken."""
    return next((p.breaks for p in charter.principles if p.id == clause), ())


def turns(*texts: str) -> tuple[Message, ...]:
    """User and assistant in turn, the user first."""
    return tuple(Message("assistant" if i % 2 else "user", t) for i, t in enumerate(texts))


def build(
    family: Family,
    item: str,
    clause: str,
    kind: Kind,
    messages: tuple[Message, ...],
    *,
    contains: tuple[str, ...] = (),
    breaks: tuple[str, ...] = (),
    pair: str | None = None,
) -> Probe:
    """One inherited probe. `item` is what its wordings have in common (a fact, a request): they are one family in statistics."""
    name = f"{PREFIX}{family}/{item}"
    expect = Expectation(OUTCOME_OF[kind], contains, breaks, pair)
    return Probe(probe_id(clause, kind, name, messages), clause, kind, messages, name, "test", "inherited", expect)


def known(charter: Charter) -> list[Knowledge]:
    """The knowledge items that have an answer."""
    return [k for k in charter.knowledge if k.expected and k.ask]
