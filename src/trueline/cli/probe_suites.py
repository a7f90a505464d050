"""`trueline probes freeze|import|from-run|from-incidents|overlap`: suites on disk, public suites, what went wrong as probes, contamination."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trueline.charter.probes import Probe
    from trueline.cli.project import Project
    from trueline.evals.found import Found

FORMATS = ("harmbench", "xstest", "strongreject", "jailbreakbench", "bbq", "truthfulqa", "clinc")


@click.command("freeze", help="Freeze a suite into a folder: its probes, version, digest, families, sources and licences.")
@click.argument("charter")
@click.option("--probes", type=click.Path(path_type=Path), help="File of probes (default: probes.jsonl beside the charter).")
@click.option(
    "--suite", "asks", default="all", show_default=True, type=click.Choice(["charter", "inherited", "all"]), help="What to freeze."
)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder of the suite, for `eval --suite FOLDER`.")
@click.option("--version", default="1", show_default=True, help="Version of the suite; one version is frozen once.")
@click.option("--json", "as_json", is_flag=True, help="Print the manifest as JSON.")
def freeze(charter: str, probes: Path | None, asks: str, out: Path, version: str, as_json: bool) -> int:
    """Compiles and writes."""
    import json

    from trueline.cli.project import open_project
    from trueline.cli.suites import open_suite
    from trueline.evals.suite_files import write_suite

    project = open_project(charter, probes)
    suite = open_suite(project, asks)
    head = write_suite(out, suite, name=f"{project.loaded.charter.name}: {asks}", version=version, charter=project.loaded.digest)
    told = f"{len(suite.probes)} probes in {len(head.families)} families -> {out} (version {version}, {head.digest[:12]})"
    click.echo(json.dumps(head.to_dict(), ensure_ascii=False) if as_json else told)
    return 0


@click.command(
    "import", help="Read a public suite from a local FILE: as a frozen suite of its own (--out), or as drafts of a charter's clause."
)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--format", "name", required=True, type=click.Choice(FORMATS), help="Format of the file, as it was published.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the frozen suite.")
@click.option("--charter", "-c", help="Charter whose drafts get the probes; needs --clause.")
@click.option("--clause", help="The clause that the probes belong to (default in a frozen suite: public:FORMAT).")
@click.option("--version", default="1", show_default=True, help="Version of the frozen suite.")
@click.option("--limit", type=click.IntRange(1), help="At most this many probes, the same share of every kind.")
@click.option("--json", "as_json", is_flag=True, help="Print the counts as JSON.")
def import_(
    file: Path, name: str, out: Path | None, charter: str | None, clause: str | None, version: str, limit: int | None, as_json: bool
) -> int:
    """Reads and writes; which of the two places is asked for must be said."""
    import json
    from collections import Counter

    from trueline.cli.project import open_project
    from trueline.data.public import FORMATS as TABLE
    from trueline.data.public import read_public
    from trueline.errors import SuiteError
    from trueline.evals.suite_files import source_of, write_suite
    from trueline.evals.suites import freeze as frozen
    from trueline.evals.suites import thinned

    if (out is None) == (charter is None) or (charter is not None and clause is None):
        raise SuiteError("give either --out FOLDER, or --charter with --clause", remedy="a frozen suite of its own is the usual way")
    found = list(read_public(file, name, clause))
    if limit is not None and limit < len(found):
        found = thinned(found, limit / len(found))
    if out is not None:
        suite = frozen(found)
        licences = {source_of(p.source, p.origin): TABLE[name].licence for p in found}
        write_suite(out, suite, name=name, version=version, licences=licences)
        where = out
        fresh = len(found)
    else:
        where, fresh = _drafted(open_project(str(charter)), found)
    kinds = dict(Counter(p.kind for p in found))
    told = {"probes": len(found), "new": fresh, "kinds": kinds, "licence": TABLE[name].licence, "out": str(where)}
    words = (
        f"{len(found)} probes, {fresh} of them new ({', '.join(f'{n} {k}' for k, n in kinds.items())}; {TABLE[name].licence}) -> {where}"
    )
    click.echo(json.dumps(told, ensure_ascii=False) if as_json else words)
    return 0


def _drafted(project: Project, found: Sequence[Probe]) -> tuple[Path, int]:
    """Adds what is new to the drafts beside the charter; (the file, how many were new)."""
    from trueline.charter.compile.written import written_probes
    from trueline.charter.probe_files import DRAFTS, append_probe, mend_tail, read_probes
    from trueline.cli.project import check_probes
    from trueline.data.contamination import fingerprint

    path = project.loaded.path.parent / DRAFTS
    path.open("a").close()  # what cannot be written is said before anything is read
    mend_tail(path)
    waiting = read_probes(path)
    check_probes(project.loaded, found, path)
    known = {fingerprint(p.messages) for p in (*written_probes(project.loaded.charter), *project.probes, *waiting)}
    fresh = [p for p in found if fingerprint(p.messages) not in known]
    for probe in fresh:
        append_probe(path, probe)
    return path, len(fresh)


def _said(project: Project, found: Found, what: str, as_json: bool) -> int:
    import json

    path, fresh = _drafted(project, found.probes)
    told = {"drafts": fresh, "known": len(found.probes) - fresh, "lost": found.lost, "file": str(path)}
    words = f"{fresh} drafts from {what} in {path} ({told['known']} known already, {found.lost} could not be made into a probe)"
    click.echo(json.dumps(told, ensure_ascii=False) if as_json else words)
    return 0


@click.command("from-run", help="Make drafts of the successful attacks in the folder of a red-team run; a person accepts them.")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--charter", "-c", required=True, help="The charter that was attacked.")
@click.option("--probes", type=click.Path(path_type=Path), help="File of probes (default: probes.jsonl beside the charter).")
@click.option("--each", default=2, show_default=True, type=click.IntRange(1), help="Successful attacks kept of one request.")
@click.option("--json", "as_json", is_flag=True, help="Print the counts as JSON.")
def from_run(folder: Path, charter: str, probes: Path | None, each: int, as_json: bool) -> int:
    """Word for word from the run's journal of attempts, else rebuilt from the table of attacks."""
    from trueline.charter.compile.written import written_probes
    from trueline.cli.project import open_project
    from trueline.data.evaluations import read_evaluation
    from trueline.errors import SuiteError
    from trueline.evals.found import ATTEMPTS, attack_probes, attempted, rebuilt

    project = open_project(charter, probes)
    run = read_evaluation(folder)
    if run.charter != project.loaded.digest:
        what = f"this run attacked the charter {run.charter[:12]}, got {project.loaded.digest[:12]}"
        raise SuiteError(what, remedy="attack again with this charter", file=folder)
    requests = (*written_probes(project.loaded.charter), *project.probes)
    successes = attempted(folder) if (folder / ATTEMPTS).exists() else rebuilt(run.rows, requests)
    return _said(project, attack_probes(successes, requests, folder.name, each), "successful attacks", as_json)


@click.command("from-incidents", help="Make drafts of the incidents that `trueline serve` recorded; a person accepts them.")
@click.argument("charter")
@click.option("--db", required=True, help="Database file or URL of `trueline serve`.")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1), help="The newest so many.")
@click.option("--json", "as_json", is_flag=True, help="Print the counts as JSON.")
def from_incidents(charter: str, db: str, limit: int, as_json: bool) -> int:
    """One draft an incident."""
    from trueline.cli.project import open_project
    from trueline.errors import StoreError
    from trueline.evals.found import incident_probes
    from trueline.store.database import open_store
    from trueline.store.incidents import latest

    path = db.removeprefix("sqlite:///")
    if "://" not in path and not Path(path).exists():
        raise StoreError("there is no database here", remedy="name the one that `trueline serve --db` uses", file=path)
    project = open_project(charter)
    store = open_store(db, migrate=False)
    try:
        found = incident_probes(project.loaded.charter, latest(store, limit=limit))
    finally:
        store.close()
    return _said(project, found, "incidents", as_json)


@click.command("overlap", help="Find probes of a suite that stand in training files, whole or nearly: which file, which row, how much.")
@click.argument("charter")
@click.option(
    "--data", "files", required=True, multiple=True, type=click.Path(path_type=Path), help="Training file (JSON lines); repeat it."
)
@click.option("--probes", type=click.Path(path_type=Path), help="File of probes (default: probes.jsonl beside the charter).")
@click.option("--suite", "asks", default="all", show_default=True, help="charter, inherited, all, or the folder of a frozen suite.")
@click.option(
    "--near", default=0.75, show_default=True, type=click.FloatRange(0.1, 1), help="Share of a probe's word pairs that makes a near copy."
)
@click.option("--json", "as_json", is_flag=True, help="Print the finds as JSON.")
def overlap(charter: str, files: tuple[Path, ...], probes: Path | None, asks: str, near: float, as_json: bool) -> int:
    """Exit 0 where nothing was found, 1 where something was."""
    import json
    from dataclasses import asdict

    from trueline.cli.project import open_project
    from trueline.cli.suites import open_suite
    from trueline.data.jsonl import read_jsonl
    from trueline.evals.overlap import Row, overlaps, words_of

    project = open_project(charter, probes)
    suite = open_suite(project, asks)
    rows = [Row(str(f), line, " ".join(words_of(row))) for f in files for line, row in read_jsonl(f)]
    found = overlaps(suite.probes, rows, near)
    if as_json:
        click.echo(json.dumps({"probes": len(suite.probes), "rows": len(rows), "found": [asdict(o) for o in found]}, ensure_ascii=False))
    else:
        for o in found:
            click.echo(f"{o.file}:{o.line}: {'holds' if o.exact else f'holds {100 * o.share:.0f} % of'} {o.probe}")
        click.echo(f"{len(found)} of {len(suite.probes)} probes stand in {len(rows)} rows, whole or nearly")
    return 1 if found else 0
