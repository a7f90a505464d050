"""`trueline train dpo` and `trueline train kto`: preferences, paired and not, from a file to a model folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from trueline.cli.train_stage import LOOP, finished, given, opened, printed, put, shared

PAIRED = ("beta", "label_smoothing", "gamma", "margin_weight", "sft_weight")
UNPAIRED = ("beta", "desirable_weight", "undesirable_weight")
_ABOVE, _FROM = click.FloatRange(0, min_open=True), click.FloatRange(0)
_HELP: dict[str, tuple[Any, str]] = {
    "beta": (
        _ABOVE,
        "Strength of the pull to the reference, or scale of the implicit reward; orpo: weight of the odds term. [default: the loss's]",
    ),
    "label_smoothing": (
        click.FloatRange(0, 0.5, max_open=True),
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
@shared("held_out", "lora", "precision", "seed")
@printed
def dpo_command(model: str | None, data: Path | None, out: Path, **o: Any) -> dict[str, Any]:
    """Trains on pairs."""
    return train_dpo(*given("dpo", model, data), out, o)


@click.command(name="kto", help="Kahneman-Tversky optimisation on single replies that people liked or did not.")
@shared("model", "data", "out", "epochs", "lr", "batch_tokens", "max_tokens", lr="2e-4")
@loss_options(UNPAIRED, "kto (default) or apo_zero_unpaired.")
@shared("lora", "precision", "seed")
@printed
def kto_command(model: str | None, data: Path | None, out: Path, **o: Any) -> dict[str, Any]:
    """Trains on labelled replies."""
    return train_kto(*given("kto", model, data), out, o)


def train_dpo(model: str, data: Path, out: Path, o: dict[str, Any]) -> dict[str, Any]:
    """Pairs to a model folder; what is printed and kept in train.json."""
    from trueline.cli.progress import bar
    from trueline.data.conversations import read_preferences, split_by_prompt
    from trueline.train.dpo import DpoSettings, run_dpo
    from trueline.train.preference_accuracy import preference_accuracy

    loop = {name: o[name] for name in LOOP}
    settings = DpoSettings(o["loss"] or "dpo", **{name: o[name] for name in PAIRED}, lr=o["lr"] or 2e-4, **loop)
    settings.objective()
    found = read_preferences(data)
    train, test = split_by_prompt(found.pairs, o["held_out"]) if o["held_out"] else (found.pairs, [])
    local, trained = opened(model, o["lora"])
    accuracy = {"accuracy_before": preference_accuracy(local, test)} if test else {}
    with bar(settings.loss) as advance:
        report = run_dpo(trained, train, settings, out, advance)
    if test:
        accuracy["accuracy_after"] = preference_accuracy(trained, test)
    return finished(local, trained, o, out, report, **_told(report), left_out=list(found.left_out), **accuracy)


def train_kto(model: str, data: Path, out: Path, o: dict[str, Any]) -> dict[str, Any]:
    """Single replies with labels to a model folder; what is printed and kept in train.json."""
    from trueline.cli.progress import bar
    from trueline.data.unpaired import read_labelled
    from trueline.train.kto import KtoSettings, run_kto

    loop = {name: o[name] for name in LOOP}
    settings = KtoSettings(o["loss"] or "kto", **{name: o[name] for name in UNPAIRED}, lr=o["lr"] or 2e-4, **loop)
    settings.objective()
    found = read_labelled(data)
    local, trained = opened(model, o["lora"])
    with bar(settings.loss) as advance:
        report = run_kto(trained, found.rows, settings, out, advance)
    return finished(local, trained, o, out, report, **_told(report), left_out=list(found.left_out))


def _told(report: Any) -> dict[str, Any]:
    """Reference and trend of a `PreferenceReport`, as numbers and as words."""
    from dataclasses import asdict

    trend = asdict(report.trend) | {"falls": report.trend.falls} if report.trend else None
    return {"reference": report.reference, "chosen_trend": trend, "note": report.words()}
