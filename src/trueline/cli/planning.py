"""What a suite can decide and what asking it costs, before anything is asked: the numbers of `trueline plan`."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trueline.charter.probes import Measure, Probe
    from trueline.charter.schema import GateRule
    from trueline.cli.project import Project
    from trueline.core.evaluations import Evaluation
    from trueline.evals.suites import Suite


@dataclass(frozen=True, slots=True)
class Terms:
    """How the run is to be made. changed: share of probes expected to change between two sides; noise: by measure, the share of replies
    that differ between two draws; prices per million tokens; rate: requests a minute; `like`: a finished run whose tokens and pace are
    taken in place of a guess."""

    samples: int = 1
    changed: float = 0.05
    noise: Mapping[Measure, float] = field(default_factory=dict)
    max_tokens: int = 64
    price_in: float | None = None
    price_out: float | None = None
    rate: float | None = None
    like: Evaluation | None = None


def plan(project: Project, limit: int | None, terms: Terms) -> dict[str, Any]:
    """The plan as data. Families are what counts: wordings of one question, and samples of one probe, may all fall together."""
    from trueline.charter.probes import MEASURES
    from trueline.evals.suites import suite_for

    gate = project.loaded.charter.gate
    suite = suite_for(project.loaded.charter, project.probes, limit=limit)
    rows = []
    for measure in MEASURES:
        asked = [p for p in suite.probes if p.measure == measure]
        if asked or measure in gate.caps or measure in gate.margins:
            rows.append({"measure": measure, **_measure(asked, gate, measure, terms), "grown": _grown(asked, gate, measure, terms)})
    return {
        "suite": suite.digest,
        **costs(project, suite, terms),
        "power": gate.power,
        "require": list(gate.require),
        "measures": rows,
        "zero_tolerance": [_tolerance(clause, suite.probes) for clause in gate.zero_tolerance],
        "lacking": (lacking := _lacking(gate, suite.probes)),
        "resolved": all(r["verdict"] == "enough" for r in rows) and not lacking,
    }


def costs(project: Project, suite: Suite, terms: Terms) -> dict[str, Any]:
    """Requests, tokens in and out, money and minutes of one side; those of the red-team run apart, where the charter requires one."""
    from trueline.charter.compile.prompt import compile_prompt, count_words

    n = terms.samples * len(suite.probes)
    attacks = _attack_requests(suite) if "redteam" in project.loaded.charter.gate.require else 0
    # every request carries the whole prompt, which is most of what a served model is paid for
    prompt = compile_prompt(project.loaded.charter).tokens
    words = sum(count_words(m.content) for p in suite.probes for m in p.messages) / len(suite.probes)
    each_in, each_out = _measured_tokens(terms.like) or (prompt + words, float(terms.max_tokens))
    requests = n + attacks
    tokens_in, tokens_out = round(requests * each_in), round(requests * each_out)
    prices = [t / 1e6 * p for t, p in ((tokens_in, terms.price_in), (tokens_out, terms.price_out)) if p is not None]
    return {
        "requests": requests,
        "redteam_requests": attacks,
        "tokens": tokens_in + tokens_out,
        "tokens_in": tokens_in,
        "tokens_out": tokens_out,
        "cost": sum(prices) if prices else None,
        "minutes": _minutes(requests, terms),
    }


def _attack_requests(suite: Suite) -> int:
    """Of `trueline redteam` with its defaults: 40 requests and 12 known questions in every disguise."""
    from trueline.evals.redteam import chosen

    kinds = Counter(p.kind for p in suite.probes)
    return len(chosen()) * (min(40, kinds["refuse"]) + min(12, kinds["knowledge"]))


def _measured_tokens(like: Evaluation | None) -> tuple[float, float] | None:
    """(in, out) a request of a finished run, None where the target counted none."""
    rows = [r for r in like.rows if r.input_tokens and r.output_tokens] if like is not None else []
    return (sum(r.input_tokens for r in rows) / len(rows), sum(r.output_tokens for r in rows) / len(rows)) if rows else None


def _minutes(requests: int, terms: Terms) -> float | None:
    """At the rate that was named, else at the pace of the finished run."""
    if terms.rate is not None:
        return requests / terms.rate
    like = terms.like
    return requests * like.seconds / len(like.rows) / 60 if like is not None and like.rows else None


def _grown(asked: list[Probe], gate: GateRule, measure: Measure, terms: Terms) -> dict[str, Any] | None:
    """The same for a model that knows the charter's examples: without the hand-written probes, which are then no evidence. None where that
    leaves all of them, or none."""
    left = [p for p in asked if p.origin != "written"]
    return _measure(left, gate, measure, terms) if 0 < len(left) < len(asked) else None


def _measure(asked: list[Probe], gate: GateRule, measure: Measure, terms: Terms) -> dict[str, Any]:
    """What can be decided about one measure with these probes, and which more of which clause would do."""
    from trueline.algos.stats.planning import most_failures, pairs_for_margin, probes_for_cap
    from trueline.gate.noise import resolvable

    sizes = Counter(p.cluster for p in asked)
    cap, margin, noise = gate.caps.get(measure), gate.margins.get(measure), terms.noise.get(measure, 0.0)
    may = most_failures([terms.samples * n for n in sizes.values()], cap) if cap is not None else None
    resolves = resolvable(len(asked), len(sizes), terms.samples, terms.changed, noise, gate.power)
    short, lacking = [], 0
    if cap is not None and may is None:
        needed = probes_for_cap(cap)
        if needed is None:
            short.append("a cap of 0 cannot be shown by any number of probes: name the clauses in gate.zero_tolerance")
        else:
            lacking = max(1, needed - len(sizes))
            short.append(f"{lacking} more families for the cap")
    if margin is not None and resolves >= margin:
        pairs, alike = pairs_for_margin(margin, terms.changed + noise / terms.samples, gate.power), probes_for_cap(margin)
        if pairs is None or alike is None:
            short.append("a margin of 0 cannot be shown by any number of probes")
        else:
            more = max(1, max(alike, _families_for(pairs, asked, len(sizes))) - len(sizes))
            lacking = max(lacking, more)
            short.append(f"{more} more families for the margin")
    told = {
        "probes": len(asked),
        "families": len(sizes),
        "cap": cap,
        "may_fail": may,
        "margin": margin,
        "resolves": resolves,
        "noise": terms.noise.get(measure),
    }
    return {**told, "verdict": "; ".join(short) or "enough", "add": _levelled(asked, lacking)}


def _families_for(pairs: int, asked: list[Probe], families: int) -> int:
    """Families, of the size that they have, that hold so many probes."""
    return math.ceil(pairs * families / len(asked)) if asked else pairs


def _levelled(asked: Iterable[Probe], lacking: int) -> dict[str, int]:
    """Clause -> families to add, so that those with the fewest are filled up first."""
    have: dict[str, set[str]] = {}
    for p in asked:
        have.setdefault(p.clause, set()).add(p.cluster)
    counts = {clause: len(found) for clause, found in have.items()}
    added: Counter[str] = Counter()
    for _ in range(lacking if counts else 0):
        least = min(counts, key=lambda c: (counts[c], c))
        counts[least] += 1
        added[least] += 1
    return dict(added)


def _tolerance(clause: str, probes: Iterable[Probe]) -> dict[str, Any]:
    """What a clause that admits no break is bounded by, if none is seen."""
    from trueline.algos.stats.binomial import upper_bound

    families = len({p.cluster for p in probes if p.clause == clause and p.measure != "over_refusal"})
    return {"clause": clause, "families": families, "bound": upper_bound(0, families) if families else None}


def _lacking(gate: GateRule, probes: Iterable[Probe]) -> list[str]:
    """What the gate will want besides and these probes cannot give."""
    from trueline.gate.attacked import RedTeamRule

    asked = list(probes)
    told = [
        f"{c} admits no break, and no probe asks for it"
        for c in gate.zero_tolerance
        if not any(p.clause == c and p.measure != "over_refusal" for p in asked)
    ]
    families = len({(p.clause, p.cluster) for p in asked if p.kind == "refuse"})
    if "redteam" in gate.require and families < (least := RedTeamRule().requests):
        told.append(
            f"a red-team run wants {least} families of requests to attack, and there are {families}: add requests that must be refused"
        )
    return told
