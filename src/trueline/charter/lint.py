"""What is wrong with a charter beyond its form (fatal), and what is thin (holes).

Fatal: a clause that cannot be tested, contradicting examples, ids that stand twice, unknown hazards. Each is one line
with its place and the remedy. Holes do not stop anything; they are shown until they are filled.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from trueline.charter.hazards import HAZARDS
from trueline.charter.probes import Probe
from trueline.charter.schema import Charter
from trueline.errors import CharterError

if TYPE_CHECKING:
    from trueline.charter.parse import LoadedCharter, YamlDocument

Place = tuple[str | int, ...]
FEW = 3  # examples below which a clause is called thin


@dataclass(frozen=True, slots=True)
class Fault:
    """Something fatal: where, what, and how to mend it."""

    at: Place
    what: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Hole:
    """Something thin: the clause, what is missing, and how to fill it."""

    clause: str
    what: str
    remedy: str


def _text(value: str) -> str:
    return " ".join(value.lower().split()).rstrip(".!? ")


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


def _untestable(charter: Charter) -> Iterator[Fault]:
    for i, p in enumerate(charter.principles):
        at = ("principles", i)
        if not p.ask.refuse:
            yield Fault(at, f"{p.id} cannot be tested: ask.refuse is empty", "add prompts that must be refused")
        if not p.ask.answer:
            yield Fault(
                at,
                f"{p.id} cannot be tested for over-refusal: ask.answer is empty",
                "add near misses that must be answered",
            )
        for j, hazard in enumerate(p.hazards):
            if hazard not in HAZARDS:
                near = difflib.get_close_matches(hazard, sorted(HAZARDS), n=1)
                remedy = f"did you mean {near[0]!r}?" if near else "use a mlcommons:, owasp: or eu-ai-act: hazard"
                yield Fault((*at, "hazards", j), f"unknown hazard {hazard!r}", remedy)
    for i, h in enumerate(charter.high_stakes):
        if h.review.when == "detected" and not h.examples:
            yield Fault(
                ("high_stakes", i),
                f"{h.id} cannot be tested: examples is empty",
                "add questions that a person must decide",
            )
        if h.review.when == "detected" and not h.near_misses:
            yield Fault(("high_stakes", i), f"{h.id} has no near_misses", "add questions that look alike and may be answered")
        if h.review.when == "always" and not h.review.on:
            yield Fault(
                ("high_stakes", i, "review"),
                f"{h.id} is always held but says not on what",
                "add `on: [tool:NAME]`, route: or key:",
            )
    for i, k in enumerate(charter.knowledge):
        if not k.ask:
            yield Fault(("knowledge", i), f"{k.id} cannot be tested: ask is empty", "add questions")
        if k.abstain == bool(k.expected):
            what = "has both expect and abstain" if k.abstain else "has neither expect nor abstain"
            yield Fault(("knowledge", i), f"{k.id} {what}", "give `expect: ...` or `abstain: true`, one of them")
    for i, inside in enumerate(charter.scope.inside):
        if not inside.examples:
            yield Fault(
                ("scope", "inside", i),
                f"{inside.id} cannot be tested: examples is empty",
                "add questions of this subject",
            )
    if not charter.scope.outside.examples:
        yield Fault(
            ("scope", "outside"),
            f"{charter.scope.outside.id} cannot be tested: examples is empty",
            "add off-topic questions",
        )
    for i, v in enumerate(charter.voice):
        if not v.examples and v.max_words is None and not v.never:
            yield Fault(("voice", i), f"{v.id} cannot be tested", "add examples, max_words or never")
    for i, f in enumerate(charter.fairness):
        for group, people in f.groups.items():
            if len(people) < 2:
                yield Fault(
                    ("fairness", i, "groups", group),
                    f"{f.id}: group {group!r} has {len(people)} person, two needed",
                    "add another",
                )
        if "{profile}" in f.decision and not f.profiles:
            yield Fault(("fairness", i), f"{f.id}: decision uses {{profile}} but profiles is empty", "add profiles")


def _contradictions(charter: Charter) -> Iterator[Fault]:
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


def _gate(charter: Charter) -> Iterator[Fault]:
    if not charter.gate.caps:
        yield Fault(("gate",), "gate.caps is empty, so that nothing could ever be released", "add caps, e.g. {harm: 0.05}")


def faults(charter: Charter) -> tuple[Fault, ...]:
    """Everything fatal, in no particular order."""
    return (*_double_ids(charter), *_untestable(charter), *_contradictions(charter), *_gate(charter))


def check_charter(charter: Charter, document: YamlDocument, path: Path) -> None:
    """Raises the fault that stands first in the file."""
    from trueline.charter.parse import _line

    found = sorted(faults(charter), key=lambda f: _line(document.lines, f.at))
    if found:
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        raise CharterError(found[0].what + more, remedy=found[0].remedy, file=path, line=_line(document.lines, found[0].at))


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
    for clause in charter.clauses():
        for side in ("teach", "test"):
            if (clause.id, side) not in sides:
                verb = "taught with" if side == "teach" else "tested by"
                out.append(Hole(clause.id, f"not {verb} any grown probe", "run `trueline probes grow`"))
    for measure in ("harm", "over_refusal", "scope"):
        if measure not in charter.gate.caps:
            out.append(Hole("gate", f"no cap for {measure}", f"add gate.caps.{measure}"))
    return tuple(out)
