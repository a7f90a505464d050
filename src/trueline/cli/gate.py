"""`trueline gate CANDIDATE [--against BASELINE]`: exit 0 PASS, 1 FAIL, 2 INCONCLUSIVE, 3 INVALID, 64 for wrong usage."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(help="Decide whether a candidate may be released: exit 0 PASS, 1 FAIL, 2 INCONCLUSIVE, 3 INVALID.")
@click.argument("candidate", type=click.Path(path_type=Path))
@click.option("--charter", "-c", required=True, help="Charter file or bundled:NAME.")
@click.option("--probes", type=click.Path(path_type=Path), help="The suite's file of probes (default: probes.jsonl beside the charter).")
@click.option("--against", type=click.Path(path_type=Path), help="Evaluation folder of the baseline.")
@click.option("--redteam", type=click.Path(path_type=Path), help="Evaluation folder of a red-team run on the candidate.")
@click.option("--inherited", type=click.Path(path_type=Path), help="Evaluation folder of the inherited probes on the candidate.")
@click.option("--out", type=click.Path(path_type=Path), help="Write the decision to this JSON file.")
@click.option("--json", "as_json", is_flag=True, help="Print the decision as JSON.")
def command(
    candidate: Path, charter: str, probes: Path | None, against: Path | None, redteam: Path | None, inherited: Path | None, out: Path | None,
    as_json: bool,
) -> int:  # fmt: skip
    """Reads the evaluations and decides."""
    import json

    from trueline.cli.project import open_project
    from trueline.core.records import GATE_EXIT
    from trueline.data.evaluations import read_evaluation
    from trueline.data.jsonl import write_json
    from trueline.errors import DataError
    from trueline.gate.decide import decide
    from trueline.gate.inherited import combined, mismatch, rule_alone
    from trueline.report.decision import decision_text

    if against is not None and against.resolve() == candidate.resolve():
        raise DataError("candidate and baseline are the same evaluation", remedy="give --against another one", file=against)
    project = open_project(charter, probes)
    rule, digest, asked = project.loaded.charter.gate, project.loaded.digest, read_evaluation(candidate)
    found = decide(
        rule,
        digest,
        asked,
        read_evaluation(against) if against else None,
        redteam=read_evaluation(redteam) if redteam else None,
        inherited=inherited is not None,
        **project.fairness(),
    )
    if inherited is not None:
        ours = read_evaluation(inherited)
        found = combined(found, decide(rule_alone(rule), digest, ours), mismatch(asked, ours))
    if out is not None:
        write_json(out, found.to_dict())
    click.echo(json.dumps(found.to_dict(), ensure_ascii=False) if as_json else decision_text(found))
    return GATE_EXIT[found.outcome]
