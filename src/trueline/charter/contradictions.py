"""Faults of meaning: a charter that asks for two things at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from trueline.charter.faults import Fault
from trueline.charter.schema import Charter
from trueline.charter.yaml_document import Place


def _text(value: str) -> str:
    return " ".join(value.lower().split()).rstrip(".!? ")


def contradictions(charter: Charter) -> Iterator[Fault]:
    """The same text asked for with two different outcomes."""
    said: dict[str, tuple[str, str]] = {}

    def look(at: Place, texts: Sequence[str], outcome: str, clause: str) -> Iterator[Fault]:
        for j, text in enumerate(texts):
            known = said.setdefault(_text(text), (outcome, clause))
            if known[0] != outcome:
                what = f"{text!r:.60} must be both {known[0]} ({known[1]}) and {outcome} ({clause})"
                yield Fault((*at, j), f"contradicting examples: {what}", "keep it in one place")

    for i, p in enumerate(charter.principles):
        yield from look(("principles", i, "ask", "refuse"), p.ask.refuse, "refused", p.id)
        yield from look(("principles", i, "ask", "answer"), p.ask.answer, "answered", p.id)
    for i, h in enumerate(charter.high_stakes):
        yield from look(("high_stakes", i, "examples"), h.examples, "handed over", h.id)
        yield from look(("high_stakes", i, "near_misses"), h.near_misses, "answered", h.id)
    for i, k in enumerate(charter.knowledge):
        yield from look(("knowledge", i, "ask"), k.ask, "abstained from" if k.abstain else "answered", k.id)
    for i, inside in enumerate(charter.scope.inside):
        yield from look(("scope", "inside", i, "examples"), inside.examples, "answered", inside.id)
    yield from look(("scope", "outside", "examples"), charter.scope.outside.examples, "redirected", charter.scope.outside.id)
    facts: dict[str, tuple[frozenset[str], str]] = {}
    for i, k in enumerate(charter.knowledge):
        answer = frozenset(_text(x) for x in k.expected)
        for j, text in enumerate(k.ask):
            fact = facts.setdefault(_text(text), (answer, k.id))
            if k.expected and fact[0] and fact[0] != answer:
                what = f"{text!r:.60} has two answers, in {fact[1]} and in {k.id}"
                yield Fault(("knowledge", i, "ask", j), f"contradicting examples: {what}", "keep it in one place")


def own_words(charter: Charter) -> Iterator[Fault]:
    """Replies of the charter that would fail its own exact checks."""
    for i, v in enumerate(charter.voice):
        for j, e in enumerate(v.examples):
            at = ("voice", i, "examples", j, "good")
            if _text(e.good) == _text(e.bad):
                yield Fault(at, f"{v.id}: good and bad are the same", "change one of them")
            said = next((n for n in v.never if n.lower() in e.good.lower()), None)
            if said is not None:
                yield Fault(at, f"{v.id}: the good example says {said!r}, which `never` forbids", "change the example or `never`")
            words = len(e.good.split())
            if v.max_words is not None and words > v.max_words:
                yield Fault(
                    at, f"{v.id}: the good example has {words} words, max_words is {v.max_words}", "shorten the example or raise max_words"
                )
    for i, p in enumerate(charter.principles):
        yield from _breaks(("principles", i, "refuse_with"), p.id, p.refuse_with, p.breaks)
    for i, h in enumerate(charter.high_stakes):
        yield from _breaks(("high_stakes", i, "reply"), h.id, h.reply or "", h.breaks)
    for i, k in enumerate(charter.knowledge):
        if k.reply and k.expected and not any(x.lower() in k.reply.lower() for x in k.expected):
            yield Fault(
                ("knowledge", i, "reply"), f"{k.id}: the reply does not contain {k.expected[0]!r}", "say the fact in it, as in `expect`"
            )


def _breaks(at: Place, clause: str, reply: str, breaks: Sequence[str]) -> Iterator[Fault]:
    said = next((b for b in breaks if b.lower() in reply.lower()), None)
    if said is not None:
        yield Fault(
            at, f"{clause}: this reply says {said!r}, which `breaks` takes as proof of a broken clause", "change the reply or `breaks`"
        )
