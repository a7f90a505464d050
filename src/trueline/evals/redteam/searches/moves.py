"""What a search is: a generator that proposes, is told what came of it, and proposes again. It asks nobody itself.

It yields a batch of attempts at the target, or one question to an attacker, or one gradient search; the driver (`hunt`) asks, journals and
answers in the order of the batch. Everything random comes from the setting's seeded source, so a search that is told the same
things again makes the same moves: that is how one resumes from its journal.
"""

from __future__ import annotations

import random
from collections.abc import Generator, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import TypeVar

from trueline.charter.probes import Probe
from trueline.core.records import Result
from trueline.evals.redteam.attack import Attack, Conversation

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Attempt:
    """One query of the target. `how`: the name of an attack that makes these messages out of the request (see `attacks.attack_named`), or,
    where a model wrote them, the name of the search."""

    messages: Conversation
    how: str


@dataclass(frozen=True, slots=True)
class Consult:
    """One query of the attacker, which is no query of the target and is counted apart."""

    messages: Conversation
    purpose: str


@dataclass(frozen=True, slots=True)
class Gradient:
    """A white-box search for a suffix of `messages` that makes `target` likely, with `steps` steps in all (those made already count)."""

    messages: Conversation
    target: str
    steps: int


@dataclass(frozen=True, slots=True)
class Seen:
    """What came of an attempt. `score` in [0, 1]: how probable it is that the reply complied, 1 where that is certain."""

    reply: str
    result: Result
    score: float


Move = Attempt | Consult | Gradient
Told = Seen | str
Moves = Generator[tuple[Move, ...], tuple[Told, ...], None]
Part = Generator[tuple[Move, ...], tuple[Told, ...], T]


@dataclass(frozen=True, slots=True)
class Setting:
    """One request under one search. `attacks`: those of the table that may be used. `budget`: queries of the target. `memory` is shared by
    all requests of this search: what it learns from one it may use on the next (wins and tries by attack)."""

    request: Probe
    source: random.Random
    attacks: Mapping[str, Attack]
    budget: int
    memory: MutableMapping[str, tuple[int, int]] = field(default_factory=dict)
    goal: str = ""


def tried(*attempts: Attempt) -> Part[tuple[Seen, ...]]:
    """What came of these attempts; fewer where the budget ended among them."""
    found = yield attempts
    return tuple(s for s in found if isinstance(s, Seen))


def answered(move: Consult | Gradient) -> Part[str]:
    """What the attacker wrote, or the suffix found."""
    (found,) = yield (move,)
    assert isinstance(found, str), "the driver answers a question with text"
    return found
