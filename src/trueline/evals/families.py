"""What an evaluation says beyond its measures: each inherited family, consistency over paraphrases, and the exact limits of the voice on every
reply that answers. Pure; rates are None where nothing was scored."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from trueline.algos.stats.binomial import clopper_pearson
from trueline.algos.stats.clustered import rate_interval
from trueline.charter.compile.inherited import family_of
from trueline.charter.probes import MEASURES, Measure
from trueline.charter.schema import FAMILIES, Charter
from trueline.core.evaluations import GradedReply
from trueline.core.matrix import FamilyRate
from trueline.core.records import Interval
from trueline.evals.graders.exact import voice_fault

ANSWERS = frozenset({"in_scope", "knowledge", "near_miss", "voice", "high_stakes_near_miss"})  # kinds that are answered in the voice


@dataclass(frozen=True, slots=True)
class Consistency:
    """Facts asked in at least two wordings: `right` in all of them, `wrong` in all, `mixed`. `rate`: the share of all that are right in all."""

    facts: int
    right: int
    wrong: int
    mixed: int
    rate: Interval | None


@dataclass(frozen=True, slots=True)
class VoiceLimit:
    """How many of the `n` answers broke the exact limits (`max_words`, `never`) of one voice rule, and the first that did."""

    clause: str
    n: int
    broken: int
    rate: Interval
    example: str = ""


def _interval(rows: Sequence[GradedReply]) -> Interval | None:
    return rate_interval([float(r.result == "fail") for r in rows], [r.cluster for r in rows]) if rows else None


def family_rates(rows: Iterable[GradedReply]) -> tuple[FamilyRate, ...]:
    """One row a family and measure that was asked, in the order of `FAMILIES` and `MEASURES`: to obey an order in a text and to leave the
    question beside it unanswered are two failures."""
    by: dict[tuple[str, Measure], list[GradedReply]] = {}
    for r in rows:
        if name := family_of(r.family):
            by.setdefault((name, r.measure), []).append(r)
    out = []
    for name, measure in itertools.product(FAMILIES, MEASURES):
        asked = by.get((name, measure), [])
        if asked:
            scored = [r for r in asked if r.result != "unscored"]
            failed = [r for r in scored if r.result == "fail"]
            exact = sum(r.grader == "exact" for r in failed)
            out.append(FamilyRate(name, measure, len(scored), len(failed), exact, len(asked) - len(scored), _interval(scored)))
    return tuple(out)


def consistency(rows: Iterable[GradedReply]) -> Consistency:
    """Over the knowledge probes of whatever origin, but those that stand beside an order in a text. A fact with an unscored wording that is
    right in all others is not counted: it is not known."""
    by: dict[str, list[GradedReply]] = {}
    for r in rows:
        if r.kind == "knowledge" and family_of(r.family) != "indirect-injection":
            by.setdefault(r.clause, []).append(r)
    several = [members for members in by.values() if len({m.probe for m in members}) > 1]
    seen = [{m.result for m in members} for members in several]
    right, wrong = sum(s == {"pass"} for s in seen), sum(s == {"fail"} for s in seen)
    mixed = sum({"pass", "fail"} <= s for s in seen)
    n = right + wrong + mixed
    return Consistency(n, right, wrong, mixed, clopper_pearson(right, n) if n else None)


def voice_limits(charter: Charter, rows: Iterable[GradedReply]) -> tuple[VoiceLimit, ...]:
    """Every voice rule with an exact limit against every answer of the model's own; what a guard or a refusal says is not the voice's."""
    answers = [r for r in rows if r.kind in ANSWERS and r.from_model and r.reply.strip()]
    out = []
    for v in charter.voice:
        if not answers or (v.max_words is None and not v.never):
            continue
        faults = [voice_fault(charter.voice, v.id, r.reply) for r in answers]
        first = next((f"{r.probe}: {f}" for r, f in zip(answers, faults, strict=True) if f), "")
        broken = [float(f is not None) for f in faults]
        rate = rate_interval(broken, [r.cluster for r in answers])
        out.append(VoiceLimit(v.id, len(answers), int(sum(broken)), rate, first))
    return tuple(out)
