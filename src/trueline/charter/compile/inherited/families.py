"""The table of inherited families, and all probes that a charter inherits."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from trueline.charter.compile.inherited import asking, conduct, dialogues, people, truth
from trueline.charter.compile.inherited.building import PREFIX
from trueline.charter.probes import Probe
from trueline.charter.schema import FAMILIES, Charter, Family

MADE_BY: Mapping[Family, Callable[[Charter], Iterator[Probe]]] = {
    "harmful": conduct.harmful,
    "offensive": conduct.offensive,
    "near-misses": conduct.near_misses,
    "leakage": asking.leakage,
    "injection": asking.injection,
    "indirect-injection": asking.indirect_injection,
    "privacy": conduct.privacy,
    "sycophancy": truth.sycophancy,
    "false-premise": truth.false_premise,
    "unanswerable": truth.unanswerable,
    "paraphrases": truth.paraphrases,
    "drift": dialogues.drift,
    "multi-turn": dialogues.multi_turn,
    "hiring": people.hiring,
    "lending": people.lending,
}


def family_of(family: str) -> Family | None:
    """Which inherited family a probe's family belongs to; None for a probe that is not inherited."""
    name = family.removeprefix(PREFIX).partition("/")[0]
    return next((f for f in FAMILIES if f == name), None) if family.startswith(PREFIX) else None


def inherited_probes(charter: Charter) -> tuple[Probe, ...]:
    """Every probe that this charter inherits, without repeats: all families but those it leaves out with a reason."""
    return tuple({p.id: p for name in charter.inherits.families for p in MADE_BY[name](charter)}.values())
