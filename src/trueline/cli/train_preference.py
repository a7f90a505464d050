"""`trueline train dpo` and `trueline train kto`: preferences, paired and not, from a file to a model folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

PAIRED = ("beta", "label_smoothing", "gamma", "margin_weight", "sft_weight")
UNPAIRED = ("beta", "desirable_weight", "undesirable_weight")
OPTIONS = tuple(dict.fromkeys(("loss", *PAIRED, *UNPAIRED)))
F = TypeVar("F", bound=Callable[..., Any])

_HELP = {
    "beta": "Strength of the pull to the reference, or scale of the implicit reward; orpo: weight of the odds term. [default: the loss's]",
    "gamma": "simpo: target margin between the implicit rewards (default 1).",
    "margin_weight": "dpo, dpo_norm, simpo: times a row's `margin` is the offset its pair must exceed (ODPO; default 0).",
    "sft_weight": "Paired losses but orpo: weight of the chosen reply's own likelihood per token (default 0; cpo 1).",
    "desirable_weight": "kto: weight of desirable rows (default 1).",
    "undesirable_weight": "kto: weight of undesirable rows (default 1).",
}


def preference_options(command: F) -> F:
    """Puts the options of the preference losses on a command. None means not given: the loss's own default."""
    for name in reversed(("gamma", "margin_weight", "sft_weight", "desirable_weight", "undesirable_weight")):
        command = click.option(f"--{name.replace('_', '-')}", type=click.FloatRange(0), help=_HELP[name])(command)
    command = click.option(
        "--label-smoothing",
        type=click.FloatRange(0, 0.5, max_open=True),
        help="dpo, robust, exo, simpo, cpo: share of flipped labels assumed (default 0; robust 0.1, exo 0.001).",
    )(command)
    command = click.option("--beta", type=click.FloatRange(0, min_open=True), help=_HELP["beta"])(command)
    losses = (
        "dpo: dpo, dpo_norm, ipo, ipo_norm, hinge, robust, exo, nca, bco, sppo, apo_zero, apo_down, discopop, simpo, cpo or orpo "
        "(default dpo); kto: kto or apo_zero_unpaired (default kto); "
        "reward: bradley-terry (pairs, default), plackett-luce (rankings) or ordinal (ratings)."
    )
    return click.option("--loss", default=None, help=losses)(command)


def train_dpo(model: str, data: Path, out: Path, o: dict[str, Any]) -> dict[str, Any]:
    """Pairs to a model folder; what is printed and kept in train.json."""
    from trueline.cli.progress import bar
    from trueline.cli.train import _finish, _wrapped
    from trueline.data.conversations import read_preferences, split_by_prompt
    from trueline.train.dpo import DpoSettings, run_dpo
    from trueline.train.preference_accuracy import preference_accuracy

    loop = {name: o[name] for name in ("epochs", "batch_tokens", "max_tokens", "seed", "precision")}
    settings = DpoSettings(o["loss"] or "dpo", **{name: o[name] for name in PAIRED}, lr=o["lr"] or 2e-4, **loop)
    settings.objective()
    found = read_preferences(data)
    train, test = split_by_prompt(found.pairs, o["held_out"]) if o["held_out"] else (found.pairs, [])
    local, trained = _wrapped(model, o["lora"])
    accuracy = {"accuracy_before": preference_accuracy(local, test)} if test else {}
    with bar(settings.loss) as advance:
        report = run_dpo(trained, train, settings, out, advance)
    if test:
        accuracy["accuracy_after"] = preference_accuracy(trained, test)
    return _finish(local, trained, o, out, report, **_told(report), left_out=list(found.left_out), **accuracy)


def train_kto(model: str, data: Path, out: Path, o: dict[str, Any]) -> dict[str, Any]:
    """Single replies with labels to a model folder; what is printed and kept in train.json."""
    from trueline.cli.progress import bar
    from trueline.cli.train import _finish, _wrapped
    from trueline.data.unpaired import read_labelled
    from trueline.train.kto import KtoSettings, run_kto

    loop = {name: o[name] for name in ("epochs", "batch_tokens", "max_tokens", "seed", "precision")}
    settings = KtoSettings(o["loss"] or "kto", **{name: o[name] for name in UNPAIRED}, lr=o["lr"] or 2e-4, **loop)
    settings.objective()
    found = read_labelled(data)
    local, trained = _wrapped(model, o["lora"])
    with bar(settings.loss) as advance:
        report = run_kto(trained, found.rows, settings, out, advance)
    return _finish(local, trained, o, out, report, **_told(report), left_out=list(found.left_out))


def _told(report: Any) -> dict[str, Any]:
    """Reference and trend of a `PreferenceReport`, as numbers and as words."""
    from dataclasses import asdict

    trend = asdict(report.trend) | {"falls": report.trend.falls} if report.trend else None
    return {"reference": report.reference, "chosen_trend": trend, "note": report.words()}
