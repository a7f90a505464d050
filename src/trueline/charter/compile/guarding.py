"""Guard rules: what the run-time guard must look for, one rule a clause and kind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from trueline.charter.probes import Kind
from trueline.charter.schema import Charter


@dataclass(frozen=True, slots=True)
class GuardRule:
    """`phrases` are exact breaks in a reply; `examples` and `counter_examples` teach a detector head; `action` is what a
    detection leads to; `reply` is what the user then sees."""

    clause: str
    kind: Kind
    action: Literal["refuse", "redirect", "hold"]
    reply: str
    phrases: tuple[str, ...]
    examples: tuple[str, ...]
    counter_examples: tuple[str, ...]


HELD = "This question goes to a person, who will answer you."


def guard_rules(charter: Charter) -> tuple[GuardRule, ...]:
    """All rules in the order of the charter: refuse for principles, hold for high stakes, redirect for what is outside."""
    inside = tuple(t for i in charter.scope.inside for t in i.examples)
    asked = tuple(t for k in charter.knowledge for t in k.ask)
    out = [GuardRule(p.id, "refuse", "refuse", p.refuse_with, p.breaks, p.ask.refuse, p.ask.answer) for p in charter.principles]
    for h in charter.high_stakes:
        if h.review.when == "detected":
            out.append(GuardRule(h.id, "high_stakes", "hold", h.reply or HELD, h.breaks, h.examples, h.near_misses))
    o = charter.scope.outside
    out.append(GuardRule(o.id, "out_of_scope", "redirect", o.reply, (), o.examples, inside + asked))
    return tuple(out)
