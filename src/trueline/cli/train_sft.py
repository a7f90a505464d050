"""`trueline train sft`: demonstrations to a model folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from trueline.cli.keeping import NAMES as KEEPING
from trueline.cli.keeping import Keeper, keeping_options
from trueline.cli.train_preflight import preflight, preflight_options
from trueline.cli.train_stage import LOOP, averaged, finished, given, opened, printed, shared

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
@shared("lora", "four_bit", "precision", "seed", "shard", "part_way")
@keeping_options
@preflight_options(noise=False)
@printed
def sft_command(model: str | None, data: Path | None, out: Path, **o: Any) -> dict[str, Any]:
    """Checks the options, trains, saves."""
    from trueline.cli.progress import bar
    from trueline.cli.train_checks import Earlier, base_of, check_four_bit, check_places, looked_at
    from trueline.data.conversations import read_examples
    from trueline.train.audit import of_examples
    from trueline.train.sft import SftSettings, run_sft

    model, data = given("sft", model, data)
    loop = {name: o[name] for name in LOOP}
    keeper = Keeper({name: o[name] for name in KEEPING})
    settings = SftSettings(lr=o["lr"] or 1e-3, **loop, **keeper.settings(), **{name: o[name] for name in SFT if o[name] is not None})
    check_places(out, model, base_of(model), o["unaligned"])
    check_four_bit(o)
    examples = read_examples(data)
    local, trained = opened(model, o["lora"], o["four_bit"])
    examples, told = looked_at(local, "sft", examples, of_examples, o)
    examples, earlier = keeper.examples(local, examples, o["seed"]), Earlier.of(out)
    told |= preflight(trained, "sft", examples, settings, o, told["audit"], also=keeper.safety)
    keeper.before(trained)
    with bar("sft") as advance:
        report = run_sft(trained, examples, settings, out, earlier.watching(advance), keeper.safety, shard=o["shard"])
    told |= {"turns": report.turns} if report.turns else {}
    if settings.packing != "off":
        told["packing"] = f"{'packed' if report.packing.packed else 'unpacked'}: {report.packing.why}"
    told |= keeper.after(trained)
    return finished(local, trained, o, out, report, earlier, **told, **averaged(local, trained, o["part_way"]))
