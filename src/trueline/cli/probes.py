"""`trueline probes`: grow more probes with a TARGET, accept them by a person, list what there is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from trueline.cli import probe_suites

if TYPE_CHECKING:
    from trueline.charter.probes import Probe
    from trueline.cli.project import Project

    Decide = Callable[[Probe], str]


@click.group(help="Grow probes and demonstrations in families, accept them by a person, list and freeze them, and bring in others.")
def command() -> None:
    """The group."""


for more in (probe_suites.freeze, probe_suites.import_, probe_suites.from_run, probe_suites.from_incidents, probe_suites.overlap):
    command.add_command(more)


@command.command("list", help="Count the probes by clause, kind, side and origin.")
@click.argument("charter")
@click.option("--probes", type=click.Path(path_type=Path), help="File of probes (default: probes.jsonl beside the charter).")
@click.option(
    "--suite", "asks", default="charter", show_default=True, type=click.Choice(["charter", "inherited", "all"]), help="Which probes."
)
@click.option("--json", "as_json", is_flag=True, help="Print the counts as JSON.")
def list_(charter: str, probes: Path | None, asks: str, as_json: bool) -> int:
    """One line a clause and kind."""
    import json
    from collections import Counter

    from trueline.charter.compile.inherited import inherited_probes
    from trueline.charter.compile.written import written_probes
    from trueline.cli.project import open_project

    project = open_project(charter, probes)
    own = (*written_probes(project.loaded.charter), *project.probes) if asks != "inherited" else ()
    inherited = inherited_probes(project.loaded.charter) if asks != "charter" else ()
    rows = Counter((p.clause, p.kind, p.side, p.origin) for p in (*own, *inherited))
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
@click.option("--replies", is_flag=True, help="Also draft demonstrations for the teach side where the charter leaves the reply open.")
@click.option("--json", "as_json", is_flag=True, help="Print the counts as JSON.")
def grow(charter: str, target: str, per_clause: int, out: Path | None, seed: int, replies: bool, as_json: bool) -> int:
    """Asks for new prompts clause by clause; drafts are written one by one."""
    import asyncio
    import json

    from trueline.charter.probe_files import DRAFTS
    from trueline.cli.growing import grow_probes
    from trueline.cli.progress import bar
    from trueline.cli.project import open_project
    from trueline.cli.targets import open_target
    from trueline.errors import ModelError

    project = open_project(charter)
    path = out or project.loaded.path.parent / DRAFTS
    path.parent.mkdir(parents=True, exist_ok=True)
    path.open("a").close()  # what cannot be written is said before anything is asked
    with bar("grow") as advance:
        grown = asyncio.run(grow_probes(open_target(target).chat, project, path, per_clause, seed, advance, replies=replies))
    if not grown.drafts:
        what = f"{target} proposed nothing that could be a probe ({grown.dropped} answers dropped)"
        raise ModelError(what, remedy="use a TARGET that follows instructions")
    if as_json:
        click.echo(json.dumps({"drafts": grown.drafts, "dropped": grown.dropped, "without": list(grown.without), "file": str(path)}))
        return 0
    click.echo(f"{grown.drafts} drafts in {path} ({grown.dropped} answers dropped as repeats, copies or unusable)")
    if grown.without:
        click.echo(f"fewer than {per_clause} for {', '.join(grown.without)}: run it again with another --seed or another TARGET")
    return 0


@command.command("accept", help="Accept drafts: asked one by one on a terminal, or --all or --ids with --by NAME.")
@click.argument("charter")
@click.option("--by", "person", required=True, help="The person who accepts; it stands in every accepted probe.")
@click.option("--all", "everything", is_flag=True, help="Accept every draft without asking.")
@click.option("--ids", help="Accept the drafts with these ids (separated by commas) without asking; the others stay drafts.")
@click.option("--drafts", type=click.Path(path_type=Path), help="File of drafts (default: probes.drafts.jsonl beside the charter).")
@click.option("--json", "as_json", is_flag=True, help="Print the counts as JSON.")
def accept(charter: str, person: str, everything: bool, ids: str | None, drafts: Path | None, as_json: bool) -> int:
    """Moves drafts into probes.jsonl; what was refused is removed."""
    import json
    import sys

    from trueline.charter.probe_files import DRAFTS, read_probes
    from trueline.cli.project import check_probes, open_project
    from trueline.errors import SuiteError

    project = open_project(charter)
    path = drafts or project.loaded.path.parent / DRAFTS
    waiting = read_probes(path)
    if not waiting:
        raise SuiteError("there is no draft", remedy="run `trueline probes grow` first", file=path)
    if everything and ids is not None:
        raise SuiteError("--all and --ids exclude each other, got both", remedy="give one of them")
    if not everything and ids is None and not sys.stdin.isatty():
        raise SuiteError("nobody to ask: this is no terminal", remedy="give --all to accept every draft, or --ids", file=path)
    check_probes(project.loaded, waiting, path)
    named = None if ids is None else {i.strip() for i in ids.split(",") if i.strip()}
    unknown = sorted((named or set()) - {p.id for p in waiting})
    if unknown:
        raise SuiteError(f"there is no draft {unknown[0]!r}", remedy="take ids from the file of drafts", file=path)
    decide: Decide = ask_person if not everything and named is None else lambda p: "y" if named is None or p.id in named else "s"
    accepted, left = decide_drafts(project, path, waiting, person, decide)
    click.echo(json.dumps({"accepted": accepted, "left": left}) if as_json else f"{accepted} accepted, {left} drafts left")
    return 0


def ask_person(probe: Probe) -> str:
    """y, n, s or q, asked on the terminal."""
    reply = f"\n  reply: {probe.reply}" if probe.reply else ""
    text = f"[{probe.clause} {probe.kind} {probe.side}] {probe.messages[-1].content}{reply}\n  (y)es (n)o (s)kip (q)uit"
    answer: str = click.prompt(text, type=click.Choice(["y", "n", "s", "q"]), show_choices=False, err=True)
    return answer


def decide_drafts(project: Project, path: Path, waiting: tuple[Probe, ...], person: str, decide: Decide) -> tuple[int, int]:
    """(accepted, left). Each decision of a person is written at once; the accepted probe first, so that nothing can be lost."""
    from dataclasses import replace

    from trueline.charter.probe_files import probes_beside, write_probes

    known, left, accepted = {p.id: p for p in project.probes}, {p.id: p for p in waiting}, 0
    each = decide is ask_person
    for p in waiting:
        answer = decide(p)
        if answer == "q":
            break
        if answer == "s":
            continue
        del left[p.id]
        if answer == "y":
            known[p.id] = replace(p, accepted_by=person)
            accepted += 1
        if each:
            write_probes(probes_beside(project.loaded.path), known.values())
            write_probes(path, left.values())
    if not each:
        write_probes(probes_beside(project.loaded.path), known.values())
        write_probes(path, left.values())
    return accepted, len(left)
