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

from trueline.charter.turns import behind
from trueline.cli.align_preferences import own_preferences
from trueline.cli.charter_reward import CharterReward, teach_probes
from trueline.cli.progress import bar
from trueline.data.jsonl import write_jsonl
from trueline.data.prompts import Prompt, prompt_from, split_prompts
from trueline.errors import RunFileError
from trueline.train.runfile import PolicyStage

if TYPE_CHECKING:
    from trueline.cli.align_phases import Run


@dataclass(frozen=True, slots=True)
class Rewarded:
    """The reward of a stage: composed, named by digests; critic: a causal reward model that ppo's value model starts as; gold: what is
    measured beside it."""

    reward: Any
    identity: list[str]
    critic: Any
    gold: Any
    told: dict[str, Any]


def policy_data(run: Run, folder: Path) -> Path:
    """Writes the prompts."""
    prompts = [Prompt(behind(run.prompt, p.messages), p.clause) for p in teach_probes(run.project)]
    write_jsonl(folder / "data.jsonl", ({"prompt": [m.to_dict() for m in p.messages], "source": p.source} for p in prompts))
    return folder / "data.jsonl"


def reward_files(run: Run, stage: Any) -> dict[str, str]:
    """Digests of what the reward of a stage is read from, for the phase's inputs. Raises `TargetError` where a folder is no reward model."""
    if not isinstance(stage, PolicyStage) or stage.reward in ("charter", "preferences"):
        return {}
    from trueline.train.reward import load_reward, reward_digest

    path = run.named(stage.reward)
    assert path is not None
    load_reward(path)
    return {"reward": reward_digest(path)}


def _learnt_reward(run: Run, stage: PolicyStage, local: Any, folder: Path) -> tuple[Any, dict[str, Any]]:
    """(the reward model, what it is worth on preferences that it did not learn from)."""
    import numpy as np

    from trueline.engine.loading import load_local
    from trueline.train.judged import of_pairs
    from trueline.train.reward import RewardSettings, load_reward, save_reward, score
    from trueline.train.reward_causal import train_causal
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
    test = of_pairs(own.held_out)
    scores = np.array(score(model, [(r.prompt, reply) for r in test for reply in r.replies]))
    return model, {"reward_model": held_out_report(test, scores) if test else "not measured: data.held_out is 0"}


def _rewarded(run: Run, stage: PolicyStage, local: Any, folder: Path) -> Rewarded:
    from trueline.train.reward import load_reward, reward_digest
    from trueline.train.reward_causal import CausalMembers
    from trueline.train.rewarding import Composed, RewardModelTerm, Term

    grader = CharterReward(run.project)
    if stage.reward == "charter":
        return Rewarded(Composed([Term("charter", grader)]), [run.project.loaded.digest], None, None, {})
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
    identity = [reward_digest(path), run.project.loaded.digest]
    return Rewarded(Composed([Term("reward model", RewardModelTerm(model))]), identity, critic, grader, told)


def learn_policy(run: Run, stage: PolicyStage, local: Any, trained: Any, rows: list[dict[str, Any]], folder: Path) -> tuple[Any, str]:
    """Trains `trained` in place; (the stage's report, what a person should know of it). `local` is the model without adapters."""
    from trueline.train.policy.evidence import check_decidable
    from trueline.train.policy.run import looks_of, run_policy

    given = _rewarded(run, stage, local, folder)
    train, test = split_prompts([prompt_from(r) for r in rows], stage.held_out, run.file.seed)
    settings, held, gold, unseen = stage.settings(run.file.seed, run.file.evaluate.max_tokens), [p.messages for p in test], given.gold, ""
    try:
        if gold is not None:
            check_decidable(len(test), looks_of(settings))
    except RunFileError as e:  # a small charter is trained all the same; that nobody watches the proxy is said
        gold, unseen = None, f"; over-optimisation not measured: {e.what}"
    with bar(stage.method) as advance:
        report = run_policy(
            trained, [p.messages for p in train], given.reward, settings, folder, held_out=held, held_out_reward=gold, critic=given.critic,
            identity=given.identity, progress=advance,
        )  # fmt: skip
    (folder / "best.safetensors").unlink(missing_ok=True)
    return report, _note(report, given.told) + unseen


def _note(report: Any, told: Mapping[str, Any]) -> str:
    """One line of the stage's evidence."""
    parts = [f"reward {report.metrics.get('reward', float('nan')):.3f} at KL {report.metrics.get('kl', float('nan')):.2f} nats a reply"]
    if report.stopped:
        parts.append(f"stopped: {report.stopped}")
    if report.kept != report.steps:
        parts.append(f"the weights are those of rollout {report.kept}")
    worth = told.get("reward_model")
    if isinstance(worth, Mapping):
        found = worth["held_out_accuracy"]
        parts.append(
            f"reward model right on {100 * found['estimate']:.1f} % of held-out pairs" if isinstance(found, Mapping) else str(found)
        )
    elif worth:
        parts.append(f"reward model {worth}")
    return "; ".join(parts)
