"""`trueline judge`: a sheet of replies for people to label, and the error of a grader on what they labelled."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from trueline.cli.project import Project
    from trueline.core.evaluations import Evaluation
    from trueline.evals.graders.calibration import Judged, JudgeError
    from trueline.evals.suites import Suite


@click.command(help="Draw replies for people to label (--sample), or measure a grader's error on what they labelled (--labels).")
@click.argument("target", required=False)
@click.option("--charter", "-c", required=True, help="Charter file or bundled:NAME.")
@click.option("--probes", type=click.Path(path_type=Path), help="File of probes (default: probes.jsonl beside the charter).")
@click.option(
    "--suite",
    "asks",
    default="charter",
    show_default=True,
    help="What was asked: charter, inherited, all, or the folder of a frozen suite.",
)
@click.option("--sample", type=click.Path(path_type=Path), help="Evaluation folder to draw replies from, without their grades.")
@click.option("--n", default=100, show_default=True, type=click.IntRange(1), help="How many replies to draw, every clause its share.")
@click.option("--seed", default=0, show_default=True, help="Seed of the draw; it stands in every row.")
@click.option("--labels", type=click.Path(path_type=Path), help="Labelled replies: rows {probe, reply, result: pass or fail}.")
@click.option(
    "--run", type=click.Path(path_type=Path), help="Evaluation that the labels are of: corrects its rates; its grades count without TARGET."
)
@click.option(
    "--baseline-labels", type=click.Path(path_type=Path), help="Labelled replies of the baseline: does the grader err alike on both?"
)
@click.option("--baseline-run", type=click.Path(path_type=Path), help="Evaluation that the baseline's labels are of.")
@click.option("--out", type=click.Path(path_type=Path), help="File to write: the sheet, or the error that `eval --grader-error` takes.")
@click.option("--yes", is_flag=True, help="Ask somebody else's endpoint without asking for leave first.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(
    target: str | None, charter: str, probes: Path | None, asks: str, sample: Path | None, n: int, seed: int, labels: Path | None, run: Path | None,
    baseline_labels: Path | None, baseline_run: Path | None, out: Path | None, yes: bool, as_json: bool,
) -> int:  # fmt: skip
    """Either draws or measures."""
    import json

    from trueline.cli.project import open_project
    from trueline.cli.suites import open_suite
    from trueline.errors import TargetError

    if (sample is None) == (labels is None):
        raise TargetError("give either --sample (to draw) or --labels (to measure)", remedy="trueline judge --help shows both forms")
    project = open_project(charter, probes)
    suite = open_suite(project, asks)
    if sample is not None:
        told, text = _draw(project, suite, sample, n, seed, out)
    else:
        assert labels is not None
        if target is not None:
            _ask_leave(target, suite, [labels, *([baseline_labels] if baseline_labels else [])], yes)
        told, text = _measure(project, suite, target, labels, run, baseline_labels, baseline_run, out)
    click.echo(json.dumps(told, ensure_ascii=False) if as_json else text)
    return 0


def _ask_leave(target: str, suite: Suite, files: Sequence[Path], yes: bool) -> None:
    """For a judge that somebody else serves, which reads every labelled reply in both orders. Raises `TargetError` where leave is not given."""
    from trueline.cli.consent import ask_leave
    from trueline.cli.judging import labels_in
    from trueline.cli.serving import model_of
    from trueline.cli.targets import open_target
    from trueline.evals.suites import Suite

    if not model_of(target)[0].startswith(("openai:", "anthropic:")):
        return
    asked = tuple(x.probe for path in files for x in labels_in(path, suite))
    ask_leave("judge", Suite(asked, ""), open_target(target).chat.identity(), samples=2, max_tokens=256, yes=yes)


def _draw(project: Project, suite: Suite, sample: Path, n: int, seed: int, out: Path | None) -> tuple[dict[str, Any], str]:
    from trueline.charter.digests import digest_file
    from trueline.data.evaluations import ROWS, read_evaluation
    from trueline.data.jsonl import write_jsonl
    from trueline.errors import TargetError
    from trueline.evals.graders.labelling import sheet

    path = out or Path("labels.jsonl")
    if path.exists():
        raise TargetError(f"{path} is there already, and may hold people's labels", remedy="name another file with --out, or remove it")
    evaluation = read_evaluation(sample)
    rows = sheet(evaluation, {p.id: p for p in suite.probes}, project.loaded.charter, n, seed, digest_file(sample / ROWS)[:16])
    write_jsonl(path, rows)
    told = {
        "sheet": str(path),
        "replies": len(rows),
        "of": rows[0]["drawn"]["of"],
        "seed": seed,
        "clauses": len({r["clause"] for r in rows}),
    }
    text = f"{len(rows)} of {told['of']} replies in {path}: put pass or fail into each `result`, then `trueline judge ... --labels {path}`"
    return told, text


def _judged(
    project: Project, suite: Suite, target: str | None, labels: Path, run: Path | None, work: Path
) -> tuple[dict[str, Any], list[Judged], Evaluation | None]:
    """(the grader's identity, its grades of the labelled replies, the evaluation that they are of)."""
    from trueline.cli.judging import judged_by, labels_in
    from trueline.data.evaluations import read_evaluation
    from trueline.errors import DataError, TargetError
    from trueline.evals.graders.corrected import of_run

    labelled = labels_in(labels, suite)
    if not labelled:
        raise DataError("no row says pass or fail: insufficient evidence", remedy="let people fill in `result`", file=labels)
    evaluation = None if run is None else read_evaluation(run)
    if target is not None:
        grader, judged = judged_by(target, labelled, project, work)
        return dict(grader.identity()), judged, evaluation
    if evaluation is None:
        raise TargetError("nobody to measure", remedy="name a TARGET, grader:reply, or the evaluation with --run")
    judged = of_run(evaluation, labelled)
    if not judged:
        raise DataError(f"none of the {len(labelled)} labelled replies is of this evaluation", remedy="name its own labels", file=run)
    return dict(next(iter(evaluation.graders.values()), {})), judged, evaluation


def _measure(
    project: Project, suite: Suite, target: str | None, labels: Path, run: Path | None, baseline_labels: Path | None, baseline_run: Path | None,
    out: Path | None,
) -> tuple[dict[str, Any], str]:  # fmt: skip
    from trueline.charter.digests import digest_file
    from trueline.data.jsonl import write_json
    from trueline.errors import TargetError
    from trueline.evals.graders.calibrated import grader_digest
    from trueline.evals.graders.calibration import error_of
    from trueline.evals.graders.corrected import corrected_rates, truths

    if (baseline_run is not None or target is None) and (baseline_labels is None) != (baseline_run is None):
        raise TargetError("--baseline-labels and --baseline-run go together", remedy="give both, or a TARGET and the labels alone")
    work = (out.parent if out else Path("runs")) / "judge"
    identity, judged, evaluation = _judged(project, suite, target, labels, run, work)
    found = error_of(judged, "failed" if identity.get("positive") == "failed" else "complied")
    told: dict[str, Any] = {
        "trueline_judge": 1, "target": target or str(run), "grader": grader_digest(identity), "identity": identity,
        "labels": {"file": str(labels), "digest": digest_file(labels), "n": len(judged)}, "found": found.to_dict(),
        "error": {**found.error(), "error_labels": digest_file(labels)},
        "corrected": [] if evaluation is None else [c.to_dict() for c in corrected_rates(evaluation, truths([x.label for x in judged]))],
    }  # fmt: skip
    if baseline_labels is not None:
        told |= _against(project, suite, target, baseline_labels, baseline_run, work, judged, evaluation)
    if out is not None:
        write_json(out, told)
    return told, "\n".join([*_table(found), *_lines(told)])


def _against(
    project: Project, suite: Suite, target: str | None, labels: Path, run: Path | None, work: Path, judged: Sequence[Judged], after: Evaluation | None
) -> dict[str, Any]:  # fmt: skip
    """Whether the grader errs alike on the baseline, and the worsening as people would label it."""
    from dataclasses import asdict

    from trueline.evals.graders.corrected import corrected_worsening, differential, truths

    _, judged_before, before = _judged(project, suite, target, labels, run, work)
    out: dict[str, Any] = {"differential": asdict(differential(judged_before, judged))}
    if before is not None and after is not None:
        known, known_before = truths([x.label for x in judged]), truths([x.label for x in judged_before])
        out["worsening"] = [c.to_dict() for c in corrected_worsening(before, after, known, known_before)]
    return out


def _percent(i: dict[str, Any] | None) -> str:
    return "insufficient evidence" if i is None else f"{i['estimate']:.1%} ({i['low']:.1%} to {i['high']:.1%}), n {i['n']}"


def _table(found: JudgeError) -> list[str]:
    """What people read: the whole, then by measure and clause."""
    told = found.to_dict()
    agreement = told["agreement"] or {}
    seen = "failures" if found.positive == "failed" else "compliance"
    out = [
        f"sensitivity to {seen}: {_percent(told['sensitivity'])}", f"specificity: {_percent(told['specificity'])}",
        f"unscored: {found.whole.unscored} of {found.whole.labels}, of which {found.flips} changed with the order of the answers",
        f"decided by exact checks: {found.exact}, of which people say otherwise on {found.exact_wrong}",
    ]  # fmt: skip
    for name, title in (("kappa", "Cohen's kappa"), ("ac1", "Gwet's AC1")):
        i = agreement.get(name)
        out.append(f"{title}: " + ("insufficient evidence" if i is None else f"{i['estimate']:.2f} ({i['low']:.2f} to {i['high']:.2f})"))
    for title, parts in (("measure", told["by_measure"]), ("clause", told["by_clause"])):
        for name, r in parts.items():
            out.append(
                f"{title} {name}: sensitivity {_percent(r['sensitivity'])}; specificity {_percent(r['specificity'])}; {r['unscored']} unscored"
            )
    return out


def _lines(told: dict[str, Any]) -> list[str]:
    """Corrected rates and the comparison with the baseline."""
    out = []
    for c in (*told["corrected"], *told.get("worsening", ())):
        by = f"by {c['labelled']} labels of {c['n']} replies"
        out.append(f"{c['measure']} {c['of']} as people label it: {c['estimate']:.1%} ({c['lower']:.1%} to {c['upper']:.1%}), {by}")
    if (d := told.get("differential")) is not None:
        verdict = "errs differently on the two models" if d["differs"] else "shows no different error on the two models"
        out.append(f"the grader {verdict}; it may hide a worsening of up to {d['hidden']:.1%} and invent one of up to {d['invented']:.1%}")
    return out
