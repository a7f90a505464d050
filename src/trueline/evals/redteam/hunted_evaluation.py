"""A hunt as an evaluation, so that the gate can require it: one row a request and search, the attempt that stands for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from trueline.charter.probes import Probe
from trueline.core.clock import iso, utc_now
from trueline.core.evaluations import ATTACK_MARK, Evaluation, GradedReply
from trueline.core.ports import Grader
from trueline.evals.redteam.hunt import Hunted, Means
from trueline.evals.runner import settings_of
from trueline.evals.suites import Suite, freeze


def family_of(request: Probe) -> str:
    """What all attacks on a request fall together with: its family, or a hand-written probe itself."""
    return request.family if request.origin == "grown" else request.id


def hunted_suite(requests: Sequence[Probe], searches: Sequence[str]) -> Suite:
    """The requests once for each search: the same suite for every target, whatever was said to it in the end."""
    return freeze(
        replace(p, id=f"{p.id}{ATTACK_MARK}{s}", family=family_of(p), origin="grown", reply=None) for p in requests for s in searches
    )


def _row(h: Hunted) -> GradedReply:
    a, p = h.last, h.request
    return GradedReply(
        probe=f"{p.id}{ATTACK_MARK}{h.search}", clause=p.clause, kind=p.kind, measure=p.measure, family=family_of(p), origin="grown", sample=0,
        reply=a.reply, result=a.result, seen=a.seen, reason=f"{a.reason} [{a.how}, query {a.query} of {len(h.attempts)}]".strip(),
        grader=a.grader, blocked=a.blocked, version=a.version, decided=a.decided, action=a.action, decided_clause=a.decided_clause,
        seconds=a.seconds, input_tokens=a.input_tokens, output_tokens=a.output_tokens,
    )  # fmt: skip


def hunted_evaluation(
    hunted: Sequence[Hunted], means: Means, searches: Sequence[str], requests: Sequence[Probe], charter: str, target: str, seconds: float
) -> Evaluation:
    """The evaluation of a finished hunt; its settings say how it hunted."""
    grader: Grader = means.grader
    settings: Mapping[str, Any] = {**settings_of(means.sampling, 1), "redteam": {**means.told(), "searches": list(searches)}}
    rows = sorted((_row(h) for h in hunted), key=lambda r: r.probe)
    return Evaluation(
        target=target, identity=dict(means.model.identity()), charter=charter, suite=hunted_suite(requests, searches).digest, settings=settings,
        graders={grader.name: dict(grader.identity())}, rows=tuple(rows), created=iso(utc_now()), seconds=round(seconds, 3),
    )  # fmt: skip
