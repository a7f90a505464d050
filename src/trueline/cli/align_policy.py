"""The stage of an alignment run that learns by rewards: its prompts are the teach probes behind the run's prompt.

In order: the prompts (written to data.jsonl, so that contamination is seen), the reward (the charter's own grader, or a reward model of
the run's preferences or of a folder), the policy. Where the reward is learnt from people, the charter's grader measures it on held-out
prompts: a proxy that parts from the charter stops the run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trueline.charter.digests import digest_of
from trueline.charter.turns import behind
from trueline.cli.align_preferences import own_preferences
from trueline.cli.charter_reward import CharterReward, teach_probes
from trueline.cli.progress import bar
from trueline.data.jsonl import write_jsonl
from trueline.data.prompts import prompt_from
from trueline.errors import RunFileError
from trueline.train.runfile import PolicyStage

if TYPE_CHECKING:
    from trueline.cli.align_phases import Run

PAIRS = "preferences.jsonl"


@dataclass(frozen=True, slots=True)
class Rewarded:
    """The reward of a stage: composed, named by digests; critic: a causal reward model that ppo's value model starts as; gold: what is
    measured beside it."""

    reward: Any
    identity: list[str]
    critic: Any
    gold: Any
    told: dict[str, Any]


def policy_data(run: Run, stage: PolicyStage, folder: Path) -> Path:
    """Writes the prompts, and beside them the pairs that a reward model learns from: both are looked through for probes of the suite."""
    rows = [(behind(run.prompt, p.messages), p) for p in teach_probes(run.project)]
    told = ({"prompt": [m.to_dict() for m in messages], "source": p.clause, "family": p.family} for messages, p in rows)
    write_jsonl(folder / "data.jsonl", told)
    if stage.reward == "preferences":
        write_jsonl(folder / PAIRS, (p.to_dict() for p in own_preferences(run).train))
    return folder / "data.jsonl"


def _split(rows: list[dict[str, Any]], share: float, seed: int) -> tuple[list[Any], list[Any]]:
    """(to train on, held out): by the family of the probe, whose wordings are too alike to stand on both sides."""
    train: list[Any] = []
    test: list[Any] = []
    for row in rows:
        at = int(digest_of(["held out of reinforcement", seed, row["family"]])[:8], 16) / 2**32
        (test if at < share else train).append(prompt_from(row).messages)
    if not train:
        raise RunFileError(
            f"all {len(rows)} prompts are held out at held_out {share}", remedy="hold out less, or grow probes of more families"
        )
    return train, test


def reward_files(run: Run, stage: Any) -> dict[str, str]:
    """Digests of what the reward of a stage is read from, for the phase's inputs. Raises `TargetError` where a folder is no reward model."""
    if not isinstance(stage, PolicyStage) or stage.reward in ("charter", "preferences"):
        return {}
    from trueline.train.reward import load_reward, reward_digest
    from trueline.train.reward_causal import CausalMembers

    path = run.named(stage.reward)
    assert path is not None
    members = load_reward(path).members
    if stage.method == "ppo" and stage.lora and not (isinstance(members, CausalMembers) and len(members.models) == 1):
        what = f"ppo with lora starts its value model from a causal reward model of one member, got {path}"
        raise RunFileError(what, remedy="leave lora out, or name such a model", file=run.path)
    return {"reward": reward_digest(path)}


def _learnt_reward(run: Run, stage: PolicyStage, local: Any, folder: Path) -> tuple[Any, dict[str, Any]]:
    """(the reward model, what it is worth on preferences that it did not learn from)."""
    import numpy as np

    from trueline.engine.loading import load_local
    from trueline.train.judged import of_pairs
    from trueline.train.reward import RewardSettings, load_reward, save_reward, score
    from trueline.train.reward_causal import encode_groups, train_causal
    from trueline.train.reward_model import held_out_report

    own, saved, mark = own_preferences(run), folder / "reward" / "model", folder / "reward" / "key"
    key = (folder / "data.key").read_text(encoding="utf-8")  # of the stage's inputs: a model of other ones is made again
    if not saved.exists() or not mark.exists() or mark.read_text(encoding="utf-8") != key:
        usual = RewardSettings()
        settings = RewardSettings(
            epochs=stage.reward_epochs or usual.epochs, lr=stage.reward_lr or usual.lr, seed=run.file.seed, precision=stage.precision
        )
        plain = load_local(local.path)  # `local` may carry the adapters that the policy is about to learn
        with bar("reward") as advance:
            model = train_causal(plain, of_pairs(own.train), settings, folder / "reward", lambda _: advance)[0]
        save_reward(model, saved)
        mark.write_text(key, encoding="utf-8")
    model = load_reward(saved)
    test = encode_groups(local, of_pairs(own.held_out), RewardSettings().max_tokens).rows
    scores = np.array(score(model, [(r.prompt, reply) for r in test for reply in r.replies]))
    return model, {"reward_model": held_out_report(test, scores) if test else "not measured: no pair was held out that fits"}


def _rewarded(run: Run, stage: PolicyStage, local: Any, folder: Path) -> Rewarded:
    from trueline.train.reward import load_reward, reward_digest
    from trueline.train.reward_causal import CausalMembers
    from trueline.train.rewarding import Composed, RewardModelTerm, Term

    grader = CharterReward(run.project)
    if stage.reward == "charter":
        return Rewarded(Composed([Term("charter", grader)]), [grader.identity()], None, None, {})
    if stage.reward == "preferences":
        model, told = _learnt_reward(run, stage, local, folder)
        path = folder / "reward" / "model"
    else:
        named = run.named(stage.reward)
        assert named is not None
        model, told, path = load_reward(named), {}, named
    members = model.members
    single = isinstance(members, CausalMembers) and len(members.models) == 1
    critic = members.models[0] if stage.method == "ppo" and single and isinstance(members, CausalMembers) else None
    identity = [reward_digest(path), grader.identity()]
    return Rewarded(Composed([Term("reward model", RewardModelTerm(model))]), identity, critic, grader, told)


def learn_policy(run: Run, stage: PolicyStage, local: Any, trained: Any, rows: list[dict[str, Any]], folder: Path) -> tuple[Any, str]:
    """Trains `trained` in place; (the stage's report, what a person should know of it). `local` is the model without adapters."""
    from trueline.train.policy.evidence import check_decidable
    from trueline.train.policy.run import looks_of, run_policy

    given = _rewarded(run, stage, local, folder)
    train, test = _split(rows, stage.held_out, run.file.seed)
    settings, gold, unseen = stage.settings(run.file.seed, run.file.evaluate.max_tokens), given.gold, ""
    try:
        if gold is not None:
            check_decidable(len(test), looks_of(settings))
    except RunFileError as e:  # a small charter is trained all the same; that nobody watches the proxy is said
        gold, unseen = None, f"; over-optimisation not measured: {e.what}"
    with bar(stage.method) as advance:
        report = run_policy(
            trained, train, given.reward, settings, folder, held_out=test, held_out_reward=gold, critic=given.critic,
            identity=given.identity, progress=advance,
        )  # fmt: skip
    return report, _note(report, given.told) + unseen


def _note(report: Any, told: Mapping[str, Any]) -> str:
    """One line of the stage's evidence."""
    parts = [
        f"in the last rollout reward {report.metrics.get('reward', float('nan')):.3f} at KL {report.metrics.get('kl', float('nan')):.2f} nats a reply"
    ]
    if report.stopped:
        parts.append(f"stopped: {report.stopped}")
    if report.kept != report.steps:
        parts.append(f"the weights are those of rollout {report.kept}")
    worth = told.get("reward_model")
    if isinstance(worth, Mapping):
        found = worth["held_out_accuracy"]
        parts.append(
            f"reward model right on {100 * found['estimate']:.1f} % of {found['n']} held-out pairs ({100 * found['low']:.1f} to {100 * found['high']:.1f})"
            if isinstance(found, Mapping)
            else str(found)
        )
    elif worth:
        parts.append(f"reward model {worth}")
    return "; ".join(parts)
