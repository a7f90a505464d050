"""What `trueline train` says of a run before it starts, besides the audit: overlap with suites, lengths, label noise, memory and time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from trueline.cli.processes import count, first
from trueline.cli.train_stage import put

Say = Callable[[str], None]


def preflight_options(*, noise: bool) -> Callable[[Any], Any]:
    """The options of the preflight; `noise`: whether the method learns from judgements."""
    options = [
        click.option(
            "--against",
            multiple=True,
            help="A charter (folder, file or bundled:NAME) or a file of probes: rows that hold one of its test probes stop the run. Repeatable.",
        ),
        click.option("--allow-overlap", is_flag=True, help="Train on rows that hold probes of --against all the same."),
    ]
    if noise:
        options.append(
            click.option("--label-noise", is_flag=True, help="Estimate the share of wrong labels from the texts first (seconds, no model).")
        )
    return put(*options)


def _probes_of(name: str) -> tuple[Any, ...]:
    from trueline.charter.probe_files import read_probes
    from trueline.cli.project import open_project
    from trueline.errors import SuiteError
    from trueline.evals.suites import suite_for

    path = Path(name)
    if path.suffix == ".jsonl":
        if not path.exists():
            raise SuiteError("no such file of probes", remedy="mend --against", file=path)
        return read_probes(path)
    project = open_project(str(path / "charter.yaml") if path.is_dir() else name)
    return suite_for(project.loaded.charter, project.probes).probes


def _overlap(against: Sequence[str], allowed: bool, prompts: Sequence[Any], parts: list[str]) -> dict[str, Any] | None:
    """What was found, None where nothing was asked. Raises `DataError` for rows that hold a probe, unless that is allowed."""
    from trueline.errors import DataError, RunFileError
    from trueline.train.overlap import overlap

    if not against:
        if allowed:
            raise RunFileError("--allow-overlap has no effect without --against", remedy="remove it or name a charter")
        parts.append("overlap with suites: not checked (--against)")
        return None
    probes = {p.id: p for name in against for p in _probes_of(name)}
    found = overlap(list(probes.values()), prompts)
    if not found.asked:
        raise RunFileError(f"--against {', '.join(against)} has no grown probe of the test side", remedy="grow probes, or remove it")
    if found.hits and not allowed:
        raise DataError(found.words(), remedy="take these rows out, or train on them with --allow-overlap")
    parts.append(found.words())
    return found.to_dict()


def _better_and_worse(method: str, rows: Sequence[Any]) -> list[tuple[Any, str, str]]:
    """(prompt, better, worse) of every pair; of a ranking, its best and its worst reply."""
    if method == "dpo":
        return [(p.prompt, p.chosen, p.rejected) for p in rows]
    if method != "reward":
        return []
    out = []
    for row in rows:
        ranked = sorted(range(len(row.replies)), key=lambda i: row.ranks[i])
        if len(ranked) > 1 and row.ranks[ranked[0]] != row.ranks[ranked[-1]]:
            out.append((row.prompt, row.replies[ranked[0]], row.replies[ranked[-1]]))
    return out


def _lengths(method: str, rows: Sequence[Any], parts: list[str]) -> dict[str, Any] | None:
    from trueline.algos.stats.length_balance import length_balance

    pairs = _better_and_worse(method, rows)
    if not pairs:
        return None
    number: dict[Any, int] = {}
    clusters = [str(number.setdefault(prompt, len(number))) for prompt, _, _ in pairs]
    found = length_balance([len(b) for _, b, _ in pairs], [len(w) for _, _, w in pairs], clusters)
    parts.append(f"{found.words()}; warning: {found.warning()}" if found.warning() else found.words())
    return found.to_dict()


def _noise(method: str, rows: Sequence[Any], say: Say) -> dict[str, Any]:
    from dataclasses import asdict

    from trueline.errors import RunFileError
    from trueline.train.judged import of_pairs
    from trueline.train.label_noise import pair_noise, reply_noise

    if method == "kto":
        found = reply_noise(rows)
    else:
        judged = of_pairs(rows) if method == "dpo" else list(rows)
        if any(
            row.level >= 0 or len(row.replies) != 2 or row.ranks[0] >= row.ranks[1] for row in judged
        ):  # a pair has its better reply first
            raise RunFileError("--label-noise has no effect on rankings and ratings", remedy="remove it")
        found = pair_noise(judged)
    say(f"labels that are wrong: {found.words()}")
    return asdict(found)


def _sides(method: str, rows: Sequence[Any]) -> list[Any]:
    if method == "dpo":
        return [((p.prompt, p.chosen), (p.prompt, p.rejected)) for p in rows]
    if method == "reward":
        return [tuple((r.prompt, reply) for reply in r.replies) for r in rows]
    return [((r.prompt, r.reply),) for r in rows]


def _forecast(local: Any, method: str, rows: Sequence[Any], settings: Any, say: Say, again: bool) -> dict[str, Any] | None:
    """`again`: whether the start is read again at the end."""
    from dataclasses import replace

    from trueline.train import planned
    from trueline.train.forecast import FULL, forecast
    from trueline.train.precision import resolve

    if count() > 1:
        say("memory and time: not predicted for several processes")
        return None
    precision, looked = resolve(settings.precision, local.device), planned.look(local.tokenizer, _sides(method, rows))
    make: dict[str, Callable[[], Any]] = {
        "sft": lambda: planned.planned_sft(local, precision, looked, settings, rows),
        "dpo": lambda: planned.planned_dpo(local, precision, looked, settings, settings.objective().reference),
        "kto": lambda: planned.planned_kto(local, precision, looked, settings, settings.objective().loss.baseline),
        "reward": lambda: planned.planned_reward(local, precision, looked, settings),
    }
    work = make[method]()
    if work is None:
        return None  # nothing fits: the stage says so
    found = forecast(replace(work, again=again))
    told = [part.words() for part in (found.memory, found.time) if part is not None]
    if found.memory.full():
        told.append(f"warning: more than {100 * FULL:.0f} % of what is free: lower batch-tokens or max-tokens, or train LoRA adapters")
    say("; ".join(told))
    return found.to_dict()


def preflight(
    local: Any | None,
    method: str,
    rows: Sequence[Any],
    settings: Any,
    o: dict[str, Any],
    audit: str = "",
    say: Say | None = None,
    also: Sequence[Any] = (),
) -> dict[str, Any]:
    """Says everything on stderr in two lines (three with label noise); returns it for train.json as `preflight`. local: the model to train, None for a backbone
    without one (no forecast); settings: the method's; o: the options of the preflight (not those in `align`,
    which has a check of its own suite), `lora` and `part_way`; audit: its words; also: rows that are learnt from besides, looked through for probes. Raises `DataError` for rows that hold a probe of --against."""

    def aloud(text: str) -> None:
        if first():
            click.echo(f"{method}: {text}", err=True)

    say = say or aloud
    told, parts = dict[str, Any](), [audit] if audit else []
    if "against" in o:
        told["overlap"] = _overlap(o["against"], o["allow_overlap"], [r.prompt for r in (*rows, *also)], parts)
    told["lengths"] = _lengths(method, rows, parts)
    if parts:
        say("; ".join(parts))
    if o.get("label_noise"):
        told["label_noise"] = _noise(method, rows, say)
    again = o.get("part_way") is not None and not o.get("lora")  # adapters are scaled without it
    told["forecast"] = _forecast(local, method, rows, settings, say, again) if local is not None else None
    return {"preflight": {k: v for k, v in told.items() if v is not None}}
