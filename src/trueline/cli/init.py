"""`trueline init DIR`: a new project; `--from FILE --with TARGET` drafts clauses out of an existing prompt or policy document."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from trueline.cli.drafting import Drafted

FILES = {
    "charter.yaml": "charter.yaml", "run.yaml": "run.yaml", "trueline.sh": "ci/trueline.sh", "trueline.yml": ".github/workflows/trueline.yml",
    "gitlab.yml": ".gitlab/trueline.yml",
}  # fmt: skip


@click.command(
    help="Write a starter charter with comments, a run file, and the release gate for continuous integration (GitHub and GitLab). With --from, also draft clauses out of a document; drafts count for nothing until a person moves them into the charter."
)
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--from", "source", type=click.Path(path_type=Path), help="A system prompt or policy document to draft clauses from.")
@click.option("--with", "target", help="The TARGET that drafts (needed with --from).")
@click.option("--json", "as_json", is_flag=True, help="Print what was written as JSON.")
def command(folder: Path, source: Path | None, target: str | None, as_json: bool) -> int:
    """Never overwrites a file."""
    import json
    import shutil

    from trueline.errors import CharterError

    if (source is None) != (target is None):
        raise CharterError("--from and --with go together, got one of them", remedy="give both: the document and the TARGET that reads it")
    wanted = {folder / name: template for template, name in FILES.items()}
    there = [str(p) for p in wanted if p.exists()]
    if there and source is None:
        raise CharterError(f"{', '.join(there)} is there already, nothing was written", remedy="choose a new folder")
    templates = Path(__file__).parent.parent / "shipped" / "templates"
    written = []
    for path, template in wanted.items():
        if not path.exists():
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(templates / template, path)
            except OSError as e:
                raise CharterError(f"cannot write {path} ({e.strerror or e})", remedy="give a folder that can be written") from None
            written.append(str(path))
    found = _draft(folder, source, target) if source is not None and target is not None else None
    drafts = [d.to_dict() for d in found.drafts] if found else []
    dropped = found.dropped if found else 0
    if as_json:
        click.echo(json.dumps({"written": written, "drafts": drafts, "dropped": dropped}))
        return 0
    for line in written:
        click.echo(f"wrote {line}")
    if source is not None:
        click.echo(
            f"{len(drafts)} draft clauses in {folder / 'charter.draft.yaml'} ({dropped} answers dropped: malformed or citing nothing)"
        )
        click.echo("read each beside the lines it cites, fill what is empty, remove `status` and `source`, move it into charter.yaml")
    click.echo(f"next: trueline check {folder / 'charter.yaml'}")
    return 0


def _draft(folder: Path, source: Path, target: str) -> Drafted:
    import asyncio

    from trueline.cli.drafting import draft_clauses, write_drafts
    from trueline.cli.progress import bar
    from trueline.cli.targets import open_target
    from trueline.errors import CharterError

    out = folder / "charter.draft.yaml"
    if out.exists():
        raise CharterError(f"{out} is there already", remedy="move it away first")
    try:
        lines = source.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as e:
        raise CharterError(f"cannot read this document ({e})", remedy="give a UTF-8 text file", file=source) from None
    with bar("drafting") as advance:
        found = asyncio.run(draft_clauses(open_target(target).chat, lines, advance))
    write_drafts(out, source, lines, found.drafts)
    return found
