"""`trueline probes`: grow more probes with a TARGET, accept them by a person, list what there is."""

from __future__ import annotations

from pathlib import Path

import click


@click.group(help="Grow probes and demonstrations in families, accept them by a person, and list them.")
def command() -> None:
    """The group."""


@command.command("list", help="Count the probes by clause, kind, side and origin.")
@click.argument("charter")
@click.option("--probes", type=click.Path(path_type=Path), help="File of probes (default: probes.jsonl beside the charter).")
@click.option("--json", "as_json", is_flag=True, help="Print the counts as JSON.")
def list_(charter: str, probes: Path | None, as_json: bool) -> int:
    """One line a clause and kind."""
    import json
    from collections import Counter

    from trueline.charter.compile.written import written_probes
    from trueline.cli.project import open_project

    project = open_project(charter, probes)
    rows = Counter((p.clause, p.kind, p.side, p.origin) for p in (*written_probes(project.loaded.charter), *project.probes))
    if as_json:
        click.echo(json.dumps([{"clause": c, "kind": k, "side": s, "origin": o, "n": n} for (c, k, s, o), n in sorted(rows.items())]))
        return 0
    for (clause, kind, side, origin), n in sorted(rows.items()):
        click.echo(f"{clause:34}{kind:24}{side:7}{origin:9}{n:5}")
    return 0


@command.command(
    "grow", help="Draft more probes with a TARGET: new families for every clause, split by digest into teach and test. Resumes."
)
@click.argument("charter")
@click.option("--with", "target", required=True, help="The TARGET that drafts.")
@click.option("--per-clause", default=12, show_default=True, type=click.IntRange(1, 500), help="Drafts wanted for each clause and kind.")
@click.option("--out", type=click.Path(path_type=Path), help="File of drafts (default: probes.drafts.jsonl beside the charter).")
@click.option("--seed", default=0, show_default=True, help="Seed of the sampling.")
@click.option("--json", "as_json", is_flag=True, help="Print the counts as JSON.")
def grow(charter: str, target: str, per_clause: int, out: Path | None, seed: int, as_json: bool) -> int:
    """Asks for new prompts clause by clause; drafts are written one by one."""
    import asyncio
    import json

    from trueline.charter.probe_files import DRAFTS
    from trueline.cli.growing import grow_probes
    from trueline.cli.progress import bar
    from trueline.cli.project import open_project
    from trueline.cli.targets import open_target

    project = open_project(charter)
    path = out or project.loaded.path.parent / DRAFTS
    with bar("grow") as advance:
        n, dropped = asyncio.run(grow_probes(open_target(target).chat, project, path, per_clause, seed, advance))
    click.echo(
        json.dumps({"drafts": n, "dropped": dropped, "file": str(path)})
        if as_json
        else f"{n} drafts in {path} ({dropped} answers dropped as repeats or unusable)"
    )
    return 0


@command.command("accept", help="Accept drafts: asked one by one on a terminal, or --all with --by NAME.")
@click.argument("charter")
@click.option("--by", "person", required=True, help="The person who accepts; it stands in every accepted probe.")
@click.option("--all", "everything", is_flag=True, help="Accept every draft without asking.")
@click.option("--drafts", type=click.Path(path_type=Path), help="File of drafts (default: probes.drafts.jsonl beside the charter).")
@click.option("--json", "as_json", is_flag=True, help="Print the counts as JSON.")
def accept(charter: str, person: str, everything: bool, drafts: Path | None, as_json: bool) -> int:
    """Moves drafts into probes.jsonl; what was refused is removed."""
    import json
    import sys
    from dataclasses import replace

    from trueline.charter.probe_files import DRAFTS, probes_beside, read_probes, write_probes
    from trueline.cli.project import open_project
    from trueline.errors import SuiteError

    project = open_project(charter)
    path = drafts or project.loaded.path.parent / DRAFTS
    waiting = read_probes(path)
    if not waiting:
        raise SuiteError("there is no draft", remedy="run `trueline probes grow` first", file=path)
    if not everything and not sys.stdin.isatty():
        raise SuiteError("nobody to ask: this is no terminal", remedy="give --all to accept every draft", file=path)
    known = {p.id: p for p in project.probes}
    accepted, left = 0, list(waiting)
    for p in waiting:
        answer = (
            "y"
            if everything
            else click.prompt(
                f"[{p.clause} {p.kind} {p.side}] {p.messages[-1].content}  (y)es (n)o (q)uit",
                type=click.Choice(["y", "n", "q"]),
                show_choices=False,
            )
        )
        if answer == "q":
            break
        left.remove(p)
        if answer == "y":
            known[p.id] = replace(p, accepted_by=person)
            accepted += 1
        write_probes(probes_beside(project.loaded.path), known.values())
        write_probes(path, left)
    click.echo(json.dumps({"accepted": accepted, "left": len(left)}) if as_json else f"{accepted} accepted, {len(left)} drafts left")
    return 0
