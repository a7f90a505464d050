"""What is wrong with a charter beyond its form (fatal), and what is thin (holes).

Fatal: a clause that cannot be tested, contradicting examples, ids that stand twice, unknown hazards. Each is one line
with its place and the remedy. Holes do not stop anything; they are shown until they are filled.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from trueline.charter.compile.inherited.families import MADE_BY
from trueline.charter.contradictions import contradictions, own_words
from trueline.charter.faults import Fault
from trueline.charter.probes import Probe
from trueline.charter.schema import Charter
from trueline.charter.untestable import untestable
from trueline.charter.yaml_document import Place, YamlDocument, line_at
from trueline.errors import CharterError

if TYPE_CHECKING:
    from trueline.charter.parse import LoadedCharter

YEAR = 366 * 86400  # seconds
FEW = 3  # examples below which a clause is called thin


@dataclass(frozen=True, slots=True)
class Hole:
    """Something thin: the clause, what is missing, and how to fill it."""

    clause: str
    what: str
    remedy: str


def _ids(charter: Charter) -> Iterator[tuple[Place, str]]:
    for group in ("voice", "knowledge", "principles", "high_stakes", "fairness"):
        for i, clause in enumerate(getattr(charter, group)):
            yield (group, i, "id"), clause.id
    for i, inside in enumerate(charter.scope.inside):
        yield ("scope", "inside", i, "id"), inside.id
    yield ("scope", "outside", "id"), charter.scope.outside.id


def _double_ids(charter: Charter) -> Iterator[Fault]:
    seen: dict[str, Place] = {}
    for at, name in _ids(charter):
        if name in seen:
            yield Fault(
                at,
                f"the id {name!r} stands twice (also at {'.'.join(map(str, seen[name][:-1]))})",
                "give each clause its own id",
            )
        seen.setdefault(name, at)


def _gate(charter: Charter) -> Iterator[Fault]:
    gate = charter.gate
    if not gate.caps:
        yield Fault(("gate",), "gate.caps is empty, so that nothing could ever be released", "add caps, e.g. {harm: 0.05}")
    for what, rates in (("caps", gate.caps), ("margins", gate.margins)):
        for measure, rate in rates.items():
            if rate <= 0:
                remedy = "name clauses in gate.zero_tolerance, or give what can be shown, e.g. 0.01"
                yield Fault(("gate", what, measure), f"{measure}: no number of probes can show a rate of 0", remedy)
            if rate >= 1:
                yield Fault(("gate", what, measure), f"{measure}: 1 allows everything", "a rate is a fraction: 1 % is 0.01")


def _reviews(charter: Charter) -> Iterator[Fault]:
    for i, h in enumerate(charter.high_stakes):
        if h.review.within_seconds > YEAR:
            yield Fault(
                ("high_stakes", i, "review", "within"), f"{h.id}: nobody waits {h.review.within}", "give a time of at most a year, e.g. 4h"
            )


def _twice(charter: Charter) -> Iterator[Fault]:
    """A prompt that stands twice in one list: it would count as two probes and is one."""
    lists: list[tuple[Place, Sequence[str]]] = [(("scope", "outside", "examples"), charter.scope.outside.examples)]
    lists += [(("scope", "inside", i, "examples"), x.examples) for i, x in enumerate(charter.scope.inside)]
    lists += [(("knowledge", i, "ask"), k.ask) for i, k in enumerate(charter.knowledge)]
    for i, p in enumerate(charter.principles):
        lists += [(("principles", i, "ask", "refuse"), p.ask.refuse), (("principles", i, "ask", "answer"), p.ask.answer)]
    for i, h in enumerate(charter.high_stakes):
        lists += [(("high_stakes", i, "examples"), h.examples), (("high_stakes", i, "near_misses"), h.near_misses)]
    for at, texts in lists:
        seen: set[str] = set()
        for j, text in enumerate(texts):
            mark = " ".join("".join(c if c.isalnum() else " " for c in text.lower()).split())
            if mark and mark in seen:
                yield Fault((*at, j), f"the prompt {text!r:.60} stands twice", "remove one, or ask in other words")
            seen.add(mark)


def _inherits(charter: Charter) -> Iterator[Fault]:
    """A family that is left out twice, and a rule that requires what is left out whole."""
    seen: set[str] = set()
    for j, w in enumerate(charter.inherits.without):
        if w.family in seen:
            yield Fault(("inherits", "without", j), f"the family {w.family!r} is left out twice", "remove one")
        seen.add(w.family)
    if "inherited" in charter.gate.require and not charter.inherits.families:
        yield Fault(("gate", "require"), "inherited is required, but every family is left out", "remove it here, or inherit something")


def faults(charter: Charter) -> tuple[Fault, ...]:
    """Everything fatal, in no particular order."""
    own = (*_double_ids(charter), *_gate(charter), *_reviews(charter), *_twice(charter), *_inherits(charter))
    return (*own, *untestable(charter), *contradictions(charter), *own_words(charter))


def check_charter(charter: Charter, document: YamlDocument, path: Path) -> None:
    """Raises the fault that stands first in the file."""
    found = sorted(faults(charter), key=lambda f: line_at(document.lines, f.at))
    if found:
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        raise CharterError(found[0].what + more, remedy=found[0].remedy, file=path, line=line_at(document.lines, found[0].at))


def _growable(charter: Charter) -> Iterator[str]:
    """Clauses that grown probes can cover: pairs of fairness come whole from the charter, a route that is always held needs no probe."""
    always = {h.id for h in charter.high_stakes if h.review.when == "always"}
    paired = {f.id for f in charter.fairness}
    return (c.id for c in charter.clauses() if c.id not in always | paired)


def _empty_families(charter: Charter) -> Iterator[Hole]:
    """Inherited families without a single probe: they are made of the charter's own items, and there is none to make them of."""
    for name in charter.inherits.families:
        if next(MADE_BY[name](charter), None) is None:
            what = "examples out of scope" if name == "drift" else "prompts to refuse" if name == "multi-turn" else ""
            remedy = "add knowledge items with `expect:`, of which one at least is a figure" + (f", and {what}" if what else "")
            yield Hole("inherits", f"the family {name} has no probe: nothing in the charter to make it of", remedy)


def holes(loaded: LoadedCharter, probes: Sequence[Probe] = ()) -> tuple[Hole, ...]:
    """What is thin: too few examples, no probes on a side, no cap for a measure that is tested."""
    charter, out = loaded.charter, []
    sides = {(p.clause, p.side) for p in probes}
    for p in charter.principles:
        if len(p.ask.refuse) < FEW or len(p.ask.answer) < FEW:
            out.append(
                Hole(
                    p.id,
                    f"{len(p.ask.refuse)} prompts to refuse, {len(p.ask.answer)} near misses",
                    "write at least three of each",
                )
            )
        if not p.hazards:
            out.append(Hole(p.id, "no hazard named", "add hazards, so that public suites can be matched"))
    for h in charter.high_stakes:
        if h.reply is None:
            out.append(Hole(h.id, "no hand-over sentence", "add `reply:`"))
        if h.review.when == "detected" and min(len(h.examples), len(h.near_misses)) < FEW:
            out.append(
                Hole(
                    h.id,
                    f"{len(h.examples)} examples, {len(h.near_misses)} near misses",
                    "write at least three of each",
                )
            )
    for clause in _growable(charter):
        lacking = [word for side, word in (("teach", "taught with"), ("test", "tested by")) if (clause, side) not in sides]
        if lacking:
            out.append(
                Hole(
                    clause,
                    ("neither " if len(lacking) == 2 else "not ") + " nor ".join(lacking) + " any grown probe",
                    "run `trueline probes grow`",
                )
            )
    for k in charter.knowledge:
        if k.abstain and k.reply is None:
            out.append(Hole(k.id, "no sentence for not knowing", "add `reply:`"))
    for v in charter.voice:
        if not any(e.ask for e in v.examples):
            out.append(Hole(v.id, "no example has a question, so that no probe asks for it", "add `ask:` to the examples"))
    out += [
        Hole("inherits", f"the family {w.family} is left out: {w.reason}", "remove it from inherits.without")
        for w in charter.inherits.without
    ]
    out += _empty_families(charter)
    for measure in ("harm", "over_refusal", "scope"):
        if measure not in charter.gate.caps:
            out.append(Hole("gate", f"no cap for {measure}", f"add gate.caps.{measure}"))
    return tuple(out)
