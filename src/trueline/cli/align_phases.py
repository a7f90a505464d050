"""The phases of an alignment run. Each leaves a done-record with the digest of its inputs: the same command skips what is
done, goes on with what was interrupted, and does again what has changed inputs."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from trueline.charter.digests import digest_file, digest_of
from trueline.charter.turns import Message
from trueline.cli import align_data
from trueline.cli.align_policy import PAIRS, learn_policy, policy_data, reward_files
from trueline.cli.align_preferences import own_preferences
from trueline.cli.measuring import run_suite
from trueline.cli.progress import bar
from trueline.cli.project import Project
from trueline.cli.targets import Target, behind_prompt, open_target
from trueline.core.chat import Sampling
from trueline.core.evaluations import Evaluation
from trueline.data.contamination import contaminated
from trueline.data.conversations import example_from, preference_from
from trueline.data.evaluations import read_evaluation
from trueline.data.jsonl import read_jsonl, write_json, write_jsonl
from trueline.data.prompts import prompt_from
from trueline.errors import DataError, RunFileError
from trueline.evals.suites import Suite, suite_for
from trueline.train.runfile import DpoStage, PolicyStage, RunFile, SftStage, beside, settings_of

Say = Callable[[str], None]
Stage = SftStage | DpoStage | PolicyStage


@dataclass(frozen=True, slots=True)
class Run:
    """An alignment run with everything that was read before it began; `tuned`: the diff on the prompt that a search found, beside it."""

    path: Path
    file: RunFile
    out: Path
    project: Project
    suite: Suite
    prompt: str
    shots: tuple[Message, ...]
    say: Say
    tuned: str | None = None

    def named(self, name: str | None) -> Path | None:
        """A file of the run file, by name."""
        return None if name is None else beside(self.path, name)

    def sampling(self) -> Sampling:
        """How replies are drawn for the evaluations."""
        e = self.file.evaluate
        return Sampling(e.temperature, max_tokens=e.max_tokens, seed=self.file.seed)


def phase(run: Run, name: str, inputs: Mapping[str, Any], work: Callable[[Path], Mapping[str, Any]]) -> dict[str, Any]:
    """Does `work` in `out/name` unless its done-record has the same inputs. Returns the record."""
    folder, key = run.out / name, digest_of(dict(inputs))
    record = folder / "done.json"
    if record.exists():
        done = json.loads(record.read_text(encoding="utf-8"))
        if done.get("key") == key:
            run.say(f"{name}: done before")
            assert isinstance(done, dict)
            return done
    folder.mkdir(parents=True, exist_ok=True)
    done = {"key": key, "inputs": dict(inputs), **work(folder)}
    write_json(record, done)
    return done


def evaluation_phase(
    run: Run, name: str, target: Target | Callable[[], Target], digest: str, trained_on: list[tuple[Message, ...]]
) -> Evaluation:
    """Evaluates a target behind the run's prompt into `out/name`."""
    e = run.file.evaluate
    inputs = {"target": digest, "suite": run.suite.digest, "charter": run.project.loaded.digest, "evaluate": settings_of(e), "prompt": run.prompt,
              "shots": [m.to_dict() for m in run.shots], "seed": run.file.seed, "grader": dict(run.project.grader().identity())}  # fmt: skip

    def work(folder: Path) -> dict[str, Any]:
        opened = target() if callable(target) else target
        found = run_suite(
            behind_prompt(opened, run.prompt, run.shots), run.project, run.suite, run.sampling(), folder, samples=e.samples,
            concurrency=e.concurrency, target=opened.text, title=name, trained_on=trained_on, may_be_silent=True,
        )  # fmt: skip
        return {"seconds": found.seconds}

    phase(run, name, inputs, work)
    return read_evaluation(run.out / name)


def _sft_data(run: Run, stage: SftStage, folder: Path) -> Path:
    path = folder / "data.jsonl"
    demos = align_data.charter_demonstrations(run.project) if run.file.data.demonstrations else []
    if run.file.teacher and demos:
        from trueline.charter.compile.prompt import system_prompt

        with bar("teacher") as advance:
            whole = system_prompt(run.project.loaded.charter)
            demos = align_data.taught_by(open_target(run.file.teacher).chat, run.project, demos, whole, advance)
    examples = align_data.mixed_examples(run.project, run.prompt, run.named(run.file.data.helpful), stage.mix, demos, run.file.seed)
    if not examples:
        raise DataError(
            "there is nothing to learn from: no demonstration and no helpful example", remedy="grow probes or name data.helpful"
        )
    write_jsonl(
        path,
        ({"messages": [*(m.to_dict() for m in e.prompt), {"role": "assistant", "content": e.reply}], "source": e.source} for e in examples),
    )
    return path


def _dpo_data(run: Run, stage: DpoStage, folder: Path, local: Any, start: str) -> Path:
    path = folder / "data.jsonl"
    pairs = []
    if stage.samples:
        from trueline.engine.loading import load_local

        source = load_local(start) if stage.sample_from == "start" else local
        with bar("sampling") as advance:
            pairs = align_data.sampled_preferences(
                source, run.project, run.prompt, samples=stage.samples, temperature=stage.temperature,
                max_tokens=run.file.evaluate.max_tokens, most=stage.probes, seed=run.file.seed, progress=advance,
            )  # fmt: skip
    pairs += own_preferences(run).train
    write_jsonl(path, (p.to_dict() for p in pairs))
    return path


def _data(run: Run, stage: Stage, folder: Path, local: Any, start: str) -> Path:
    if isinstance(stage, SftStage):
        return _sft_data(run, stage, folder)
    return policy_data(run, stage, folder) if isinstance(stage, PolicyStage) else _dpo_data(run, stage, folder, local, start)


def names_of(run: Run) -> list[str]:
    """The folders of the run's stages, in order; others in OUT/stages are of an earlier run file."""
    return [f"{i}-{s.method}" for i, s in enumerate(run.file.stages)]


def stage_phase(run: Run, index: int, stage: Stage, model: str, digest: str, start: str) -> tuple[str, str]:
    """One training stage from `model`; returns (folder, digest) of the trained model."""
    name = f"stages/{names_of(run)[index]}"
    inputs = {"model": digest, "stage": settings_of(stage), "seed": run.file.seed, "prompt": run.prompt, "charter": run.project.loaded.digest,
              "probes": digest_of([p.to_dict() for p in run.project.probes if p.side == "teach"]), "teacher": run.file.teacher,
              "data": settings_of(run.file.data), "files": {**_file_digests(run), **reward_files(run, stage)}}  # fmt: skip
    if isinstance(stage, PolicyStage) or (isinstance(stage, DpoStage) and stage.samples):
        inputs["drawn"] = {"max_tokens": run.file.evaluate.max_tokens, "grader": dict(run.project.grader().identity())}

    def work(folder: Path) -> dict[str, Any]:
        return _train(run, stage, model, folder, digest_of(inputs), start)

    done = phase(run, name, inputs, work)
    return str(run.out / name / "model"), str(done["digest"])


def _file_digests(run: Run) -> dict[str, str]:
    out = {}
    for key in ("helpful", "preferences"):
        path = run.named(getattr(run.file.data, key))
        if path is not None:
            if not path.exists():
                raise RunFileError(f"data.{key} names {path}, which is not there", remedy="mend the path", file=run.path)
            out[key] = digest_file(path)
    return out


def _train(run: Run, stage: Stage, model: str, folder: Path, key: str, start: str) -> dict[str, Any]:
    from trueline.cli.train_stage import averaged
    from trueline.engine.loading import check_finite, load_local
    from trueline.train.lora import LoraSettings, merged, put_on, save_adapter
    from trueline.train.saving import save_model

    local = load_local(model)
    check_finite(local.model, local.path)
    # data made under other inputs is made again; data of an interrupted run is kept, so that it resumes with the same rows
    mark, path = folder / "data.key", folder / "data.jsonl"
    if not path.exists() or not mark.exists() or mark.read_text() != key:
        path = _data(run, stage, folder, local, start)
        mark.write_text(key)
    rows = [row for _, row in read_jsonl(path)]
    if not rows:
        digest = save_model(local, folder / "model", "float32")
        run.say(f"{folder.name}: the model failed on no teach probe, so there is nothing to prefer; left as it is")
        return {"digest": digest, "rows": 0, "steps": 0, "too_long": 0, "metrics": {}}
    rows, left_out = _learnable(run, stage, local, rows, folder)
    trained = put_on(local, LoraSettings(stage.lora.r, stage.lora.alpha)) if stage.lora else local
    audit = _audited(run, stage, trained, rows, folder)
    learn = partial(learn_policy, run, stage, local) if isinstance(stage, PolicyStage) else partial(_learnt, run, stage)
    report, note = learn(trained, rows, folder)
    moved = averaged(local, trained, stage.part_way)
    for text in filter(None, (note, *moved.values())):
        run.say(f"{folder.name}: {text}")
    if stage.lora:
        save_adapter(trained, folder / "adapter")
    digest = save_model(merged(trained, folder / "adapter") if stage.lora else trained, folder / "model", "float32")
    for name in ("checkpoint.pt", "best.safetensors"):  # in this order: a checkpoint of a run that went too far needs the best weights
        (folder / name).unlink(missing_ok=True)
    left = f", {report.too_long} left out as too long" if report.too_long else ""
    loss = f"; loss {report.metrics['loss']:.3f}" if "loss" in report.metrics else ""
    run.say(f"{folder.name}: {report.rows} rows, {report.steps} steps{left}{loss}")
    told = {"digest": digest, "rows": report.rows, "steps": report.steps, "too_long": report.too_long, "metrics": report.metrics}
    evidence = getattr(report, "evidence", None)  # of reinforcement learning: the curves that its stop was judged by
    return {**told, "left_out": left_out, "audit": audit, "note": note, **moved, **({"evidence": evidence} if evidence else {})}


def _learnt(run: Run, stage: SftStage | DpoStage, trained: Any, rows: list[dict[str, Any]], folder: Path) -> tuple[Any, str]:
    """(the stage's report, what a person should know of it)."""
    from trueline.train.dpo import run_dpo
    from trueline.train.sft import run_sft

    settings = _settings(run, stage)
    with bar(stage.method) as advance:
        if isinstance(stage, SftStage):
            return run_sft(trained, [example_from(r) for r in rows], settings, folder, advance), ""
        report = run_dpo(trained, [preference_from(r) for r in rows], settings, folder, advance)
        return report, report.words()


def _settings(run: Run, stage: SftStage | DpoStage) -> Any:
    """`SftSettings` or `DpoSettings` of a stage."""
    from trueline.train.dpo import DpoSettings
    from trueline.train.sft import SftSettings

    loop: dict[str, Any] = {"epochs": stage.epochs, "lr": stage.lr, "batch_tokens": stage.batch_tokens}
    loop |= {"seed": run.file.seed, "precision": stage.precision}
    if isinstance(stage, SftStage):
        return SftSettings(**loop, turns=stage.turns, packing=stage.packing)
    loss: dict[str, Any] = stage.loss_options()
    return DpoSettings(stage.loss, **loss, **loop)


def _learnable(run: Run, stage: Stage, local: Any, rows: list[dict[str, Any]], folder: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """(rows without those that no method learns from, what was left out, a line a row)."""
    from trueline.train.audit import of_examples, of_preferences, screened

    def sides(row: dict[str, Any]) -> Any:
        if isinstance(stage, PolicyStage):
            return [(prompt_from(row).messages, "")]
        return (of_examples([example_from(row)]) if isinstance(stage, SftStage) else of_preferences([preference_from(row)])).sides[0]

    found = screened(local, rows, sides)
    for line in found.left_out:
        run.say(f"{folder.name}: left out: {line}")
    return found.rows, list(found.left_out)


def _audited(run: Run, stage: Stage, local: Any, rows: list[dict[str, Any]], folder: Path) -> dict[str, Any]:
    """Looks at the data before it is trained on; says what is odd and stops at what would be for nothing."""
    from trueline.cli.train_preflight import preflight
    from trueline.train.audit import audit_examples, audit_pairs, demand

    more: dict[str, Any] = {}
    if isinstance(stage, PolicyStage):
        learnt = [preference_from(r).prompt for _, r in read_jsonl(folder / PAIRS)] if stage.reward == "preferences" else []
        prompts = [*(prompt_from(r).messages for r in rows), *learnt]
        audit = None
        run.say(f"{folder.name}: {len(rows)} prompts" + (f", {len(learnt)} pairs for the reward model" if learnt else ""))
    elif isinstance(stage, SftStage):
        examples = [example_from(r) for r in rows]
        prompts = [e.prompt for e in examples]
        audit = audit_examples(local, examples, _settings(run, stage).max_tokens)
    else:
        pairs = [preference_from(r) for r in rows]
        prompts = [p.prompt for p in pairs]
        audit = audit_pairs(local, pairs, _settings(run, stage).max_tokens)
    if audit is not None:
        demand(audit, folder.name)
        run.say(f"{folder.name}: {audit.words()}")
        assert not isinstance(stage, PolicyStage)
        taught = examples if isinstance(stage, SftStage) else pairs
        kept = {"part_way": stage.part_way, "lora": stage.lora}
        more = preflight(local, stage.method, taught, _settings(run, stage), kept, say=lambda text: run.say(f"{folder.name}: {text}"))
    bad = contaminated(run.suite.probes, prompts)
    if bad:
        run.say(f"{folder.name}: {len(bad)} probes of the suite stand in this data (e.g. {bad[0]}); the gate will say INVALID")
    return {**(audit.to_dict() if audit is not None else {}), **more, "contaminated": list(bad)}


def trained_prompts(run: Run) -> list[tuple[Message, ...]]:
    """Every prompt that any stage was trained on, for the contamination check."""
    out = []
    for path in (run.out / "stages" / name / file for name in names_of(run) for file in ("data.jsonl", PAIRS)):
        out += [prompt_from(row).messages for _, row in (read_jsonl(path) if path.exists() else ())]
    return out


def suite_of(project: Project, file: RunFile) -> Suite:
    """The suite of the run, thinned to its limit."""
    return suite_for(project.loaded.charter, project.probes, limit=file.evaluate.limit)
