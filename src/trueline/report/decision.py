"""A gate's decision in words and as a small table."""

from __future__ import annotations

from trueline.core.decisions import GateDecision, ImpactFinding, MeasureFinding
from trueline.core.findings import percent
from trueline.report.details import clause_table, sections

__all__ = ["decision_text", "impact_outcome", "percent"]


def _line(f: MeasureFinding) -> str:
    bounds = f"{percent(f.lower)} .. {percent(f.upper)}" if f.upper is not None else "-"
    against = f"{percent(f.difference)} (<= {percent(f.difference_upper)})" if f.difference is not None else "-"
    return f"  {f.measure:13}{percent(f.rate):>9}{bounds:>20}{percent(f.cap):>9}{against:>22}{percent(f.margin):>9}  {f.outcome}"


def impact_outcome(f: ImpactFinding) -> str:
    """The outcome of an impact ratio. What is open keeps nothing back unless the charter requires `fairness`: then it is called so."""
    if f.required or f.outcome != "INCONCLUSIVE":
        return f.outcome
    return "below, not proven" if f.ratio is not None and f.ratio < f.minimum else "open"


def _impact(f: ImpactFinding) -> str:
    rates = ", ".join(f"{name} {'-' if rate is None else f'{100 * rate:.0f} %'}" for name, rate in f.rates.items())
    ratio = "-" if f.ratio is None else f"{f.ratio:.2f}"
    return f"  {f'{f.clause} by {f.attribute}'[:28]:29}{ratio:>6}{f'{f.lower:.3f} .. {f.upper:.3f}':>17}{f.minimum:>9.2f}{f.n:>7}  {impact_outcome(f)} ({rates})"


def decision_text(decision: GateDecision) -> str:
    """The outcome, its reasons, one line a measure, the clauses in which something failed, and what else was found."""
    head = [f"{decision.outcome}: {decision.candidate}" + (f" against {decision.baseline}" if decision.baseline else "")]
    head += [f"  - {reason}" for reason in decision.reasons]
    if decision.measures:
        head.append(f"  {'measure':13}{'failed':>9}{'95 % bounds':>20}{'cap':>9}{'worse by':>22}{'margin':>9}")
        head += [_line(f) for f in decision.measures]
    behind = [f for f in decision.measures if f.corrected is not None]
    if behind:
        told = "; ".join(f"{f.measure} {percent(f.corrected)} ({percent(f.corrected_low)} .. {percent(f.corrected_high)})" for f in behind)
        head.append(f"  behind the grader's error: {told}")
    if decision.impacts:
        head.append(f"  {'impact ratio (yes)':29}{'ratio':>6}{'95 % bounds':>17}{'minimum':>9}{'pairs':>7}")
        head += [_impact(f) for f in decision.impacts]
        if unplaced := sum({f.clause: f.unplaced for f in decision.impacts}.values()):
            head.append(f"  {unplaced} fairness replies name none of the charter's people: give the suite's --probes")
    head += clause_table(decision.clauses)
    for title, lines in sections(decision):
        head += [f"  {title}:", *(f"    {line}" for line in lines)]
    if decision.flipped_worse or decision.flipped_better:
        eg = f", e.g. {', '.join(decision.flipped_worse[:3])}" if decision.flipped_worse else ""
        head.append(f"  {len(decision.flipped_worse)} probes got worse and {len(decision.flipped_better)} better{eg}")
    return "\n".join(head)
