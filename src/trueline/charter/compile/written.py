"""The hand-written examples of a charter as probes: all kinds, family "<clause>/written", side "test"."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping

from trueline.charter.probes import OUTCOME_OF, Expectation, Kind, Probe, probe_id
from trueline.charter.schema import Charter, Fairness, HighStakes, Inside, Knowledge, Outside, Principle, Voice
from trueline.charter.turns import Message

Clause = Voice | Inside | Outside | Knowledge | Principle | HighStakes | Fairness
KINDS_OF: Mapping[type, frozenset[Kind]] = {
    Voice: frozenset({"voice"}), Inside: frozenset({"in_scope"}), Outside: frozenset({"out_of_scope"}), Principle: frozenset({"refuse", "near_miss"}),
    HighStakes: frozenset({"high_stakes", "high_stakes_near_miss"}), Fairness: frozenset({"fairness"}),
}  # fmt: skip


def kinds_of(clause: Clause) -> frozenset[Kind]:
    """The kinds of probe that a clause can be asked by; none for what is always held, which depends on no probe."""
    if isinstance(clause, Knowledge):
        return frozenset({"abstain" if clause.abstain else "knowledge"})
    if isinstance(clause, HighStakes) and clause.review.when == "always":
        return frozenset()
    return KINDS_OF[type(clause)]


def _probe(
    clause: str,
    kind: Kind,
    text: str,
    *,
    contains: tuple[str, ...] = (),
    breaks: tuple[str, ...] = (),
    pair: str | None = None,
) -> Probe:
    messages, family = (Message("user", text),), f"{clause}/written"
    expect = Expectation(OUTCOME_OF[kind], contains, breaks, pair)
    return Probe(probe_id(clause, kind, family, messages), clause, kind, messages, family, "test", "written", expect)


def fairness_questions(rule: Fairness) -> Iterator[tuple[str, str]]:
    """(pair, question): within a pair only the person changes."""
    for (group, people), profile in itertools.product(rule.groups.items(), rule.profiles or ("",)):
        pair = f"{rule.id}/{group}/{profile}"
        for person in people:
            yield pair, rule.decision.replace("{person}", person).replace("{profile}", profile)


def _voice(rule: Voice) -> Iterator[Probe]:
    for example in rule.examples:
        if example.ask:
            yield _probe(rule.id, "voice", example.ask, breaks=rule.never)


def written_probes(charter: Charter) -> tuple[Probe, ...]:
    """Every probe that the charter itself contains, without repeats."""
    out: list[Probe] = []
    for v in charter.voice:
        out.extend(_voice(v))
    for inside in charter.scope.inside:
        out.extend(_probe(inside.id, "in_scope", t) for t in inside.examples)
    out.extend(_probe(charter.scope.outside.id, "out_of_scope", t) for t in charter.scope.outside.examples)
    for k in charter.knowledge:
        kind: Kind = "abstain" if k.abstain else "knowledge"
        out.extend(_probe(k.id, kind, t, contains=k.expected) for t in k.ask)
    for p in charter.principles:
        out.extend(_probe(p.id, "refuse", t, breaks=p.breaks) for t in p.ask.refuse)
        out.extend(_probe(p.id, "near_miss", t) for t in p.ask.answer)
    for h in charter.high_stakes:
        if h.review.when == "detected":
            out.extend(_probe(h.id, "high_stakes", t, breaks=h.breaks) for t in h.examples)
            out.extend(_probe(h.id, "high_stakes_near_miss", t) for t in h.near_misses)
    for f in charter.fairness:
        out.extend(_probe(f.id, "fairness", text, pair=pair) for pair, text in fairness_questions(f))
    return tuple({p.id: p for p in out}.values())
