"""Faults of cover: a clause that no probe could test, an option without effect, or a name of something that is not there."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator

from trueline.charter.faults import Fault
from trueline.charter.hazards import HAZARDS
from trueline.charter.schema import Charter, Fairness, HighStakes, Principle
from trueline.charter.yaml_document import Place

PLACEHOLDERS = ("{person}", "{profile}")
PLACES = ("tool", "route", "key")  # where a mandatory review may be asked for: `tool:decide_loan`


def untestable(charter: Charter) -> Iterator[Fault]:
    """All of them, kind of clause by kind of clause."""
    for i, p in enumerate(charter.principles):
        yield from _principle(("principles", i), p)
    for i, h in enumerate(charter.high_stakes):
        yield from _high_stakes(("high_stakes", i), h)
    for i, f in enumerate(charter.fairness):
        yield from _fairness(("fairness", i), f)
    yield from _knowledge(charter)
    yield from _scope(charter)
    for i, v in enumerate(charter.voice):
        if not v.examples and v.max_words is None and not v.never:
            yield Fault(("voice", i), f"{v.id} cannot be tested", "add examples, max_words or never")
    if "fairness" in charter.gate.require and not charter.fairness:
        at: Place = ("gate", "require", charter.gate.require.index("fairness"))
        yield Fault(at, "fairness is required, but the charter has no fairness clause", "add one, or remove it here")
    yield from _zero_tolerance(charter)


def _principle(at: Place, p: Principle) -> Iterator[Fault]:
    if not p.ask.refuse:
        yield Fault(at, f"{p.id} cannot be tested: ask.refuse is empty", "add prompts that must be refused")
    if not p.ask.answer:
        yield Fault(at, f"{p.id} cannot be tested for over-refusal: ask.answer is empty", "add near misses that must be answered")
    for j, hazard in enumerate(p.hazards):
        if hazard not in HAZARDS:
            near = difflib.get_close_matches(hazard, sorted(HAZARDS), n=1)
            remedy = f"did you mean {near[0]!r}?" if near else f"use e.g. {', '.join(sorted(HAZARDS)[::12])} (docs/charter.md lists all)"
            yield Fault((*at, "hazards", j), f"unknown hazard {hazard!r}", remedy)


def _high_stakes(at: Place, h: HighStakes) -> Iterator[Fault]:
    if h.review.when == "detected":
        if not h.examples:
            yield Fault(at, f"{h.id} cannot be tested: examples is empty", "add questions that a person must decide")
        if not h.near_misses:
            yield Fault(at, f"{h.id} has no near_misses", "add questions that look alike and may be answered")
        if h.review.on:
            yield Fault((*at, "review", "on"), f"{h.id}: `on` has no effect with `when: detected`", "remove `on`, or write `when: always`")
    elif not h.review.on:
        yield Fault((*at, "review"), f"{h.id} is always held but says not on what", "add `on: [tool:NAME]`, route: or key:")
    for j, on in enumerate(h.review.on):
        kind, _, name = on.partition(":")
        if kind not in PLACES or not name:
            yield Fault(
                (*at, "review", "on", j), f"{h.id}: got {on!r}, expected tool:NAME, route:NAME or key:NAME", f"write e.g. tool:{on}"
            )


def _knowledge(charter: Charter) -> Iterator[Fault]:
    for i, k in enumerate(charter.knowledge):
        if not k.ask:
            yield Fault(("knowledge", i), f"{k.id} cannot be tested: ask is empty", "add questions")
        if k.abstain == bool(k.expected):
            what = "has both expect and abstain" if k.abstain else "has neither expect nor abstain"
            yield Fault(("knowledge", i), f"{k.id} {what}", "give `expect: ...` or `abstain: true`, one of them")


def _scope(charter: Charter) -> Iterator[Fault]:
    for i, inside in enumerate(charter.scope.inside):
        if not inside.examples:
            yield Fault(("scope", "inside", i), f"{inside.id} cannot be tested: examples is empty", "add questions of this subject")
    outside = charter.scope.outside
    if not outside.examples:
        yield Fault(("scope", "outside"), f"{outside.id} cannot be tested: examples is empty", "add off-topic questions")


def _fairness(at: Place, f: Fairness) -> Iterator[Fault]:
    if f.min_impact_ratio in (0.0, 1.0):
        why = "0 has no effect" if f.min_impact_ratio == 0 else "no number of pairs shows 1"
        yield Fault((*at, "min_impact_ratio"), f"{f.id}: {why}", "write a share between them, e.g. 0.8 (the four-fifths rule)")
    for group, people in f.groups.items():
        if len(people) < 2:
            yield Fault((*at, "groups", group), f"{f.id}: group {group!r} has {len(people)} person, two needed", "add another")
        elif len({p.casefold() for p in people}) < len(people):
            yield Fault((*at, "groups", group), f"{f.id}: group {group!r} names the same person twice", "remove one")
    for unknown in sorted(set(re.findall(r"\{[^{}]*\}", f.decision)) - set(PLACEHOLDERS)):
        yield Fault((*at, "decision"), f"{f.id}: {unknown} is no placeholder of a decision", f"use {' and '.join(PLACEHOLDERS)}")
    if "{profile}" in f.decision and not f.profiles:
        yield Fault(at, f"{f.id}: decision uses {{profile}} but profiles is empty", "add profiles")
    if f.profiles and "{profile}" not in f.decision:
        yield Fault(
            (*at, "profiles"), f"{f.id}: profiles have no effect, the decision does not use {{profile}}", "put {profile} into the decision"
        )


def _zero_tolerance(charter: Charter) -> Iterator[Fault]:
    ids = [c.id for c in charter.clauses()]
    held = {h.id for h in charter.high_stakes if h.review.when == "always"}
    for j, name in enumerate(charter.gate.zero_tolerance):
        if name in held:
            what = f"{name} is held for a person whatever is said, so that no probe can break it"
            yield Fault(("gate", "zero_tolerance", j), what, "remove it here")
        if name not in ids:
            near = difflib.get_close_matches(name, ids, n=1)
            yield Fault(
                ("gate", "zero_tolerance", j),
                f"there is no clause {name!r}",
                f"did you mean {near[0]!r}?" if near else "name a clause by its id",
            )
