"""`trueline train METHOD`: one training stage from a file of data to a model folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from trueline.cli.train_preference import OPTIONS, PAIRED, UNPAIRED, preference_options, train_dpo, train_kto
from trueline.cli.train_reward import REWARD, reward_options, train_reward

METHODS = ("sft", "dpo", "kto", "reward")


@click.command(
    help="Train one stage: sft on demonstrations, dpo (and its family) or a reward model on preferences, kto on labelled replies. Resumes with the same command."
)
@click.argument("method")
@click.option("--model", "-m", help="Local model: a folder, hf:NAME or bundled:harbor. Needed but by reward --backbone encoder and text.")
@click.option("--data", "-d", required=True, type=click.Path(path_type=Path), help="JSON lines in a standard format (.jsonl or .jsonl.gz).")
@click.option("--out", "-o", required=True, type=click.Path(path_type=Path), help="Folder of the run; the model comes to OUT/model.")
@click.option("--epochs", default=1, show_default=True, type=click.IntRange(1), help="Passes over the data.")
@click.option("--lr", type=click.FloatRange(0, min_open=True), help="Peak learning rate (default: 1e-3 for sft, 2e-4 for the others).")
@click.option("--batch-tokens", default=4096, show_default=True, type=click.IntRange(1), help="Padded tokens a step.")
@click.option(
    "--max-tokens", default=1024, show_default=True, type=click.IntRange(8), help="Rows longer than this are left out and counted."
)
@preference_options
@reward_options
@click.option(
    "--held-out",
    default=None,
    type=click.FloatRange(0, 0.9),
    help="dpo and reward: share of prompts kept out to measure preference accuracy (default: 0 for dpo, 0.2 for reward).",
)
@click.option("--lora", type=click.IntRange(1), help="Train LoRA adapters of this rank instead of all weights; they are merged at the end.")
@click.option(
    "--precision",
    default=None,
    help="auto (default): bfloat16 with a float32 master of the weights where the processor multiplies it, else float32; or either by name.",
)
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Seed of order and batches.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(method: str, model: str | None, data: Path, out: Path, as_json: bool, **options: Any) -> int:
    """Checks the options, trains, measures, saves."""
    import json

    from trueline.errors import RunFileError

    if method not in METHODS:
        raise RunFileError(f"unknown method {method!r}, expected one of {', '.join(METHODS)}", remedy="choose one of these")
    allowed = {
        "sft": ("lora", "precision"),
        "dpo": ("loss", *PAIRED, "held_out", "lora", "precision"),
        "kto": ("loss", *UNPAIRED, "lora", "precision"),
        "reward": ("loss", *REWARD, "held_out", "precision"),
    }[method]
    for option in (*OPTIONS, *REWARD, "held_out", "lora", "precision"):
        if options[option] is not None and option not in allowed:
            raise RunFileError(f"--{option.replace('_', '-')} has no effect on {method}", remedy="remove it")
    options["precision"] = options["precision"] or "auto"
    if method == "reward":
        found = train_reward(model, data, out, options)
    elif model is None:
        raise RunFileError(f"--model is missing, {method} needs one", remedy="give --model")
    else:
        found = {"sft": _sft, "dpo": train_dpo, "kto": train_kto}[method](model, data, out, options)
    click.echo(json.dumps(found) if as_json else "\n".join(f"{k}: {v}" for k, v in found.items()))
    return 0


def _wrapped(model: str, lora: int | None) -> tuple[Any, Any]:
    """(the local model, the one to train)."""
    from trueline.cli.targets import open_target
    from trueline.engine.loading import load_local
    from trueline.errors import TargetError
    from trueline.train.lora import LoraSettings, put_on

    if model.startswith(("openai:", "anthropic:")):
        open_target(model)
        raise TargetError(f"{model} cannot be trained: its weights are not here", remedy="use `align` with a search stage")
    local = load_local(model)
    return local, put_on(local, LoraSettings(lora, 2 * lora)) if lora else local


def _finish(local: Any, trained: Any, options: dict[str, Any], out: Path, report: Any, **more: Any) -> dict[str, Any]:
    from trueline.data.jsonl import write_json
    from trueline.train.lora import merged, save_adapter
    from trueline.train.saving import save_model

    if options["lora"]:
        save_adapter(trained, out / "adapter")
    digest = save_model(merged(trained) if options["lora"] else trained, out / "model", "float32")
    (out / "checkpoint.pt").unlink(missing_ok=True)
    told = {
        "model": str(out / "model"),
        "digest": digest,
        "rows": report.rows,
        "too_long": report.too_long,
        "steps": report.steps,
        **report.metrics,
        **more,
    }
    write_json(out / "train.json", {**told, "from": local.digest, "options": options})
    return told


def _sft(model: str, data: Path, out: Path, o: dict[str, Any]) -> dict[str, Any]:
    from trueline.cli.progress import bar
    from trueline.data.conversations import read_examples
    from trueline.train.sft import SftSettings, run_sft

    examples = read_examples(data)
    local, trained = _wrapped(model, o["lora"])
    settings = SftSettings(o["epochs"], o["lr"] or 1e-3, o["batch_tokens"], o["max_tokens"], o["seed"], o["precision"])
    with bar("sft") as advance:
        report = run_sft(trained, examples, settings, out, advance)
    return _finish(local, trained, o, out, report)
