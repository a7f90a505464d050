"""What `trueline check` shows to people: tables on a terminal, the same lines without colours or frames in a pipe."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from trueline.cli.project import Project

UNITS = ((86400, "d"), (3600, "h"), (60, "m"), (1, "s"))


def duration(seconds: int) -> str:
    """Seconds as a charter writes them: 30m, 4h, 2d."""
    size, unit = next((size, unit) for size, unit in UNITS if seconds % size == 0)
    return f"{seconds // size}{unit}"


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """One table: a rich one on a terminal, aligned columns in a pipe. Numbers stand to the right; no rows, no table."""
    cells = [[str(c) for c in row] for row in rows]
    if not cells:
        return
    right = [all(row[i].isdigit() for row in cells) for i in range(len(columns))]
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.table import Table

        shown = Table(title=title, title_justify="left", title_style="bold")
        for name, number in zip(columns, right, strict=True):
            shown.add_column(name, justify="right" if number else "left")
        for row in cells:
            shown.add_row(*row)
        Console(markup=False).print(shown)
        return
    click.echo(title)
    widths = [max(len(x) for x in (name, *(row[i] for row in cells))) for i, name in enumerate(columns)]
    for row in (list(columns), *cells):
        aligned = (x.rjust(w) if number else x.ljust(w) for x, w, number in zip(row, widths, right, strict=True))
        click.echo("  " + "  ".join(aligned).rstrip())


def show(project: Project, found: Mapping[str, Any], *, prompt: bool, requests: bool) -> None:
    """Everything in the order of the four duties, the holes last."""
    text, n = found["prompt"], len(found["prompt"]["left_out"])
    click.echo(f"{found['name']} {found['version']}: {found['clauses']} clauses, digest {found['charter'][:12]}")
    click.echo(f"prompt: {text['tokens']} tokens (words x 4/3), {n} clauses left out" + (f": {', '.join(text['left_out'])}" if n else ""))
    if prompt:
        click.echo("\n".join("  | " + line for line in str(text["text"]).splitlines()))
    click.echo(f"teach: {found['demonstrations']} demonstrations, up to {found['few_shots']} few-shots")
    click.echo(f"constitution: {found['principles']} principles, each with a critique, a revision and an (A)/(B) request")
    for r in found["requests"] if requests else ():
        for kind in ("critique", "revision", "choice"):
            click.echo(f"  {r['clause']} {kind}:\n" + "\n".join("  | " + line for line in r[kind].splitlines()))
    kinds = sorted(found["probes"].items())
    table("probes", ("kind", "written", "teach", "test"), [(k, s["written"], s["teach"], s["test"]) for k, s in kinds])
    rules = found["guard"]
    columns = ("clause", "action", "phrases", "examples", "counter-examples")
    table("guard", columns, [(r["clause"], r["action"], r["phrases"], r["examples"], r["counter_examples"]) for r in rules])
    table(
        "review",
        ("clause", "when", "who", "approvals", "within"),
        [
            (r["clause"], " ".join([r["when"], *r["on"]]), ", ".join(r["by"]), r["approvals"], duration(r["within_seconds"]))
            for r in found["review"]
        ],
    )
    file = project.loaded.path.name
    table(
        "holes",
        ("where", "clause", "what", "remedy"),
        [(f"{file}:{h['line'] or 1}", h["clause"], h["what"], h["remedy"]) for h in found["holes"]],
    )
    click.echo(f"{len(found['holes'])} holes")
