"""`trueline train sft`: demonstrations to a model folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from trueline.cli.train_stage import LOOP, finished, given, opened, printed, shared

SFT = ("turns", "packing", "accumulate")


@click.command(name="sft", help="Supervised fine-tuning on demonstrations: the loss on the assistant's words alone.")
@shared("model", "data", "out", "epochs", "lr", "batch_tokens", "max_tokens", lr="1e-3")
@click.option(
    "--turns",
    default="last",
    show_default=True,
    help="Which turns of the assistant carry loss: last (what stands earlier in a dialogue is often not vetted) or all.",
)
@click.option(
    "--packing",
    default="off",
    show_default=True,
    help="Several conversations in one row, none of which sees another: off (the same bits on every run), on, or auto (the faster one, timed once).",
)
@click.option("--accumulate", type=click.IntRange(2), help="Compute every step in so many parts: the same step in less memory.")
@shared("lora", "precision", "seed")
@printed
def sft_command(model: str | None, data: Path | None, out: Path, **o: Any) -> dict[str, Any]:
    """Checks the options, trains, saves."""
    from trueline.cli.progress import bar
    from trueline.data.conversations import read_examples
    from trueline.train.sft import SftSettings, run_sft

    model, data = given("sft", model, data)
    loop = {name: o[name] for name in LOOP}
    settings = SftSettings(lr=o["lr"] or 1e-3, **loop, **{name: o[name] for name in SFT if o[name] is not None})
    examples = read_examples(data)
    local, trained = opened(model, o["lora"])
    with bar("sft") as advance:
        report = run_sft(trained, examples, settings, out, advance)
    told = {"turns": report.turns} if report.turns else {}
    if settings.packing != "off":
        told["packing"] = f"{'packed' if report.packing.packed else 'unpacked'}: {report.packing.why}"
    return finished(local, trained, o, out, report, **told)
