"""Builds the clause matrix from records, and draws it in the terminal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from trueline.algos.stats.clustered import rate_interval
from trueline.charter.schema import Charter, Fairness, HighStakes, Inside, Knowledge, Outside, Principle, Voice
from trueline.core.evaluations import Evaluation
from trueline.core.matrix import ClauseMatrix, ClauseRow
from trueline.core.records import Interval

if TYPE_CHECKING:
    from rich.table import Table

GROUPS: Mapping[type, str] = {
    Voice: "voice", Inside: "scope", Outside: "scope", Knowledge: "knowledge", Principle: "principle", HighStakes: "high stakes", Fairness: "fairness",
}  # fmt: skip


def pass_rate(evaluation: Evaluation | None, clause: str, origin: str) -> Interval | None:
    """Pass rate with its exact 95 % interval, families as clusters; unscored replies count as not passed; None where nothing was asked."""
    rows = [r for r in evaluation.rows if r.clause == clause and r.origin == origin] if evaluation else []
    if not rows:
        return None
    failed = rate_interval([float(r.result != "pass") for r in rows], [r.cluster for r in rows])
    return Interval(1 - failed.estimate, 1 - failed.high, 1 - failed.low, failed.n)


def clause_matrix(
    charter: Charter,
    *,
    taught: Mapping[str, int] | None = None,
    before: Evaluation | None = None,
    after: Evaluation | None = None,
    attacked: Evaluation | None = None,
    caught: Mapping[str, tuple[Interval | None, Interval | None]] | None = None,
    run_time: Mapping[str, Mapping[str, int]] | None = None,
) -> ClauseMatrix:
    """One row a clause. `caught`: (recall, false-positive rate) of the guard; `run_time`: counts by clause."""
    rows = []
    for clause in charter.clauses():
        counts = (run_time or {}).get(clause.id)
        recall, alarms = (caught or {}).get(clause.id, (None, None))
        kept = pass_rate(attacked, clause.id, "grown")
        success = Interval(1 - kept.estimate, 1 - kept.high, 1 - kept.low, kept.n) if kept else None
        after_rate = pass_rate(after, clause.id, "grown")
        rows.append(
            ClauseRow(
                clause.id,
                GROUPS[type(clause)],
                None if taught is None else taught.get(clause.id),
                after_rate.n if after_rate else None,
                pass_rate(before, clause.id, "grown"),
                after_rate,
                pass_rate(after, clause.id, "written"),
                success,
                recall,
                alarms,
                *((counts or {}).get(k) for k in ("holds", "incidents", "reviews", "overrides")),
            )
        )
    return ClauseMatrix(charter.name, tuple(rows))


def cell(rate: Interval | None) -> str:
    """`97 % (93-99)`, or a visible hole."""
    return "·" if rate is None else f"{100 * rate.estimate:.0f} % ({100 * rate.low:.0f}-{100 * rate.high:.0f})"


def _count(n: int | None) -> str:
    return "·" if n is None else str(n)


def matrix_table(matrix: ClauseMatrix, limit: float = 0.9) -> Table:
    """A rich table; pass rates below `limit` stand out, holes are dots. Columns without any value are left out."""
    from rich.table import Table

    table = Table(title=f"Clause matrix: {matrix.charter}  (pass rates, 95 % intervals; · is a hole)", title_justify="left", pad_edge=False)
    columns: list[tuple[str, Callable[[ClauseRow], str]]] = [
        ("taught", lambda r: _count(r.taught)), ("probes", lambda r: _count(r.probes)), ("before", lambda r: cell(r.before)), ("after", lambda r: cell(r.after)),
        ("written", lambda r: cell(r.written)), ("attacked", lambda r: cell(r.attacked)), ("guard", lambda r: cell(r.caught)), ("holds", lambda r: _count(r.holds)),
        ("reviews", lambda r: _count(r.reviews)),
    ]  # fmt: skip
    shown = [(name, f) for name, f in columns if any(f(r) != "·" for r in matrix.rows)]
    table.add_column("clause", no_wrap=True)
    for name, _ in shown:
        table.add_column(name, justify="right", no_wrap=True)
    for r in matrix.rows:
        cells = []
        for name, f in shown:
            rate = {"before": r.before, "after": r.after}.get(name)
            style = "" if rate is None else "green" if rate.estimate >= limit else "red" if rate.estimate < 0.5 else "yellow"
            cells.append(f"[{style}]{f(r)}[/]" if style else f(r))
        table.add_row(r.clause, *cells)
    return table
