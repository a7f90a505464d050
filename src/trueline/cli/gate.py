"""`trueline gate CANDIDATE [--against BASELINE]`: exit 0 PASS, 1 FAIL, 2 INCONCLUSIVE, 3 INVALID, 64 for wrong usage."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from trueline.core.decisions import GateDecision

OF_A_RED_TEAM = ("redteam_max_age", "redteam_disguises", "redteam_requests")  # options without effect where no run is given


@click.command(help="Decide whether a candidate may be released: exit 0 PASS, 1 FAIL, 2 INCONCLUSIVE, 3 INVALID.")
@click.argument("candidate", type=click.Path(path_type=Path))
@click.option("--charter", "-c", required=True, help="Charter file or bundled:NAME.")
@click.option("--probes", type=click.Path(path_type=Path), help="The suite's file of probes (default: probes.jsonl beside the charter).")
@click.option("--against", type=click.Path(path_type=Path), help="Evaluation folder of the baseline.")
@click.option("--redteam", type=click.Path(path_type=Path), help="Evaluation folder of a red-team run on the candidate.")
@click.option(
    "--redteam-max-age",
    default=30.0,
    show_default=True,
    type=click.FloatRange(0, min_open=True),
    help="Days after which a red-team run is too old: INVALID.",
)
@click.option(
    "--redteam-disguises",
    default=5,
    show_default=True,
    type=click.IntRange(1),
    help="Fewest disguises of a red-team run, the plain request left out.",
)
@click.option(
    "--redteam-requests",
    default=20,
    show_default=True,
    type=click.IntRange(1),
    help="Fewest families of requests that a red-team run attacks.",
)
@click.option(
    "--noise", nargs=2, type=click.Path(path_type=Path), help="Two evaluations of candidate or baseline that differ in their seed (A/A)."
)
@click.option(
    "--anytime",
    type=int,
    metavar="SEED",
    help="Say where each bound would have stopped in the random order of this seed. A run that was stopped early is decided in its own.",
)
@click.option("--inherited", type=click.Path(path_type=Path), help="Evaluation folder of the inherited probes on the candidate.")
@click.option("--out", type=click.Path(path_type=Path), help="Write the decision to this JSON file.")
@click.option("--junit", type=click.Path(path_type=Path), help="Write the decision to this JUnit XML file.")
@click.option("--markdown", type=click.Path(path_type=Path), help="Write the decision to this Markdown file, for a pull request.")
@click.option("--json", "as_json", is_flag=True, help="Print the decision as JSON.")
def command(
    candidate: Path, charter: str, probes: Path | None, against: Path | None, redteam: Path | None, redteam_max_age: float,
    redteam_disguises: int, redteam_requests: int, inherited: Path | None, noise: tuple[Path, Path] | None, anytime: int | None,
    out: Path | None, junit: Path | None, markdown: Path | None, as_json: bool,
) -> int:  # fmt: skip
    """Reads the evaluations and decides."""
    import json

    from trueline.cli.gate_reading import decided
    from trueline.cli.project import open_project
    from trueline.cli.targets import options_given
    from trueline.core.records import GATE_EXIT
    from trueline.data.evaluations import read_evaluation
    from trueline.errors import DataError
    from trueline.gate.attacked import RedTeamRule
    from trueline.report.decision import decision_text

    idle = [f"--{name.replace('_', '-')}" for name in OF_A_RED_TEAM if name in options_given() and redteam is None]
    if idle:
        raise DataError(f"{idle[0]} has no effect without --redteam", remedy="give the run, or leave it out")
    for what, pair in (("candidate and baseline", (candidate, against)), ("the two A/A runs", noise or ())):
        paths = [p.resolve() for p in pair if p is not None]
        if len(paths) != len(set(paths)):
            raise DataError(f"{what} are the same evaluation", remedy="give another one", file=paths[-1])
    asked = RedTeamRule(redteam_max_age, redteam_disguises, redteam_requests)
    read = [read_evaluation(p) if p is not None else None for p in (candidate, against, redteam, inherited)]
    draws = (read_evaluation(noise[0]), read_evaluation(noise[1])) if noise else None
    found = decided(open_project(charter, probes), read, draws, asked, anytime)
    _write(found, out, junit, markdown)
    click.echo(json.dumps(found.to_dict(), ensure_ascii=False) if as_json else decision_text(found))
    return GATE_EXIT[found.outcome]


def _write(found: GateDecision, out: Path | None, junit: Path | None, markdown: Path | None) -> None:
    from trueline.data.jsonl import write_json
    from trueline.report.junit import junit_xml
    from trueline.report.markdown import decision_markdown

    if out is not None:
        write_json(out, found.to_dict())
    for path, text in ((junit, junit_xml), (markdown, decision_markdown)):
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_name(path.name + ".part")
            part.write_text(text(found), encoding="utf-8")
            part.replace(path)
