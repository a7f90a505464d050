"""`trueline report RUN`: the clause matrix in the terminal and the HTML report of a run."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(
    help="Print the clause matrix of a run and write its HTML report. RUN is the folder of `align`, or any folder for --before/--after."
)
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--charter", "-c", help="Charter file or bundled:NAME (default: the one that run.json names).")
@click.option("--before", type=click.Path(path_type=Path), help="Evaluation folder before (default: RUN/before).")
@click.option("--after", type=click.Path(path_type=Path), help="Evaluation folder after (default: RUN/after).")
@click.option("--against", is_flag=True, help="Gate `after` against `before` as a replacement, not as a first release.")
@click.option("--redteam", type=click.Path(path_type=Path), help="Evaluation folder of a red-team run on the candidate.")
@click.option("--inherited", type=click.Path(path_type=Path), help="Evaluation folder of the inherited probes on the candidate.")
@click.option("--json", "as_json", is_flag=True, help="Print the matrix as JSON.")
def command(
    run: Path,
    charter: str | None,
    before: Path | None,
    after: Path | None,
    against: bool,
    redteam: Path | None,
    inherited: Path | None,
    as_json: bool,
) -> int:
    """Reads the evaluations, draws the matrix."""
    import json
    from collections import Counter
    from dataclasses import asdict

    from rich.console import Console

    from trueline.charter.compile.teaching import demonstrations
    from trueline.cli.gate_reading import decided
    from trueline.cli.project import open_project
    from trueline.data.evaluations import read_evaluation
    from trueline.errors import DataError
    from trueline.evals.families import family_rates
    from trueline.gate.attacked import RedTeamRule
    from trueline.gate.inherited import mismatch
    from trueline.gate.validity import red_team
    from trueline.report.html import html_report
    from trueline.report.matrix import clause_matrix, matrix_table

    probes = None
    if charter is None:
        charter, probes = _named_by(run / "run.json")
    project = open_project(charter, probes)
    second = read_evaluation(after or run / "after")
    earlier = before or run / "before"
    first = read_evaluation(earlier) if before or earlier.exists() else None
    fought, asked = (read_evaluation(p) if p is not None else None for p in (redteam, inherited))
    if fought is not None and (why := red_team(fought, second, project.loaded.digest)):
        raise DataError(f"this red-team run says nothing about the candidate: {why[0]}", remedy="attack this candidate", file=redteam)
    if asked is not None and (why := mismatch(second, asked)):
        raise DataError(
            f"this evaluation says nothing about the candidate: {why[0]}",
            remedy="evaluate this candidate with --suite inherited",
            file=inherited,
        )
    taught = Counter(d.clause for d in demonstrations(project.loaded.charter, project.probes))
    matrix = clause_matrix(project.loaded.charter, taught=taught, before=first, after=second, attacked=fought)
    decision = decided(project, (second, first if against else None, fought, asked), None, RedTeamRule())
    families = family_rates(asked.rows) if asked is not None else ()
    page = run / "report.html"
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(html_report(project.loaded.charter, matrix, first, second, decision, families), encoding="utf-8")
    if as_json:
        click.echo(
            json.dumps(
                {"report": str(page), "matrix": asdict(matrix), "inherited": [asdict(f) for f in families], "gate": decision.to_dict()},
                ensure_ascii=False,
            )
        )
    else:
        Console(width=None if Console().is_terminal else 120).print(matrix_table(matrix))
        for f in families:
            click.echo(f"inherited {f.family}, {f.measure}: {f.failed} of {f.n} failed, {f.unscored} unscored")
        click.echo(f"{decision.outcome}; report: {page}")
    return 0


def _named_by(record: Path) -> tuple[str, Path | None]:
    """(charter, file of probes) of the run that left this record. Raises `DataError` where it does not say."""
    import json

    from trueline.errors import DataError

    remedy = "name the charter with --charter"
    try:
        found = json.loads(record.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError("no run.json here and no --charter given", remedy=remedy, file=record.parent) from None
    except (ValueError, RecursionError):
        raise DataError("this is no record of a run: not JSON", remedy=remedy, file=record) from None
    files = found.get("files") if isinstance(found, dict) else None
    if not isinstance(files, dict) or not isinstance(files.get("charter"), str) or not isinstance(files.get("probes"), str | None):
        raise DataError("this record names no charter", remedy=remedy, file=record)
    return files["charter"], Path(files["probes"]) if files.get("probes") else None
