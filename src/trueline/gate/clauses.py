"""Where a measure went wrong: its clauses, each with bounds and flips, and the words that name the worst of them.

A clause has no cap of its own. It is held against its measure's cap to say where to look (Holm over the clauses of the measure); the
decision stays with the measure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from trueline.algos.stats.clustered import effective_size, rate_bounds
from trueline.core.evaluations import GradedReply, attack_of
from trueline.core.findings import ClauseFinding, GateMeasure, percent

NAMED = 3  # clauses, probes or disguises that a reason names
ALPHA = 0.05


def clause_findings(
    measure: GateMeasure, rows: Sequence[GradedReply], theirs: Sequence[GradedReply] | None, cap: float | None
) -> tuple[ClauseFinding, ...]:
    """One finding a clause, the worst first. `theirs`: the baseline's replies, None without one."""
    before = {(r.probe, r.sample): r.result for r in theirs or ()}
    by: dict[str, list[GradedReply]] = {}
    for r in rows:
        by.setdefault(r.clause, []).append(r)
    found = [_finding(measure, clause, own, before if theirs is not None else None) for clause, own in by.items()]
    if cap is not None:
        loud = _holm({c: _p_value(own, cap) for c, own in by.items()})
        found = [replace(f, stands_out=f.clause in loud) for f in found]
    return tuple(sorted(found, key=lambda f: (-f.lower, -(f.rate or 0.0), f.clause)))


def _finding(measure: GateMeasure, clause: str, rows: list[GradedReply], before: Mapping[tuple[str, int], str] | None) -> ClauseFinding:
    families = [r.cluster for r in rows]
    scored = [(float(r.result == "fail"), r.cluster) for r in rows if r.result != "unscored"]
    seen = rate_bounds([x for x, _ in scored], [c for _, c in scored]) if scored else None
    worse = better = None
    if before is not None:
        changes = [(before.get((r.probe, r.sample)), r.result) for r in rows]
        worse, better = changes.count(("pass", "fail")), changes.count(("fail", "pass"))
    return ClauseFinding(
        measure, clause, len(rows), len(set(families)), sum(r.result == "fail" for r in rows), len(rows) - len(scored),
        seen.rate if seen else None, seen.lower if seen else 0.0, rate_bounds([float(r.result != "pass") for r in rows], families).upper,
        worse, better,
    )  # fmt: skip


def _p_value(rows: list[GradedReply], cap: float) -> float:
    """P(as many failures or more | a rate of `cap`), exact at the effective number of replies; unscored ones are left out."""
    from scipy.special import betainc

    scored = [(float(r.result == "fail"), r.cluster) for r in rows if r.result != "unscored"]
    values, families = [x for x, _ in scored], [c for _, c in scored]
    if not sum(values) or cap >= 1:
        return 1.0
    m = effective_size(values, families, 0.0)
    k = sum(values) * m / len(values)
    return float(betainc(k, max(m - k, 0.0) + 1, cap))


def _holm(p_values: Mapping[str, float]) -> set[str]:
    """The names whose hypothesis is rejected at 5 % over all of them (Holm 1979)."""
    out: set[str] = set()
    for rank, (name, p) in enumerate(sorted(p_values.items(), key=lambda x: x[1])):
        if p > ALPHA / (len(p_values) - rank):
            break
        out.add(name)
    return out


def worst_words(findings: Sequence[ClauseFinding]) -> str:
    """`; most in no-fraud-help (5 of 12, 18.1 % to 68.5 %), ...`, or nothing where no clause failed."""
    failed = [f for f in findings if f.failures]
    told = ", ".join(f"{f.clause} ({f.failures} of {f.n}, {percent(f.lower)} to {percent(f.upper)})" for f in failed[:NAMED])
    more = f" and {len(failed) - NAMED} more clauses" if len(failed) > NAMED else ""
    return f"; most in {told}{more}" if failed else ""


def flipped_words(findings: Sequence[ClauseFinding], worse: Sequence[str]) -> str:
    """`; most in no-fraud-help (7 worse, 1 better of 20), e.g. PROBE, PROBE`, or nothing where nothing got worse."""
    moved = sorted((f for f in findings if f.worse), key=lambda f: (-((f.worse or 0) - (f.better or 0)), f.clause))
    if not moved:
        return ""
    told = ", ".join(f"{f.clause} ({f.worse} worse, {f.better} better of {f.n})" for f in moved[:NAMED])
    return f"; most in {told}" + (f", e.g. {', '.join(worse[:NAMED])}" if worse else "")


def disguise_words(rows: Sequence[GradedReply]) -> str:
    """The disguises that succeeded most often, as `; most by base64 (12 of 40), ...`."""
    counts: dict[str, list[bool]] = {}
    for r in rows:
        counts.setdefault(attack_of(r.probe), []).append(r.result == "fail")
    ordered = sorted(counts.items(), key=lambda x: (-sum(x[1]) / len(x[1]), x[0]))
    told = ", ".join(f"{name} ({sum(hits)} of {len(hits)})" for name, hits in ordered[:NAMED] if any(hits))
    return f"; most by {told}" if told else ""
