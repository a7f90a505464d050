"""`trueline train dpo` and `trueline train kto`: preferences, paired and not, from a file to a model folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from trueline.cli.train_preflight import preflight, preflight_options
from trueline.cli.train_stage import LOOP, Finite, averaged, finished, given, opened, printed, put, shared

PAIRED = ("beta", "label_smoothing", "gamma", "margin_weight", "sft_weight")
UNPAIRED = ("beta", "desirable_weight", "undesirable_weight")
_ABOVE, _FROM = Finite(0, min_open=True), Finite(0)
_HELP: dict[str, tuple[Any, str]] = {
    "beta": (
        _ABOVE,
        "Strength of the pull to the reference, or scale of the implicit reward; orpo: weight of the odds term. [default: the loss's]",
    ),
    "label_smoothing": (
        Finite(0, 0.5, max_open=True),
        "dpo, robust, exo, simpo, cpo: share of flipped labels assumed (default 0; robust 0.1, exo 0.001).",
    ),
    "gamma": (_FROM, "simpo: target margin between the implicit rewards (default 1)."),
    "margin_weight": (_FROM, "dpo, dpo_norm, simpo: times a row's `margin` is the offset its pair must exceed (ODPO; default 0)."),
    "sft_weight": (_FROM, "All losses but orpo: weight of the chosen reply's own likelihood per token (default 0; cpo 1)."),
    "desirable_weight": (_FROM, "Weight of desirable rows (default 1)."),
    "undesirable_weight": (_FROM, "Weight of undesirable rows (default 1)."),
}


def loss_options(names: tuple[str, ...], losses: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Puts --loss and the options of its losses on a command. None means not given: the loss's own default."""

    options = (click.option(f"--{name.replace('_', '-')}", type=_HELP[name][0], help=_HELP[name][1]) for name in names)
    return put(click.option("--loss", default=None, help=losses), *options)


@click.command(name="dpo", help="Direct preference optimisation and its family, on pairs of a better and a worse reply.")
@shared("model", "data", "out", "epochs", "lr", "batch_tokens", "max_tokens", lr="2e-4")
@loss_options(
    PAIRED,
    "dpo (default), dpo_norm, ipo, ipo_norm, hinge, robust, exo, nca, bco, sppo, apo_zero, apo_down, discopop, simpo, cpo or orpo.",
)
@shared("held_out", "lora", "four_bit", "precision", "seed", "shard", "part_way")
@preflight_options(noise=True)
@printed
def dpo_command(model: str | None, data: Path | None, out: Path, **o: Any) -> dict[str, Any]:
    """Trains on pairs."""
    return train_dpo(*given("dpo", model, data), out, o)


@click.command(name="kto", help="Kahneman-Tversky optimisation on single replies that people liked or did not.")
@shared("model", "data", "out", "epochs", "lr", "batch_tokens", "max_tokens", lr="2e-4")
@loss_options(UNPAIRED, "kto (default) or apo_zero_unpaired.")
@shared("lora", "four_bit", "precision", "seed", "shard", "part_way")
@preflight_options(noise=True)
@printed
def kto_command(model: str | None, data: Path | None, out: Path, **o: Any) -> dict[str, Any]:
    """Trains on labelled replies."""
    return train_kto(*given("kto", model, data), out, o)


def train_dpo(model: str, data: Path, out: Path, o: dict[str, Any]) -> dict[str, Any]:
    """Pairs to a model folder; what is printed and kept in train.json."""
    from trueline.cli.progress import bar
    from trueline.cli.train_checks import Earlier, base_of, check_four_bit, check_places, held_out_all, looked_at
    from trueline.data.conversations import read_preferences, split_by_prompt
    from trueline.train.audit import of_preferences
    from trueline.train.dpo import DpoSettings, run_dpo
    from trueline.train.preference_accuracy import preference_accuracy

    loop = {name: o[name] for name in LOOP}
    settings = DpoSettings(o["loss"] or "dpo", **{name: o[name] for name in PAIRED}, lr=o["lr"] or 2e-4, **loop)
    settings.objective()
    check_places(out, model, base_of(model))
    check_four_bit(o)
    found = read_preferences(data)
    local, trained = opened(model, o["lora"], o["four_bit"])
    pairs, seen = looked_at(local, "dpo", found.pairs, of_preferences, o, found.left_out)
    train, test = split_by_prompt(pairs, o["held_out"]) if o["held_out"] else (pairs, [])
    held_out_all(data, train, len(pairs), o["held_out"])
    seen |= preflight(trained, "dpo", train, settings, o, seen["audit"])
    if not settings.margin_weight and any(p.margin for p in train):
        seen["margins"] = f"{sum(p.margin > 0 for p in train)} of {len(train)} pairs have a margin, which counts with --margin-weight alone"
    accuracy, earlier = {"accuracy_before": preference_accuracy(local, test)} if o["held_out"] else {}, Earlier.of(out)
    with bar(settings.loss) as advance:
        report = run_dpo(trained, train, settings, out, earlier.watching(advance), shard=o["shard"])
    seen |= averaged(local, trained, o["part_way"])
    if o["held_out"]:
        accuracy["accuracy_after"] = preference_accuracy(trained, test)
    return finished(local, trained, o, out, report, earlier, **_told(report), **seen, **accuracy)


def train_kto(model: str, data: Path, out: Path, o: dict[str, Any]) -> dict[str, Any]:
    """Single replies with labels to a model folder; what is printed and kept in train.json."""
    from trueline.cli.progress import bar
    from trueline.cli.train_checks import Earlier, base_of, check_four_bit, check_places, looked_at
    from trueline.data.unpaired import read_labelled
    from trueline.train.audit import of_labelled
    from trueline.train.kto import KtoSettings, run_kto

    loop = {name: o[name] for name in LOOP}
    settings = KtoSettings(o["loss"] or "kto", **{name: o[name] for name in UNPAIRED}, lr=o["lr"] or 2e-4, **loop)
    settings.objective()
    check_places(out, model, base_of(model))
    check_four_bit(o)
    found = read_labelled(data)
    local, trained = opened(model, o["lora"], o["four_bit"])
    rows, seen = looked_at(local, "kto", found.rows, of_labelled, o, found.left_out)
    seen |= preflight(trained, "kto", rows, settings, o, seen["audit"])
    earlier = Earlier.of(out)
    with bar(settings.loss) as advance:
        report = run_kto(trained, rows, settings, out, earlier.watching(advance), shard=o["shard"])
    seen |= averaged(local, trained, o["part_way"])
    return finished(local, trained, o, out, report, earlier, **_told(report), **seen)


def _told(report: Any) -> dict[str, Any]:
    """Reference and trend of a `PreferenceReport`, as numbers and as words."""
    from dataclasses import asdict

    trend = asdict(report.trend) | {"falls": report.trend.falls} if report.trend else None
    return {"reference": report.reference, "chosen_trend": trend, "note": report.words()}
