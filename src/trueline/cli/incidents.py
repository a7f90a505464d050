"""`trueline incidents import FILE...`: what other red-team scanners found, graded again and kept as incidents."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trueline.evals.rescored import Rescored


@click.group(help="Bring in what other red-team scanners found.")
def command() -> None:
    """The group."""


@command.command("import", help="Read result files of garak or promptfoo and grade every reply again by the charter's grader.")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--charter", "-c", required=True, help="Charter file or bundled:NAME.")
@click.option(
    "--clause",
    "clauses",
    multiple=True,
    metavar="PROBE=CLAUSE",
    help="Which clause a scanner's probes test, e.g. 'dan.*=no-fraud-help' (again for more).",
)
@click.option("--db", help="Database of `trueline serve`: replies that break a clause become incidents there.")
@click.option("--out", type=click.Path(path_type=Path), help="File of JSON lines to write: every finding with both verdicts.")
@click.option("--json", "as_json", is_flag=True, help="Print the counts as JSON.")
def import_(files: tuple[Path, ...], charter: str, clauses: tuple[str, ...], db: str | None, out: Path | None, as_json: bool) -> int:
    """Reads, grades, keeps, tells."""
    import asyncio
    import json

    from trueline.cli.project import open_project
    from trueline.data.jsonl import write_jsonl
    from trueline.data.scanner_results import distinct, findings_from
    from trueline.evals.rescored import rescored, table

    mapping = [_mapped(text) for text in clauses]
    project = open_project(charter)
    findings = distinct(findings_from(path, mapping) for path in files)
    rows = asyncio.run(rescored(project.loaded.charter, project.grader(), findings))
    if out is not None:
        write_jsonl(out, (r.to_dict() for r in rows))
    kept = _keep(db, rows) if db is not None else None
    counts = table(rows)
    unmapped = sum(r.probe is None for r in rows)
    if as_json:
        click.echo(json.dumps({"replies": len(rows), "unmapped": unmapped, "incidents": kept, "probes": counts}, ensure_ascii=False))
        return 0
    click.echo(f"{'probe of the scanner':44}{'replies':>9}{'scanner':>9}{'ours':>7}{'both':>7}{'unscored':>10}")
    for name, row in counts.items():
        click.echo(f"{name[:43]:44}{row['n']:9}{row['scanner']:9}{row['ours']:7}{row['both']:7}{row['unscored']:10}")
    click.echo("scanner, ours: replies that each says broke. The scanner's verdicts are asserted, ours carry the grader's measured error.")
    if unmapped:
        click.echo(f"{unmapped} replies belong to no clause and are unscored; say what they test with --clause 'PROBE=CLAUSE'")
    if kept is not None:
        click.echo(f"{kept} new incidents -> {db}")
    return 0


def _mapped(text: str) -> tuple[str, str]:
    from trueline.errors import DataError

    pattern, sign, clause = text.partition("=")
    if not (sign and pattern.strip() and clause.strip()):
        raise DataError(f"--clause {text!r:.60} names no clause", remedy="write PROBE=CLAUSE, e.g. 'dan.*=no-fraud-help'")
    return pattern.strip(), clause.strip()


def _keep(db: str, rows: Sequence[Rescored]) -> int:
    """Broken clauses as incidents, each once however often its file is read; how many were new."""
    from trueline.core.records import Incident
    from trueline.store import incidents
    from trueline.store.database import open_store

    broken = {f"incident-{r.finding.digest()[:32]}": r for r in rows if r.grade.result == "fail"}
    store = open_store(db)
    try:
        there = incidents.known(store, broken)
        fresh = [i for i in broken if i not in there]
        for ident in fresh:
            found = broken[ident].finding
            note = f"{found.scanner} {found.probe}; the scanner said {found.said} ({', '.join(found.by)})"
            incidents.add(store, Incident(ident, "attack", found.clause, found.messages, found.reply, "", note))
    finally:
        store.close()
    return len(fresh)
