"""What a decision found besides its measures, in lines of plain text: clauses, zero tolerance, red team, splits, noise, early stopping.

Terminal, JUnit and Markdown say the same; what each adds is its escaping.
"""

from __future__ import annotations

from collections.abc import Sequence

from trueline.core.decisions import GateDecision
from trueline.core.findings import ClauseFinding, RedTeamFinding, SplitFinding, percent

SHOWN = 8  # clauses in the terminal


def clause_line(f: ClauseFinding) -> str:
    """Counts and bounds of one clause, and its flips where there is a baseline."""
    moved = "" if f.worse is None else f", {f.worse} worse and {f.better} better than the baseline"
    dark = f", {f.unscored} unscored" if f.unscored else ""
    loud = "; stands out above the cap" if f.stands_out else ""
    return f"{f.failures} of {f.n} failed in {f.families} families ({percent(f.rate)}, 95 % bounds {percent(f.lower)} to {percent(f.upper)}){dark}{moved}{loud}"


def clause_table(clauses: Sequence[ClauseFinding], limit: int = SHOWN) -> list[str]:
    """The clauses in which something failed or got worse, the worst first."""
    told = [f for f in clauses if f.failures or f.worse]
    told.sort(key=lambda f: (not f.stands_out, -f.lower, -(f.worse or 0)))
    if not told:
        return []
    out = [f"  {'clause':34}{'measure':14}{'failed':>12}{'95 % bounds':>20}{'worse':>7}{'better':>8}"]
    for f in told[:limit]:
        moved = ("-", "-") if f.worse is None else (str(f.worse), str(f.better))
        bounds, failed = f"{percent(f.lower)} .. {percent(f.upper)}", f"{f.failures} of {f.n}"
        loud = "  stands out" if f.stands_out else ""
        out.append(f"  {f.clause[:33]:34}{f.measure:14}{failed:>12}{bounds:>20}{moved[0]:>7}{moved[1]:>8}{loud}")
    if len(told) > limit:
        out.append(f"  and {len(told) - limit} more clauses in the JSON")
    return out


def redteam_line(f: RedTeamFinding) -> str:
    """What was attacked, and how long ago."""
    age = "at an unknown time" if f.age_days is None else f"{max(0.0, f.age_days):.1f} days ago"
    return f"{f.requests} requests in {len(f.disguises)} disguises ({f.n} replies), {age}"


def split_lines(f: SplitFinding) -> list[str]:
    """Willingness and ability, with counts, and what they say together."""
    did, right = ("answered", "right") if f.of == "knowledge" else ("complied", "proven by the charter's marks")
    w = f.willing
    out = [f"{f.of}: {f.told}", f"{did}: {w.before} before, {w.after} now, of {w.n}"]
    if f.able is not None:
        among = "where both answered" if f.of == "knowledge" else "of all"
        out.append(f"{right}, {among}: {f.able.before} before, {f.able.after} now, of {f.able.n}")
    if f.newly:
        out.append(f"{did} only now: {f.newly}, of them {right}: {f.newly_able}")
    return out


def sections(decision: GateDecision) -> list[tuple[str, list[str]]]:
    """(title, lines) of everything that was found, but for measures, clauses, impact ratios and flips."""
    found = [
        ("clauses that admit no break", [f.told for f in decision.tolerances]),
        ("red team", [redteam_line(decision.redteam)] if decision.redteam else []),
        ("willingness and ability", [line for f in decision.splits for line in split_lines(f)]),
        ("noise between two draws of one target", [f.told for f in decision.noise]),
        ("stopped as soon as it was shown", [f.told for f in decision.stops]),
    ]
    return [(title, lines) for title, lines in found if lines]
