"""`trueline train grpo`, `rloo` and `ppo`: prompts and rewards to a model folder, with the evidence of what the rewards are worth."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from trueline.algos.losses.policy_variants import METHODS, VARIANTS
from trueline.cli.processes import first
from trueline.cli.train_stage import Finite, averaged, finished, need, opened, printed, put, shared
from trueline.train.policy.settings import SAMPLES, PolicySettings

_LEAST = Finite(0)
_ABOVE = Finite(0, min_open=True)
_ONE = click.IntRange(1)
_FILE = click.Path(path_type=Path)
_REWARDS = (
    click.option(
        "--reward", "rewards", multiple=True, help="Reward model folder (OUT/model of `train reward`), FOLDER or FOLDER=WEIGHT; repeatable."
    ),
    click.option("--rules", help="Rules file with weights (docs/rewards.md), FILE or FILE=WEIGHT."),
    click.option("--cost", "costs", multiple=True, help="Reward model folder that scores harm, FOLDER=LIMIT on its mean; repeatable."),
    click.option("--cost-rate", type=_ABOVE, help="Change of a multiplier's logarithm per unit of cost above its limit (default 0.1)."),
    click.option("--charter", "-c", help="Charter file or bundled:NAME: its teach probes are prompts, its grader's passes a reward of 1."),
    click.option("--prompt-budget", type=_ONE, help="With --charter: tokens of the compiled prompt (default: all of it)."),
    click.option("--missing-end-penalty", type=_LEAST, default=0.0, show_default=True, help="Taken off where a reply did not end by itself."),
    click.option("--held-out-reward", type=_FILE, help="Reward model folder that is never trained on; it shows over-optimisation and stops it."),
)  # fmt: skip
_RUN = (
    click.option("--steps", default=100, show_default=True, type=_ONE, help="Rollouts."),
    click.option("--prompts", default=8, show_default=True, type=_ONE, help="Prompts of a rollout."),
    click.option("--max-new-tokens", default=64, show_default=True, type=_ONE, help="Longest reply in tokens."),
    click.option("--temperature", default=1.0, show_default=True, type=Finite(0.01, 10), help="Of the sampling."),
    click.option("--passes", default=1, show_default=True, type=_ONE, help="Passes over a rollout."),
    click.option("--minibatches", default=1, show_default=True, type=_ONE, help="Optimiser steps of a pass."),
    click.option("--batch-tokens", default=16384, show_default=True, type=_ONE, help="Padded tokens computed at once."),
    click.option("--kl-target", type=_ABOVE, help="KL in nats a reply that the penalty is steered to (default: the penalty is fixed)."),
    click.option("--kl-budget", default=10.0, show_default=True, type=_ABOVE, help="KL in nats a reply that stops the run."),
    click.option("--measure-every", default=10, show_default=True, type=_ONE, help="Rollouts between measurements on held-out prompts."),
    click.option("--held-out", default=0.1, show_default=True, type=Finite(0, 0.9), help="Share of prompts kept out to measure on."),
    click.option("--replies-a-row", type=_ONE, help="Replies that share their prompt's row (default: the fastest, measured once)."),
)  # fmt: skip
_OPTIONS: dict[str, tuple[Any, str]] = {
    "kl_weight": (_LEAST, "Weight of the KL to the starting model"),
    "clip_low": (_LEAST, "How far a probability ratio counts below 1"),
    "clip_high": (_LEAST, "How far a probability ratio counts above 1"),
    "drop_equal": (click.IntRange(0, 1), "1: groups of equal reward are left out of the step"),
    "value_clip": (_LEAST, "How far the value may move in one update"),
    "gamma": (Finite(0, 1), "Discount of later rewards"),
    "lam": (Finite(0, 1), "Lambda of generalised advantage estimation"),
}


def _options_of(method: str) -> tuple[str, ...]:
    return tuple(name for name in _OPTIONS if any(name in VARIANTS[v].defaults for v in METHODS[method]))


def _method_command(method: str, told: str) -> click.Command:
    own: list[Callable[..., Any]] = []
    if len(METHODS[method]) > 1:
        own.append(click.option("--variant", help=f"{', '.join(METHODS[method])} (default {METHODS[method][0]})."))
    own.append(click.option("--samples", type=_ONE, default=SAMPLES[method], show_default=True, help="Replies to each prompt."))
    for name in _options_of(method):
        kind, words = _OPTIONS[name]
        values = ", ".join(f"{v} {VARIANTS[v].defaults[name]:g}" for v in METHODS[method] if name in VARIANTS[v].defaults)
        own.append(click.option(f"--{name.replace('_', '-')}", type=kind, help=f"{words} (default: {values})."))
    if method == "ppo":
        own.append(click.option("--value-model", type=_FILE, help="Causal reward model folder that the value model starts as."))
        own.append(click.option("--value-lr", type=_ABOVE, help="Learning rate of the value model (default: that of the model)."))

    @click.command(name=method, help=told)
    @shared("model", "data", "out")
    @put(*_REWARDS)
    @put(*own)
    @put(*_RUN)
    @shared("lr", "lora", "precision", "seed", "part_way", lr="1e-5")
    @printed
    def command(model: str | None, data: Path | None, out: Path, **o: Any) -> dict[str, Any]:
        need(method, model=model)
        assert model is not None
        return train_policy(method, model, data, out, o)

    return command


grpo_command = _method_command("grpo", "Group-relative policy optimisation: replies to one prompt are each other's baseline.")
rloo_command = _method_command("rloo", "REINFORCE with a leave-one-out baseline: the other replies to a prompt.")
ppo_command = _method_command("ppo", "Proximal policy optimisation with a value model.")


def named_number(text: str, option: str, usual: float | None) -> tuple[str, float]:
    """(name, number) of NAME=NUMBER; `usual` where no number is given. Raises `RunFileError`."""
    from trueline.errors import RunFileError

    name, sign, number = text.rpartition("=")
    if not sign and usual is not None:
        return text, usual
    try:
        return name, float(number)
    except ValueError:
        what = f"{option} {text!r} does not end with =NUMBER"
        raise RunFileError(what, remedy=f"write {option} FOLDER=NUMBER") from None


def _settings(method: str, o: dict[str, Any]) -> PolicySettings:
    same = ("steps", "prompts", "samples", "max_new_tokens", "temperature", "minibatches", "batch_tokens", "kl_target", "kl_budget")
    more = {name: o[name] for name in (*same, "measure_every", "replies_a_row", "seed", "precision")}
    options = {name: o[name] for name in _options_of(method)}
    return PolicySettings(method, o.get("variant"), options, **more, epochs=o["passes"], lr=o["lr"] or 1e-5, value_lr=o.get("value_lr"))


def _rewards(o: dict[str, Any], project: Any) -> tuple[Any, list[str]]:
    """(the composed reward, digests of all that is in it)."""
    from trueline.charter.digests import digest_of
    from trueline.cli.charter_reward import CharterReward
    from trueline.errors import RunFileError
    from trueline.train.reward import load_reward, reward_digest
    from trueline.train.rewarding import Composed, Constraint, RewardModelTerm, Term
    from trueline.train.rules import RuleReward, read_rules

    terms, constraints, digests = [], [], []
    for text in o["rewards"]:
        folder, weight = named_number(text, "--reward", 1.0)
        terms.append(Term(folder, RewardModelTerm(load_reward(Path(folder))), weight))
        digests.append(reward_digest(Path(folder)))
        if digests[-1] in digests[:-1]:
            raise RunFileError(f"--reward {folder} is the same reward model as another one", remedy="name it once, with its weight")
    if o["rules"]:
        path, weight = named_number(o["rules"], "--rules", 1.0)
        terms.append(Term(path, RuleReward(read_rules(Path(path))), weight))
        digests.append(digest_of(Path(path).read_text(encoding="utf-8")))
    if project is not None:
        by_charter = CharterReward(project)
        terms.append(Term(f"charter {o['charter']}", by_charter))
        digests += [project.loaded.digest, by_charter.identity()]
    if o["cost_rate"] is not None and not o["costs"]:
        raise RunFileError("--cost-rate has no effect without --cost", remedy="remove it")
    for text in o["costs"]:
        folder, limit = named_number(text, "--cost", None)
        constraints.append(Constraint(folder, RewardModelTerm(load_reward(Path(folder))), limit, o["cost_rate"] or 0.1))
        digests.append(reward_digest(Path(folder)))
    if not terms:
        raise RunFileError("no reward: there is nothing to maximise", remedy="give --reward, --rules or --charter")
    return Composed(terms, constraints, o["missing_end_penalty"]), digests


def _prompts(o: dict[str, Any], data: Path | None, local: Any, project: Any) -> tuple[list[Any], list[Any], Sequence[str]]:
    """(to train on, held out, rows left out)."""
    from trueline.cli.charter_reward import charter_prompts
    from trueline.cli.train_checks import held_out_all
    from trueline.data.prompts import read_prompts, split_prompts
    from trueline.errors import RunFileError
    from trueline.train.audit import screened

    if (data is None) == (project is None):
        what = "--data and --charter both give prompts" if data else "no prompts: neither --data nor --charter is given"
        raise RunFileError(what, remedy="give one of them")
    if o["prompt_budget"] is not None and project is None:
        raise RunFileError("--prompt-budget has no effect without --charter", remedy="remove it")
    read = None if data is None else read_prompts(data)
    given = charter_prompts(project, local, o["prompt_budget"]) if read is None else read.prompts
    found = screened(local, given, lambda p: [(p.messages, "")])
    train, test = split_prompts(found.rows, o["held_out"], o["seed"])
    held_out_all(data, train, len(found.rows), o["held_out"])
    asked = click.get_current_context().get_parameter_source("measure_every") == click.core.ParameterSource.COMMANDLINE
    for name, used in (("held-out-reward", o["held_out_reward"] is not None), ("measure-every", asked)):
        if used and not test:
            what = f"--{name} has no effect: none of {len(found.rows)} prompts is held out at --held-out {o['held_out']}"
            raise RunFileError(what, remedy="raise --held-out or give more prompts, or remove it")
    return [p.messages for p in train], [p.messages for p in test], (*(read.left_out if read is not None else ()), *found.left_out)


def _learnt(out: Path) -> dict[str, str]:
    """A note where no rollout had replies of different reward to one prompt: then nothing was there to be learnt from."""
    lines = (out / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    alike = [json.loads(line).get("equal_groups") for line in lines]
    if not alike or any(x != 1.0 for x in alike):
        return {}
    return {"note": f"in all {len(alike)} rollouts all replies to a prompt had the same reward: nothing was learnt from it"}


def train_policy(method: str, model: str, data: Path | None, out: Path, o: dict[str, Any]) -> dict[str, Any]:
    """Trains, measures, saves; what is printed and kept in train.json."""
    from trueline.cli.progress import bar
    from trueline.cli.project import open_project
    from trueline.cli.train_checks import Earlier, base_of, check_ends, check_places
    from trueline.errors import RunFileError
    from trueline.train.policy.run import run_policy
    from trueline.train.reward import load_reward, reward_digest
    from trueline.train.reward_causal import CausalMembers
    from trueline.train.rewarding import RewardModelTerm

    settings = _settings(method, o)
    named = [named_number(text, "--reward", 1.0)[0] for text in (*o["rewards"], *o["costs"])]
    check_places(out, model, base_of(model), *named, o["held_out_reward"], o.get("value_model"))
    project = open_project(o["charter"]) if o["charter"] else None
    reward, identity = _rewards(o, project)
    gold = None
    if o["held_out_reward"]:
        gold = RewardModelTerm(load_reward(o["held_out_reward"]))
        if reward_digest(o["held_out_reward"]) in identity[: len(o["rewards"])]:
            what = f"--held-out-reward {o['held_out_reward']} is the reward that is trained on: it cannot show over-optimisation"
            raise RunFileError(what, remedy="give a reward model of other data or another seed, or remove it")
        identity.append(reward_digest(o["held_out_reward"]))
    critic = None
    if o.get("value_model"):
        members = load_reward(o["value_model"]).members
        if not isinstance(members, CausalMembers):
            raise RunFileError(f"{o['value_model']} is no causal reward model", remedy="give one of `train reward --backbone causal`")
        if len(members.models) > 1:
            what = f"{o['value_model']} has {len(members.models)} members, a value model is one"
            raise RunFileError(what, remedy="give a reward model of one member")
        critic = members.models[0]
        identity.append(reward_digest(o["value_model"]))
    local, trained = opened(model, o["lora"])
    check_ends(local)
    train, test, left = _prompts(o, data, local, project)
    earlier = Earlier.of(out)
    more: dict[str, Any] = {"held_out": test, "held_out_reward": gold, "critic": critic, "identity": identity}
    with bar(method) as advance:
        report = run_policy(trained, train, reward, settings, out, **more, progress=earlier.watching(advance))
    told = {"stopped": report.stopped, "weights_of_step": report.kept, "reference": report.reference, "sharing": report.sharing}
    told |= {"template": local.template, **_learnt(out), **averaged(local, trained, o["part_way"])}
    found = finished(local, trained, o, out, report, earlier, **told, evidence=report.evidence, left_out=list(left))
    if first():
        (out / "best.safetensors").unlink(missing_ok=True)
    return found
