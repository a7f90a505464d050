"""PPO, GRPO and RLOO: in order, for every rollout: draw replies, reward them, their log-probabilities under the model at step 0, advantages,
optimiser steps, multipliers and penalty; every few rollouts a measurement on held-out prompts, which may stop the run; a checkpoint. Several processes draw, score and compute a run of
the prompts each; advantages are of the whole rollout.

The old log-probabilities are the sampler's own, what the replies were drawn by; in bfloat16 the trainer's. How far the two differ is measured at
every rollout (`gap_mean`, `gap_max`, nats a token). Left out on purpose: rollouts older than the weights (asynchrony), replay.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from trueline.charter.digests import digest_of
from trueline.charter.turns import Message
from trueline.core.ports import Reward
from trueline.engine.loading import LocalModel
from trueline.errors import RunFileError, TrainingError
from trueline.train.block_attention import attention_of, keep_choices
from trueline.train.checkpoint import load_checkpoint
from trueline.train.distributed import begin_alike, check_alike, from_main, main, wait
from trueline.train.gradients import released
from trueline.train.loop import LoopSettings, Progress, Stepper, forget_after, ready
from trueline.train.policy.evidence import HeldOut, Record, checked
from trueline.train.policy.likelihood import proven_groups
from trueline.train.policy.rollout import Asked, ask, specimens
from trueline.train.policy.settings import PolicySettings
from trueline.train.policy.trainer import PolicyTrainer
from trueline.train.policy.weights import FILE as BEST
from trueline.train.policy.weights import keep_best, take_best
from trueline.train.precision import computing_in, resolve
from trueline.train.rewarding import Composed
from trueline.train.scoring import scores_of
from trueline.train.sft import TrainReport


@dataclass(frozen=True, slots=True)
class PolicyReport(TrainReport):
    """As `TrainReport` (rows: prompts). stopped: why the run ended early, else empty; kept: of which step the weights are; reference: which model,
    in words; sharing: how replies stood in rows, and why; evidence: see `evidence.Record.told`."""

    stopped: str = ""
    kept: int = 0
    reference: str = ""
    sharing: str = ""
    evidence: dict[str, Any] | None = None


def looks_of(settings: PolicySettings) -> int:
    """Measurements of a whole run: before the first rollout, every `measure_every`, and after the last."""
    return 1 + -(-settings.steps // settings.measure_every)


def run_policy(
    local: LocalModel,
    prompts: Sequence[Sequence[Message]],
    reward: Composed,
    settings: PolicySettings,
    folder: Path,
    *,
    held_out: Sequence[Sequence[Message]] = (),
    held_out_reward: Reward | None = None,
    critic: LocalModel | None = None,
    identity: Sequence[str] = (),
    progress: Progress | None = None,
) -> PolicyReport:
    """Trains `local.model` in place on replies that it draws itself. `held_out`: prompts that it is measured on; `held_out_reward`: a reward that
    it is not trained on; `critic`: of ppo, a sequence classifier that the value model starts as; `identity`: digests of the rewards, so
    that a checkpoint of other ones is not gone on from.

    Raises `TrainingError` where no prompt fits, `RunFileError` for what has no effect or cannot be decided."""
    asked = ask(local, prompts, settings.max_new_tokens)
    if not len(asked):
        raise TrainingError("no prompt to draw replies to", remedy="give a file with prompts")
    if critic is not None and settings.method != "ppo":
        raise TrainingError(f"a value model has no effect on {settings.method}", remedy="remove it, or use ppo")
    measured = ask(local, held_out, settings.max_new_tokens)
    tested = checked(HeldOut(measured, held_out_reward, looks_of(settings), settings.kl_budget))
    _dry_run(local, asked, reward, tested, settings)
    shares = from_main(lambda: _shares(local, asked, settings))
    precision = resolve(settings.precision, local.device)
    told = [asked.ids, measured.ids, list(identity), reward.identity(), asdict(settings), held_out_reward is not None, precision]
    key = digest_of(["policy", local.digest, told, None if critic is None else critic.digest])
    folder.mkdir(parents=True, exist_ok=True)
    keep_choices(local.model, folder, key)
    with ExitStack() as stack:
        master = stack.enter_context(computing_in(local.model, precision))
        begin_alike(master.weights.values())
        master.push()
        trainer = PolicyTrainer(local, asked, reward, settings, folder, tested, critic, shares, key)
        rate = LoopSettings(settings.lr, settings.warmup, decay=False)
        total = settings.steps * settings.epochs * settings.minibatches
        stepper, valuer = Stepper(master, rate, folder, key, total), None
        if trainer.critic is not None:
            own = stack.enter_context(computing_in(trainer.critic.model, precision))
            valuer = Stepper(own, replace(rate, lr=settings.value_lr or settings.lr), folder, key, total)
            ready(trainer.critic.model)
        ready(local.model)
        state = load_checkpoint(folder, key)
        check_alike("run or checkpoint", [key, 0 if state is None else state["step"]])
        report = _loop(trainer, stepper, valuer, state, progress)
        local.model.eval()
        for model in (local.model, *(() if trainer.critic is None else (trainer.critic.model,))):
            released(model)
    return report


def _dry_run(local: LocalModel, asked: Asked, reward: Composed, tested: HeldOut, s: PolicySettings) -> None:
    """Asks every reward once, with the longest prompt and a reply as long as one may be: what it cannot do, it says before anything is spent."""

    def longest(prompts: Asked) -> tuple[Message, ...]:
        at = max(range(len(prompts)), key=lambda i: len(prompts.ids[i]))
        ids = (prompts.ids[at] * -(-s.max_new_tokens // len(prompts.ids[at])))[: s.max_new_tokens]
        return (*prompts.messages[at], Message("assistant", local.tokenizer.decode(ids, skip_special_tokens=True).strip()))

    reward.score([longest(asked)], [True])
    if tested.reward is not None:
        scores_of("the held-out reward", tested.reward, [longest(tested.prompts)])


def _shares(local: LocalModel, asked: Asked, s: PolicySettings) -> tuple[bool, str]:
    if s.group == 1 or s.replies_a_row == 1:
        return False, "one reply a row"
    found = proven_groups(
        local.model, specimens(asked, s.group, s.max_new_tokens, 2), local.tokenizer.pad_token_id or 0, local.device, s.temperature
    )
    if not found[0] and s.replies_a_row is not None:
        raise RunFileError(f"replies_a_row is {s.replies_a_row}, but {found[1]}", remedy="leave it out")
    return found


def _begun(trainer: PolicyTrainer, stepper: Stepper, resumed: int | None) -> Record | None:
    """The measurements of the run, the one before its first step among them; of an earlier run in the folder nothing is left."""
    if resumed is None and main():
        (trainer.folder / BEST).unlink(missing_ok=True)
    if not len(trainer.held_out.prompts):
        return None
    record = Record(trainer.folder, trainer.held_out, resumed)
    if not record.history:
        look = trainer.look(0)
        if main():
            keep_best(trainer.folder, stepper.master.weights, 0, trainer.key)
        record.add(look)
    return record


def _loop(
    trainer: PolicyTrainer, stepper: Stepper, valuer: Stepper | None, state: dict[str, Any] | None, progress: Progress | None
) -> PolicyReport:
    s, folder, done, metrics = trainer.settings, trainer.folder, 0, dict[str, float]()
    if state is not None:
        stepper.restore(state)
        try:
            done, metrics = trainer.restore(state, valuer), dict(state["metrics"])
        except (LookupError, TypeError, AttributeError) as e:
            what = f"this checkpoint is damaged: it is no state of a rollout ({type(e).__name__}: {str(e)[:40]})"
            raise TrainingError(what, remedy="remove it to start over", file=folder / "checkpoint.pt") from None
    path = folder / "metrics.jsonl"
    if main():
        forget_after(path, done)
    record = _begun(trainer, stepper, None if state is None else done)
    stopped = _stop(record, s, metrics)
    with open(path if main() else os.devnull, "a", encoding="utf-8") as log:
        while done < s.steps and stopped is None:
            metrics = trainer.learn(done, stepper, valuer)
            done += 1
            log.write(json.dumps({"step": done, "of": s.steps, **{k: round(v, 6) for k, v in metrics.items()}}) + "\n")
            log.flush()
            if progress is not None:
                progress(done, s.steps, metrics["reward"])
            if record is not None and (done % s.measure_every == 0 or done == s.steps):
                look = trainer.look(done)
                if record.best(look) and main():
                    keep_best(folder, stepper.master.weights, done, trainer.key)
                record.add(look)
            stopped = _stop(record, s, metrics)
            stepper.save(trainer.state(valuer, done, metrics), now=stopped is not None or done == s.steps)
    kept = done
    # with a held-out reward the best measured weights are kept in any case: a proxy that deceives a little is no reason to stop
    if record is not None and (stopped is not None or trainer.held_out.reward is not None):
        wait()  # until it is written
        kept = take_best(folder, stepper.master, trainer.key)
        wait()  # until all have read it: the command takes it away
    return PolicyReport(
        steps=done,
        rows=len(trainer.asked),
        too_long=trainer.asked.too_long,
        metrics=metrics,
        stopped=stopped or "",
        kept=kept,
        reference=trainer.told_reference,
        sharing="; ".join(filter(None, [f"{trainer.per_row} replies a row: {trainer.why}", attention_of(trainer.local.model)])),
        evidence=None if record is None else record.told(kept),
    )


def _stop(record: Record | None, s: PolicySettings, metrics: dict[str, float]) -> str | None:
    """Why the run must end here, or None: by the measurements, or, without any, by the KL of the last rollout."""
    if record is not None:
        return record.verdict()
    if s.kl_budget is not None and metrics.get("kl", 0.0) > s.kl_budget:
        return f"The KL of {metrics['kl']:.3g} nats is above the budget of {s.kl_budget:g}."
    return None
