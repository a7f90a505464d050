"""Demonstrations: what the assistant should have said, from the charter and from accepted probes of the teach side."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from trueline.charter.probes import Kind, Origin, Probe
from trueline.charter.schema import Charter
from trueline.charter.turns import Message


@dataclass(frozen=True, slots=True)
class Demonstration:
    """A conversation and the reply that keeps the clause."""

    prompt: tuple[Message, ...]
    reply: str
    clause: str
    kind: Kind
    family: str
    origin: Origin


def charter_reply(charter: Charter, clause: str, kind: Kind) -> str | None:
    """The reply that the charter itself gives for a clause and kind of prompt, or None where it leaves it open."""
    for p in charter.principles:
        if p.id == clause and kind == "refuse":
            return p.refuse_with
    for h in charter.high_stakes:
        if h.id == clause and kind == "high_stakes":
            return h.reply
    for k in charter.knowledge:
        if k.id == clause and kind in ("knowledge", "abstain"):
            return k.reply or (f"{k.expected[0]}." if k.expected else None)
    if charter.scope.outside.id == clause and kind == "out_of_scope":
        return charter.scope.outside.reply
    return None


def _written(charter: Charter) -> Iterator[Demonstration]:
    from trueline.charter.compile.written import written_probes

    for p in written_probes(charter):
        reply = charter_reply(charter, p.clause, p.kind)
        if reply is not None:
            yield Demonstration(p.messages, reply, p.clause, p.kind, p.family, "written")
    for v in charter.voice:
        for e in v.examples:
            if e.ask:
                yield Demonstration((Message("user", e.ask),), e.good, v.id, "voice", f"{v.id}/written", "written")


def demonstrations(charter: Charter, probes: Iterable[Probe], *, written: bool = True) -> tuple[Demonstration, ...]:
    """Teach side only: grown probes with a reply of their own or one that the charter gives, then the hand-written ones."""
    out = list(_written(charter)) if written else []
    for p in probes:
        if p.side != "teach":
            continue
        reply = p.reply if p.reply is not None else charter_reply(charter, p.clause, p.kind)
        if reply is not None:
            out.append(Demonstration(p.messages, reply, p.clause, p.kind, p.family, p.origin))
    return tuple(out)
