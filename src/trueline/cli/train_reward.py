"""`trueline train reward`: pairs, rankings or ratings to a reward model folder, with what it is worth on prompts that were held out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from trueline.cli.processes import alone, first
from trueline.cli.train_preflight import preflight, preflight_options
from trueline.cli.train_stage import Finite, need, opened, plain, printed, shared

BACKBONES = ("causal", "encoder", "text")
ONLY_CAUSAL = ("epochs", "lr", "batch_tokens", "max_tokens", "precision", "shard")


@click.command(name="reward", help="A reward model on pairs, rankings or ratings, measured on prompts that were held out.")
@shared("model", "data", "out", "epochs", "lr", "batch_tokens", "max_tokens", lr="2e-4")
@click.option("--loss", default=None, help="bradley-terry (pairs, default), plackett-luce (rankings) or ordinal (ratings).")
@click.option(
    "--backbone",
    default=None,
    help="causal (the model under a new head; default), encoder (a frozen sentence encoder, --model or the package minilm, with n-grams) "
    "or text (n-grams alone).",
)
@click.option("--members", type=click.IntRange(1, 64), help="Size of the ensemble (default 1).")
@click.option("--combine", default=None, help="Several members: mean (default), min or mean-std.")
@click.option("--penalty", type=Finite(0, min_open=True), help="mean-std: times the members' deviation is taken off.")
@click.option("--debias-length", is_flag=True, default=None, help="Take off what the reward owes to length within prompts.")
@click.option("--held-out", type=Finite(0, 0.9), default=0.2, show_default=True, help="Share of prompts kept out to measure on.")
@shared("precision", "seed", "shard")
@preflight_options(noise=True)
@printed
def reward_command(model: str | None, data: Path | None, out: Path, **o: Any) -> dict[str, Any]:
    """Trains, calibrates, measures, saves."""
    need("reward", data=data)
    assert data is not None
    return train_reward(model, data, out, o)


def _checked(model: str | None, o: dict[str, Any]) -> tuple[str, str, int, str]:
    """(backbone, loss, members, combine), every option that would have no effect refused."""
    from trueline.algos.losses.ensemble import COMBINE, combine
    from trueline.algos.losses.reward import LOSSES
    from trueline.errors import RunFileError, TrainingError

    backbone, loss, members, how = o["backbone"] or "causal", o["loss"] or "bradley-terry", o["members"] or 1, o["combine"] or "mean"
    for name, value, known in (("backbone", backbone, BACKBONES), ("loss", loss, LOSSES), ("combine", how, COMBINE)):
        if value not in known:
            raise RunFileError(f"unknown --{name} {value!r}, expected one of {', '.join(known)}", remedy="choose one of these")
    if members == 1 and (o["combine"] or o["penalty"] is not None):
        word = "combine" if o["combine"] else "penalty"
        raise RunFileError(f"--{word} has no effect on one member", remedy="remove it or give --members")
    try:
        combine(how, o["penalty"])
    except TrainingError as e:
        raise RunFileError(e.what, remedy=e.remedy) from None
    if backbone == "causal" and model is None:
        raise RunFileError("--model is missing, the backbone causal needs one", remedy="give --model, or --backbone encoder or text")
    if backbone == "text" and model is not None:
        raise RunFileError("--model has no effect on the backbone text", remedy="remove it")
    context = click.get_current_context()
    for name in ONLY_CAUSAL if backbone != "causal" else ():
        if context.get_parameter_source(name) == click.core.ParameterSource.COMMANDLINE:
            raise RunFileError(f"--{name.replace('_', '-')} has no effect on the backbone {backbone}", remedy="remove it")
    return backbone, loss, members, how


def _rows(loss: str, data: Path) -> tuple[list[Any], tuple[str, ...], str]:
    """(the rows, those left out, of ratings how many rows have which: a 99 that was meant as 9 is a level of its own)."""
    from trueline.data.conversations import read_preferences
    from trueline.data.rankings import read_rankings, read_ratings
    from trueline.train.judged import of_pairs, of_rankings, of_ratings

    if loss == "plackett-luce":
        rankings = read_rankings(data)
        return of_rankings(rankings.rows), rankings.left_out, ""
    if loss == "ordinal":
        ratings = read_ratings(data)
        counts = Counter(r.rating for r in ratings.rows)
        return of_ratings(ratings.rows), ratings.left_out, ", ".join(f"{rating}: {n}" for rating, n in sorted(counts.items()))
    found = read_preferences(data)
    return of_pairs(found.pairs), found.left_out, ""


def train_reward(model: str | None, data: Path, out: Path, o: dict[str, Any]) -> dict[str, Any]:
    """Trains, calibrates inside the training rows, saves, measures on held-out prompts; what is printed and kept in train.json."""
    from trueline.cli.train_checks import Earlier, base_of, check_places, held_out_all
    from trueline.data.jsonl import write_json
    from trueline.train.judged import split_judged
    from trueline.train.reward import save_reward

    backbone, loss, members, how = _checked(model, o)
    if backbone != "causal":
        alone(f"train reward --backbone {backbone}")
    check_places(out, model, base_of(model) if backbone == "causal" else None)
    rows, left_out, ratings = _rows(loss, data)
    seen: dict[str, Any] = {"left_out": list(left_out)}
    local, share = None, o["held_out"]
    if backbone == "causal":
        local, rows, seen = _opened(model, rows, left_out, o)
    seen |= {"ratings": ratings} if ratings else {}
    train, test = split_judged(rows, share, "held out") if share else (rows, [])
    held_out_all(data, train, len(rows), share)
    shape = {"loss": loss, "members": members, "combine": how, "penalty": o["penalty"], "debias_length": bool(o["debias_length"])}
    seen |= preflight(local, "reward", train, _settings(shape, o) if local else None, o, seen.get("audit", f"{len(rows)} rows"))
    make, earlier = _causal if backbone == "causal" else _text, Earlier.of(out)
    trained, told, test, too_long = make(local or model, train, test, {**shape, "seed": o["seed"]}, out, o, earlier)
    measured = _measured(trained, test, too_long)
    if not first():
        return {}
    digest = save_reward(trained, out / "model")
    for path in (out, *out.glob("member-*")):
        (path / "checkpoint.pt").unlink(missing_ok=True)
    options = plain({**o, "model": model})
    found = {"model": str(out / "model"), "digest": digest, "backbone": backbone, **told, **seen, **measured, **earlier.told(options)}
    write_json(out / "train.json", {**found, "options": options})
    return found


def _opened(model: str | None, rows: list[Any], left_out: Sequence[str], o: dict[str, Any]) -> tuple[Any, list[Any], dict[str, Any]]:
    """(the model, the rows that can be learnt from, what is told of them)."""
    from trueline.cli.train_checks import looked_at
    from trueline.train.audit import of_judged

    assert model is not None
    local, _ = opened(model, None)
    kept, seen = looked_at(local, "reward", rows, of_judged, o, left_out)
    return local, kept, seen


def _settings(shape: dict[str, Any], o: dict[str, Any]) -> Any:
    from trueline.train.reward_causal import RewardSettings

    given = {"seed": o["seed"], **shape}
    return RewardSettings(o["epochs"], o["lr"] or 2e-4, o["batch_tokens"], o["max_tokens"], precision=o["precision"], **given)


def _measured(trained: Any, test: list[Any], too_long: int) -> dict[str, Any]:
    import numpy as np

    from trueline.train.judged import conversations_of
    from trueline.train.reward import score
    from trueline.train.reward_model import held_out_report

    return held_out_report(test, np.array(score(trained, conversations_of(test))), too_long)


def _causal(
    local: Any, train: list[Any], test: list[Any], shape: dict[str, Any], out: Path, o: dict[str, Any], earlier: Any
) -> tuple[Any, dict[str, Any], list[Any], int]:
    from trueline.cli.progress import bar
    from trueline.train.reward_causal import encode_groups, train_causal

    settings = _settings(shape, o)
    with bar("reward") as advance:
        advance = earlier.watching(advance)
        trained, report, told = train_causal(local, train, settings, out, lambda _: advance, shard=o["shard"])
    fitting = encode_groups(local, test, min(o["max_tokens"], local.context))
    counted = {"from": local.digest, "rows": report.rows, "too_long": report.too_long, "steps": report.steps, **report.metrics}
    return trained, {**counted, **told}, fitting.rows, fitting.too_long


def _text(
    model: str | None, train: list[Any], test: list[Any], shape: dict[str, Any], out: Path, o: dict[str, Any], earlier: Any
) -> tuple[Any, dict[str, Any], list[Any], int]:
    from trueline.train.reward import encoding
    from trueline.train.reward_text import TextSettings, train_text

    encode, source = (None, ("", "")) if o["backbone"] == "text" else encoding(model or "minilm")
    trained, told = train_text(train, TextSettings(**shape), encode, None, source)
    out.mkdir(parents=True, exist_ok=True)
    return trained, {"rows": len(train), **told}, test, 0
