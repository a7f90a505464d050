"""`trueline train constitution`: its options, what of them would have no effect, and the phases in order.

In order: read charter, prompts and models; print what it will cost; supervised phase (revisions.jsonl, dropped.json, sl/model); preference
phase (labels.jsonl, preferences.jsonl, bias.json, reward/model); the policy trained on it (policy/model). Each is skipped where it is done.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from trueline.cli.train_stage import need, printed, put, shared

PHASES = ("supervised", "preferences", "all")
# option -> (its value where it is not given, the phase that it belongs to: "" for both)
DEFAULTS: Mapping[str, tuple[Any, str]] = {
    "charter": (None, ""), "probes": (None, ""), "prompts": (None, ""), "limit": (None, ""), "critic": (None, ""), "phase": ("all", ""),
    "own": (1.0, ""), "temperature": (1.0, ""), "critic_temperature": (1.0, ""), "reply_tokens": (64, ""), "prompt_budget": (None, ""),
    "concurrency": (64, ""), "estimate": (False, ""),
    "epochs": (1, "supervised"), "lr": (1e-3, "supervised"), "rounds": (2, "supervised"), "shots": (2, "supervised"), "grader": (True, "supervised"), "boilerplate": (0.2, "supervised"),
    "helpful": (None, "supervised"), "mix": (0.5, "supervised"),
    "pairs": (1, "preferences"), "pairs_from": ("both", "preferences"), "votes": (4, "preferences"), "decided": (0.1, "preferences"), "chain_of_thought": (False, "preferences"),
    "helpful_preferences": (None, "preferences"), "policy": ("dpo", "preferences"),
}  # fmt: skip
_FILE = click.Path(path_type=Path)
_SHARE = click.FloatRange(0, 1)
_OPTIONS = (
    click.option("--charter", "-c", help="charter file or bundled:NAME; its principles and high-stakes clauses are the constitution."),
    click.option("--probes", type=_FILE, help="file of probes (default: probes.jsonl beside the charter)."),
    click.option("--prompts", type=_FILE, help="red-team prompts instead of the charter's (JSON lines with prompt or messages)."),
    click.option("--limit", type=click.IntRange(1), help="at most so many prompts, chosen by the seed."),
    click.option("--critic", help="TARGET that criticises and chooses (default: the model itself, as it starts)."),
    click.option("--phase", help="supervised, preferences or all (default)."),
    click.option("--rounds", type=click.IntRange(1, 16), help="rounds of critique and revision (default 2)."),
    click.option("--own", type=_SHARE, help="probability of asking by the prompt's own principle, not a drawn one (default 1)."),
    click.option("--shots", type=click.IntRange(0, 16), help="worked cases of the charter before each request (default 2)."),
    click.option(
        "--grader/--no-grader", default=None, help="whether revisions and own helpful replies that the charter's grader fails are dropped."
    ),
    click.option("--boilerplate", type=_SHARE, help="largest share of revisions that may hold one phrase of 8 words (default 0.2)."),
    click.option("--helpful", help="what is mixed with the revisions: a file of dialogues, bundled:CHARTER/FILE, or self (own replies)."),
    click.option("--mix", type=click.FloatRange(0, 1, max_open=True), help="share of helpful rows among all (default 0.5)."),
    click.option("--temperature", type=click.FloatRange(0, 2, min_open=True), help="of the sampled replies (default 1)."),
    click.option("--critic-temperature", type=click.FloatRange(0, 2), help="of critiques, revisions and votes (default 1)."),
    click.option("--reply-tokens", type=click.IntRange(1), help="longest reply, critique and revision in tokens (default 64)."),
    click.option("--prompt-budget", type=click.IntRange(1), help="compiled prompt of so many tokens before every reply."),
    click.option("--pairs", type=click.IntRange(1, 64), help="pairs of replies to compare for each prompt (default 1)."),
    click.option("--pairs-from", help="who writes a pair: supervised (twice), start (twice), or both (one reply each; default)."),
    click.option("--votes", type=click.IntRange(1, 64), help="answers asked of a critic without log-probabilities (default 4)."),
    click.option("--decided", type=_SHARE, help="leave out pairs whose label p has |2p - 1| below this (default 0.1)."),
    click.option("--chain-of-thought", is_flag=True, default=None, help="think before choosing; clamps labels to 40-60 %."),
    click.option("--helpful-preferences", type=_FILE, help="people's preferences about helpfulness, mixed into the rewards."),
    click.option(
        "--policy",
        help="what is trained on the AI preferences besides the reward model: dpo (default), grpo (against that reward model) or none.",
    ),
    click.option("--concurrency", type=click.IntRange(1), help="conversations under way at once (default 64)."),
    click.option("--estimate", is_flag=True, default=None, help="say what it would ask, and stop."),
)


@click.command(
    name="constitution",
    help="Constitutional AI: a model criticises and revises its own replies by the charter's principles, then chooses between them.",
)
@shared("model", "out")
@put(*_OPTIONS)
@click.option("--epochs", type=click.IntRange(1), help="Passes of the supervised fine-tuning (default 1).")
@click.option("--lr", type=click.FloatRange(0, min_open=True), help="Peak learning rate of the supervised fine-tuning (default 1e-3).")
@shared("batch_tokens", "max_tokens", "precision", "seed")
@printed
def constitution_command(model: str | None, out: Path, **o: Any) -> dict[str, Any]:
    """All phases that were asked for."""
    need("constitution", model=model)
    assert model is not None
    return train_constitution(model, out, o)


def _refused(o: Mapping[str, Any]) -> None:
    """Raises `RunFileError` for what is missing, unknown or without effect."""
    from trueline.cli.constitution_policies import POLICIES
    from trueline.cli.constitution_preferences import PAIRS_FROM
    from trueline.errors import RunFileError

    if o["charter"] is None:
        raise RunFileError("--charter is missing, its principles are the constitution", remedy="give --charter")
    phase = o["phase"] or "all"
    known = (
        ("phase", phase, PHASES),
        ("policy", o["policy"] or "dpo", (*POLICIES, "none")),
        ("pairs-from", o["pairs_from"] or "both", tuple(PAIRS_FROM)),
    )
    for name, value, names in known:
        if value not in names:
            raise RunFileError(f"unknown --{name} {value!r}, expected one of {', '.join(names)}", remedy="choose one of these")
    for name, (_, belongs) in DEFAULTS.items():
        if o[name] is not None and belongs and phase not in ("all", belongs):
            raise RunFileError(f"--{name.replace('_', '-')} has no effect on --phase {phase}", remedy="remove it")
    if o["mix"] is not None and o["helpful"] is None:
        raise RunFileError("--mix has no effect without --helpful", remedy="give --helpful self or a file of dialogues")
    if o["probes"] is not None and o["prompts"] is not None and o["helpful"] != "self":
        raise RunFileError("--probes has no effect with --prompts, but for --helpful self", remedy="give one of them")
    served = (o["critic"] or "").startswith(("openai:", "anthropic:")) or (o["critic"] or "").endswith((".yaml", ".yml"))
    if o["votes"] is not None and not served:
        raise RunFileError("--votes has no effect on a local critic, whose log-probabilities are read", remedy="remove it")
    if o["own"] is not None and o["prompts"] is not None:
        raise RunFileError("--own has no effect with --prompts, which belong to no principle", remedy="remove it")


def train_constitution(model: str, out: Path, o: dict[str, Any]) -> dict[str, Any]:
    """All phases that were asked for; what is printed and kept in train.json."""
    from trueline.cli.constitution_preferences import preference_phase
    from trueline.cli.constitution_run import close_all, estimated, open_run
    from trueline.cli.constitution_supervised import supervised_phase
    from trueline.cli.train_checks import base_of, check_model, check_places
    from trueline.data.jsonl import write_json

    _refused(o)
    check_places(out, model, base_of(model))
    check_model(model, None)
    given = {name: o[name] if o[name] is not None else default for name, (default, _) in DEFAULTS.items()}
    run = open_run(model, out, {**o, **given})
    try:
        cost = estimated(run)
        run.say(f"{len(run.prompts)} red-team prompts; {cost.words()}; {run.journal.found} answers of an earlier run are there")
        told: dict[str, Any] = {"prompts": len(run.prompts), "estimate": cost.words()}
        if given["estimate"]:
            return told
        if given["phase"] != "preferences":
            told["supervised"] = supervised_phase(run)
        if given["phase"] != "supervised":
            told["preferences"] = preference_phase(run)
        told["asked"] = run.journal.written
        write_json(out / "train.json", {**told, "from": run.local.digest, "options": {k: str(v) for k, v in o.items() if v is not None}})
        return told
    finally:
        close_all(run)
