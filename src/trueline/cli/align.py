"""`trueline align RUN.yaml`: evaluate, train by stages (or search the prompt), evaluate again, gate, report.

In order: read and check everything, before/, stages/, model/, after/, gate.json, report.html, run.json, system.yaml.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click


@click.command(help="Align a model to its charter by the stages of a run file; evaluate before and after; gate; report. Resumes.")
@click.argument("run_file", type=click.Path(path_type=Path))
@click.option("--model", help="Another model than the run file names.")
@click.option("--charter", help="Another charter than the run file names.")
@click.option("--out", type=click.Path(path_type=Path), help="Another folder than the run file names.")
@click.option("--seed", type=click.IntRange(0), help="Another seed than the run file names.")
@click.option("--yes", is_flag=True, help="Search and ask somebody else's endpoint without asking for leave first.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(run_file: Path, model: str | None, charter: str | None, out: Path | None, seed: int | None, yes: bool, as_json: bool) -> int:
    """Parses the command line and runs."""
    import json

    from trueline.core.records import GATE_EXIT
    from trueline.report.decision import decision_text

    decision, folder = align(run_file, model=model, charter=charter, out=out, seed=seed, say=lambda t: click.echo(t, err=True), yes=yes)
    if as_json:
        click.echo(json.dumps({"out": str(folder), "gate": decision.to_dict()}, ensure_ascii=False))
    else:
        click.echo(decision_text(decision))
        click.echo(f"report: {folder / 'report.html'}   system: {folder / 'system.yaml'}")
    return GATE_EXIT[decision.outcome]


def align(
    run_file: Path,
    *,
    say: Any,
    model: str | None = None,
    charter: str | None = None,
    out: Path | None = None,
    seed: int | None = None,
    yes: bool = False,
) -> tuple[Any, Path]:
    """Runs a run file; returns (GateDecision, output folder). The same call resumes an interrupted run. `yes`: leave is given (`align_search.agree`)."""
    from trueline.errors import RunFileError

    changes = {"model": model, "charter": charter, "out": str(out) if out else None, "seed": seed}
    run, target, digest = open_run(run_file, changes, say)
    if not target.trainable:
        from trueline.cli.align_search import agree

        agree(run, run.file.stages[0], target, yes)
    elif yes:
        raise RunFileError("--yes has no effect: this model is trained here, and nobody else is asked", remedy="leave it out")
    return finish_run(run, target, digest)


def finish_run(run: Any, target: Any, digest: str) -> tuple[Any, Path]:
    """All phases of an opened run."""
    from trueline.cli.align_phases import evaluation_phase, stage_phase, trained_prompts
    from trueline.cli.align_preferences import accuracy_phase
    from trueline.data.evaluations import read_evaluation
    from trueline.data.jsonl import write_json
    from trueline.gate.decide import decide
    from trueline.train.runfile import SearchStage, beside

    run.say(
        f"charter {run.project.loaded.digest[:12]}, suite {run.suite.digest[:12]} of {len(run.suite.probes)} probes, model {target.text}"
    )
    before = evaluation_phase(run, "before", target, digest, [])
    agreed = {"before": accuracy_phase(run, "before", target.text, digest)}
    stages = run.file.stages
    folder: str = target.text
    if isinstance(stages[0], SearchStage):
        from trueline.cli.align_search import search, with_prompt
        from trueline.cli.targets import open_target

        best = search(run, stages[0], open_target(target.text), run.out)
        run = with_prompt(run, best)
        after = evaluation_phase(run, "after", lambda: open_target(target.text), digest, [])
    else:
        for i, stage in enumerate(stages):
            assert not isinstance(stage, SearchStage)
            folder, digest = stage_phase(run, i, stage, folder, digest, target.text)
        folder = _publish(run, folder, digest)
        agreed["after"] = accuracy_phase(run, "after", folder, digest)
        from trueline.cli.targets import open_target

        after = evaluation_phase(run, "after", lambda: open_target(folder), digest, trained_prompts(run))
    against = read_evaluation(beside(run.path, run.file.gate.against)) if run.file.gate.against else None
    project = run.project
    decision = decide(project.loaded.charter.gate, project.loaded.digest, after, against, **project.fairness())
    write_json(run.out / "gate.json", decision.to_dict())
    _system(run, folder)
    _record(run, digest, decision, agreed)
    _report(run, before, after, decision)
    return decision, run.out


def open_run(run_file: Path, changes: dict[str, Any], say: Any) -> tuple[Any, Any, str]:
    """Reads run file, charter and target; everything wrong with them is said before anything is spent."""
    from trueline.charter.digests import digest_of
    from trueline.cli.align_phases import Run, suite_of
    from trueline.cli.align_ready import ready
    from trueline.cli.project import open_project
    from trueline.cli.targets import open_target
    from trueline.errors import RunFileError
    from trueline.train.runfile import SearchStage, beside, read_run_file

    file = read_run_file(run_file).model_copy(update={k: v for k, v in changes.items() if v is not None})
    charter = file.charter if file.charter.startswith("bundled:") or changes["charter"] else str(beside(run_file, file.charter))
    project = open_project(charter, beside(run_file, file.data.probes) if file.data.probes else None)
    name = file.model
    if not name.startswith(("bundled:", "hf:", "openai:", "anthropic:")) and not Path(name).is_absolute() and not changes["model"]:
        name = str(beside(run_file, name))
    target = open_target(name)
    searching = isinstance(file.stages[0], SearchStage)
    if searching and target.trainable is False and target.system is not None:
        raise RunFileError("search needs a model, got a system.yaml", remedy="name the model that the system uses", file=run_file)
    if not searching and not target.trainable:
        remedy = "use a stage `- method: search`, which searches prompt and few-shots under the same gate"
        raise RunFileError(f"{name} cannot be trained: its weights are not here", remedy=remedy, file=run_file)
    compiled, shots = project.prompt(target, file.prompt.budget, file.prompt.few_shots)
    for note in target.notes:
        say(f"note: {note}")
    if compiled.left_out:
        say(f"the prompt has {compiled.tokens} tokens; {len(compiled.left_out)} clauses found no room in it")
    out = Path(file.out) if changes["out"] else beside(run_file, file.out)
    run = Run(run_file, file, out, project, suite_of(project, file), compiled.text, shots, say)
    ready(run, target)
    return run, target, digest_of(dict(target.chat.identity()))


def _publish(run: Any, folder: str, digest: str) -> str:
    """The last stage's model as `out/model`, in bfloat16; in float32 where a stage goes part of the way, for rounding would swallow a part of
    so small a step."""
    from trueline.cli.align_phases import phase
    from trueline.engine.loading import load_local
    from trueline.train.saving import save_model

    dtype = "bfloat16" if all(stage.part_way is None for stage in run.file.stages) else "float32"
    inputs = {"model": digest} | ({"dtype": dtype} if dtype != "bfloat16" else {})
    phase(run, "published", inputs, lambda _: {"digest": save_model(load_local(folder), run.out / "model", dtype)})
    return str(run.out / "model")


def _system(run: Any, model: str) -> None:
    """Writes `system.yaml`: what ships."""
    import json

    name = "model" if Path(model) == run.out / "model" else model

    def quoted(text: str) -> str:
        return json.dumps(text, ensure_ascii=False)  # YAML reads an escaped pair of surrogates as two broken characters

    prompt, shots = (f"tuned:{run.tuned}", 0) if run.tuned else (run.prompt, len(run.shots) // 2)  # a diff names its few-shots itself
    lines = [
        "system: 1", f"model: {quoted(name)}", f"charter: {quoted(_charter_of(run))}", f"prompt: {quoted(prompt)}",
        f"few_shots: {shots}", f"temperature: {run.file.evaluate.temperature}", f"max_tokens: {run.file.evaluate.max_tokens}", "guard: true",
    ]  # fmt: skip
    (run.out / "system.yaml").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _charter_of(run: Any) -> str:
    """The run's charter as any other program can find it: `bundled:NAME`, or the whole path."""
    return str(run.file.charter) if run.file.charter.startswith("bundled:") else str(run.project.loaded.path.resolve())


def _record(run: Any, digest: str, decision: Any, agreed: dict[str, Any]) -> None:
    """Writes `run.json`: everything by digest, so that a reader can walk back from the model to the charter."""
    import json

    from trueline import __version__
    from trueline.charter.digests import digest_file
    from trueline.cli.align_phases import names_of
    from trueline.core.clock import iso, utc_now
    from trueline.data.jsonl import write_json
    from trueline.train.runfile import beside, settings_of

    probes = str(beside(run.path, run.file.data.probes).resolve()) if run.file.data.probes else None
    folders = [run.out / "stages" / name for name in names_of(run)]
    stages = {f.name: json.loads((f / "done.json").read_text(encoding="utf-8")) for f in folders if (f / "done.json").exists()}
    data = {f.name: digest_file(f / "data.jsonl") for f in folders if (f / "data.jsonl").exists()}
    record = {
        "trueline_run": 1, "trueline": __version__, "created": iso(utc_now()), "run_file": settings_of(run.file),
        "files": {"charter": _charter_of(run), "probes": probes}, "charter": run.project.loaded.digest,
        "suite": run.suite.digest, "prompt": run.prompt, "model": digest, "stages": stages, "data": data, "gate": decision.outcome,
        "held_out_preferences": agreed if any(agreed.values()) else None,
    }  # fmt: skip
    write_json(run.out / "run.json", record)


def _report(run: Any, before: Any, after: Any, decision: Any) -> None:
    """Writes `report.html`."""
    from collections import Counter

    from trueline.charter.compile.teaching import demonstrations
    from trueline.report.html import html_report
    from trueline.report.matrix import clause_matrix

    taught = Counter(d.clause for d in demonstrations(run.project.loaded.charter, run.project.probes))
    matrix = clause_matrix(run.project.loaded.charter, taught=taught, before=before, after=after)
    (run.out / "report.html").write_text(html_report(run.project.loaded.charter, matrix, before, after, decision), encoding="utf-8")
