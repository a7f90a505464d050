"""The table of attacks by name, and compositions of them: `role-play+base64` is the play first and base64 round it.

Deterministic and public knowledge throughout; the themes stand in `encodings`, `lookalikes`, `frames`, `carriers`, `turns` and `drawn`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from trueline.core.clock import generator
from trueline.errors import SuiteError
from trueline.evals.redteam.attack import Attack, Conversation
from trueline.evals.redteam.carriers import CARRIERS
from trueline.evals.redteam.drawn import drawn
from trueline.evals.redteam.encodings import ENCODINGS
from trueline.evals.redteam.frames import FRAMES
from trueline.evals.redteam.lookalikes import LOOKALIKES
from trueline.evals.redteam.turns import TURNS, Shots, many_shot

PLUS = "+"  # stands between the names of a composition
PLAIN = Attack("plain", "none", "the request as it stands: what the disguises are measured against", lambda messages: messages)
ATTACKS: Mapping[str, Attack] = {a.name: a for a in (PLAIN, *ENCODINGS, *LOOKALIKES, *FRAMES, *CARRIERS, *TURNS)}
FAMILIES: tuple[str, ...] = tuple(dict.fromkeys(a.family for a in ATTACKS.values()))


def table(shots: Shots = ()) -> Mapping[str, Attack]:
    """The table, its many-shot attack with these questions and answers of the charter where there are some."""
    return {**ATTACKS, "many-shot": many_shot(shots)} if shots else ATTACKS


def composed(parts: Sequence[Attack]) -> Attack:
    """These attacks from left to right. The families of all of them are its family."""
    if len(parts) == 1:
        return parts[0]

    def apply(messages: Conversation) -> Conversation:
        for part in parts:
            messages = part.apply(messages)
        return messages

    families = dict.fromkeys(f for p in parts for f in families_of(p))
    return Attack(PLUS.join(p.name for p in parts), PLUS.join(families), "; then ".join(p.describe for p in parts), apply)


def families_of(attack: Attack) -> tuple[str, ...]:
    """The families of an attack: several for a composition."""
    return tuple(attack.family.split(PLUS))


def attack_named(name: str, known: Mapping[str, Attack] = ATTACKS) -> Attack:
    """The attack of this name, composed or with a parameter. Raises `SuiteError` for what is not in the table."""
    parts = []
    for part in name.split(PLUS):
        found = known.get(part) or drawn(part)
        if found is None:
            raise SuiteError(f"there is no attack {part!r}", remedy=f"choose from {', '.join(known)}, or join some with +")
        parts.append(found)
    return composed(parts)


def chosen(names: Iterable[str] = (), known: Mapping[str, Attack] = ATTACKS) -> tuple[Attack, ...]:
    """These attacks, or all of the table. Raises `SuiteError` for a name that is not in it."""
    return tuple(attack_named(n, known) for n in (tuple(names) or tuple(known)))


def pairs(attacks: Sequence[Attack], most: int | None = None, seed: int = 0) -> tuple[Attack, ...]:
    """Compositions of two of these attacks of different families, in both orders, the plain one left out: all, or `most` drawn by `seed`."""
    disguises = [a for a in attacks if a.family != "none"]
    found = [composed((a, b)) for a in disguises for b in disguises if not set(families_of(a)) & set(families_of(b))]
    return tuple(found) if most is None or most >= len(found) else tuple(generator(seed, "pairs").sample(found, max(0, most)))
