"""PPO, GRPO and RLOO: in order, for every rollout: draw replies, reward them, their log-probabilities under the model at step 0, advantages,
optimiser steps, multipliers and penalty; every few rollouts a measurement on held-out prompts, which may stop the run; a checkpoint.

The old log-probabilities are the sampler's own: what the replies were drawn by. That sampler and trainer agree is measured at every rollout
(`gap_mean`, `gap_max`, nats a token). Left out on purpose: rollouts older than the weights (asynchrony), replay.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from trueline.algos.control import AdaptiveKl
from trueline.charter.digests import digest_of
from trueline.charter.turns import Message
from trueline.core.clock import generator
from trueline.core.ports import Reward
from trueline.engine.loading import LocalModel
from trueline.errors import TrainingError
from trueline.train.checkpoint import load_checkpoint
from trueline.train.loop import LoopSettings, Progress, Stepper, forget_after, ready
from trueline.train.policy.evidence import HeldOut, Record, checked, measure, reply_kl
from trueline.train.policy.likelihood import by_reply, choose, laid_out, picked
from trueline.train.policy.models import critic_of, reference_of, values_of
from trueline.train.policy.rollout import Asked, Rollout, ask, roll_out
from trueline.train.policy.settings import PolicySettings
from trueline.train.policy.update import Batch, Norm, chunks, microbatches, minibatches, policy_loss, prepared, value_loss
from trueline.train.policy.weights import keep_best, take_best
from trueline.train.precision import computing_in, resolve
from trueline.train.reference import named
from trueline.train.rewarding import Composed
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


class PolicyTrainer:
    """One run. `held_out` has the prompts and the reward that it is measured on; `critic`: of ppo, what the value model starts from."""

    def __init__(
        self,
        local: LocalModel,
        asked: Asked,
        reward: Composed,
        settings: PolicySettings,
        folder: Path,
        held_out: HeldOut,
        critic: LocalModel | None,
    ) -> None:
        self.local, self.asked, self.reward, self.settings, self.folder = local, asked, reward, settings, folder
        self.name, self.variant, self.options = settings.chosen()
        self.pad_id = local.tokenizer.pad_token_id or 0
        self.told_reference = named(local)
        self.reference = reference_of(local)
        self.critic = critic_of(local, critic) if settings.method == "ppo" else None
        kl = settings.kl_target
        self.control = AdaptiveKl(self.options.kl_weight, kl, settings.horizon) if kl is not None else None
        self.held_out = held_out
        self.per_row, self.why = self._sharing()

    def _sharing(self) -> tuple[int, str]:
        if self.settings.replies_a_row is not None:
            return self.settings.replies_a_row, "as told"
        path = self.folder / "sharing.json"
        if path.exists():
            known = json.loads(path.read_text(encoding="utf-8"))
            return int(known["replies_a_row"]), str(known["why"])
        first = self.rollout(0)
        found = choose(self.local.model, first.groups, self.pad_id, self.local.device, self.settings.temperature)
        path.write_text(json.dumps({"replies_a_row": found[0], "why": found[1]}) + "\n", encoding="utf-8")
        return found

    def rollout(self, step: int) -> Rollout:
        """The replies of one step (from 0). The prompts go round in an order of their own every time."""
        s, n = self.settings, len(self.asked)
        chosen = []
        for place in range(step * s.prompts, (step + 1) * s.prompts):
            order = list(range(n))
            generator(s.seed, "prompts", str(place // n)).shuffle(order)
            chosen.append(order[place % n])
        return roll_out(self.local, self.asked, chosen, s.group, s.max_new_tokens, s.temperature, s.seed, str(step))

    def reference_logps(self, rollout: Rollout) -> torch.Tensor:
        """Of a rollout, by the model at step 0, (replies, longest)."""
        device, s = self.local.device, self.settings

        def of(part: list[Any]) -> torch.Tensor:
            return self.reference.logps(part, self.per_row, self.pad_id, device, s.temperature)

        return chunks(rollout.groups, s.batch_tokens, of)

    def _values(self, rollout: Rollout) -> torch.Tensor | None:
        critic = self.critic
        if critic is None:
            return None
        with torch.no_grad():
            return chunks(rollout.groups, self.settings.batch_tokens, lambda part: values_of(critic, part, self.pad_id))

    def learn(self, step: int, stepper: Stepper, valuer: Stepper | None) -> dict[str, float]:
        """One rollout and its updates; what is told of it."""
        rollout = self.rollout(step)
        scored = self.reward.score(rollout.conversations, rollout.ended)
        reference = self.reference_logps(rollout)
        kl = reply_kl(rollout.sampled, reference, rollout.keep)
        rewards = torch.tensor(scored.total, device=self.local.device, dtype=torch.float32)
        batch, told = prepared(rollout, rewards, reference, self.variant, self.options, self._values(rollout))
        told |= self._update(batch, step, stepper, valuer)
        lengths = np.array(rollout.lengths(), dtype=np.float64)
        told |= {
            "reward": float(scored.total.mean()),
            "reward_spread": float(scored.total.std()),
            "kl": float(kl.mean()),
            "kl_weight": self.options.kl_weight,
            # of drawn tokens at the sampling temperature: unbiased for the entropy of what the sampler drew from
            "entropy": float(-rollout.sampled[rollout.keep].mean()),
            "length": float(lengths.mean()),
            "ended": float(np.mean(rollout.ended)),
            "reward_length_correlation": _correlation(scored.total, lengths),
        }
        if len(scored.parts) > 1:
            told |= {f"part {name}": float(x.mean()) for name, x in scored.parts.items()}
        told |= {f"multiplier {name}": value for name, value in self.reward.state().items()}
        self.reward.update(scored.means())
        if self.control is not None:
            self.control = self.control.after(told["kl"], len(lengths))
            self.options = replace(self.options, kl_weight=self.control.coefficient)
        return told

    def _update(self, batch: Batch, step: int, stepper: Stepper, valuer: Stepper | None) -> dict[str, float]:
        s, told = self.settings, dict[str, float]()
        norms: list[float] = []
        sums = {"clip_share": 0.0, "tokens": 0.0}
        for epoch in range(s.epochs):
            for part in minibatches(batch, s.minibatches, s.seed, str(step), str(epoch)):
                rows = batch.rows(part)
                norm = Norm(len(rows), int(batch.rollout.keep[rows].sum()), s.max_new_tokens + 1)
                gap = {"gap_mean": 0.0, "gap_max": 0.0, "tokens": 0.0}
                for micro in microbatches(batch, part, s.batch_tokens):
                    groups, own = [batch.rollout.groups[g] for g in micro], batch.rows(micro)
                    layout = laid_out(groups, self.per_row, self.pad_id, self.local.device)
                    logps = by_reply(picked(self.local.model, layout, self.per_row, s.temperature), groups)[0]
                    loss, found = policy_loss(batch, own, logps, self.variant, self.options, norm)
                    stepper.backward(loss, own)
                    if self.critic is not None and valuer is not None:
                        values = values_of(self.critic, groups, self.pad_id)
                        valuer.backward(value_loss(batch, own, values, self.options, norm), own)
                    gap = {k: max(v, found[k]) if k == "gap_max" else v + found[k] for k, v in gap.items()}
                    sums = {k: v + found[k] for k, v in sums.items()}
                if not norms:  # before any step of this rollout: sampler and trainer are the same weights
                    told |= {"gap_mean": gap["gap_mean"] / gap["tokens"], "gap_max": gap["gap_max"]}
                norms.append(stepper.descend(rows))
                if valuer is not None:
                    valuer.descend(rows)
        if not norms:
            return {"updates": 0.0}
        return {**told, "gradient_norm": sum(norms) / len(norms), "clip_share": sums["clip_share"] / max(1.0, sums["tokens"])}

    def look(self, step: int) -> Any:
        """A measurement on the held-out prompts."""
        s = self.settings
        return measure(self.local, self.held_out, self.reward, self.reference_logps, step, s.max_new_tokens, s.temperature, s.seed)

    def state(self, valuer: Stepper | None, step: int) -> dict[str, Any]:
        """What a checkpoint holds besides the weights."""
        more: dict[str, Any] = {"rollouts": step, "kl_weight": self.options.kl_weight, "multipliers": self.reward.state()}
        return more if valuer is None else {**more, "critic": valuer.state()}

    def restore(self, state: dict[str, Any], valuer: Stepper | None) -> int:
        """Sets what `state` gave; the rollouts done."""
        self.options = replace(self.options, kl_weight=state["kl_weight"])
        if self.control is not None:
            self.control = replace(self.control, coefficient=state["kl_weight"])
        self.reward.restore(state["multipliers"])
        if valuer is not None:
            valuer.restore(state["critic"])
        return int(state["rollouts"])


def _correlation(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> float:
    return float(np.corrcoef(a, b)[0, 1]) if a.std() > 0 and b.std() > 0 else 0.0


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
    budget = settings.kl_budget
    measured = checked(HeldOut(ask(local, held_out, settings.max_new_tokens), held_out_reward, looks_of(settings), budget))
    precision = resolve(settings.precision, local.device)
    told = [asked.ids, measured.prompts.ids, list(identity), [t.name for t in reward.terms], list(reward.multipliers)]
    key = digest_of(["policy", local.digest, told, asdict(settings), precision])
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        master = stack.enter_context(computing_in(local.model, precision))
        trainer = PolicyTrainer(local, asked, reward, settings, folder, measured, critic)
        rate = LoopSettings(settings.lr, settings.warmup, decay=False)
        total = settings.steps * settings.epochs * settings.minibatches
        stepper, valuer = Stepper(master, rate, folder, key, total), None
        if trainer.critic is not None:
            own = stack.enter_context(computing_in(trainer.critic.model, precision))
            valuer = Stepper(own, replace(rate, lr=settings.value_lr or settings.lr), folder, key, total)
            ready(trainer.critic.model)
        ready(local.model)
        report = _loop(trainer, stepper, valuer, load_checkpoint(folder, key), progress)
        local.model.eval()
    return report


def _loop(
    trainer: PolicyTrainer, stepper: Stepper, valuer: Stepper | None, state: dict[str, Any] | None, progress: Progress | None
) -> PolicyReport:
    s, folder, done, metrics = trainer.settings, trainer.folder, 0, dict[str, float]()
    if state is not None:
        stepper.restore(state)
        done = trainer.restore(state, valuer)
    forget_after(folder / "metrics.jsonl", done)
    record = Record(folder, trainer.held_out, done) if len(trainer.held_out.prompts) else None
    stopped = None
    if record is not None and not record.history:
        record.add(trainer.look(0))
        keep_best(folder, stepper.master.weights, 0)
    with (folder / "metrics.jsonl").open("a", encoding="utf-8") as log:
        while done < s.steps and stopped is None:
            metrics = trainer.learn(done, stepper, valuer)
            done += 1
            log.write(json.dumps({"step": done, "of": s.steps, **{k: round(v, 6) for k, v in metrics.items()}}) + "\n")
            log.flush()
            if progress is not None:
                progress(done, s.steps, metrics["reward"])
            if record is not None and (done % s.measure_every == 0 or done == s.steps):
                stopped = record.add(trainer.look(done))
                if record.best:
                    keep_best(folder, stepper.master.weights, done)
            elif record is None and s.kl_budget is not None and metrics["kl"] > s.kl_budget:
                stopped = f"The KL of {metrics['kl']:.3g} nats is above the budget of {s.kl_budget:g}."
            stepper.save(trainer.state(valuer, done))
    kept = done
    if stopped is not None and record is not None:
        kept = take_best(folder, stepper.master)
    return PolicyReport(
        steps=done,
        rows=len(trainer.asked),
        too_long=trainer.asked.too_long,
        metrics=metrics,
        stopped=stopped or "",
        kept=kept,
        reference=trainer.told_reference,
        sharing=f"{trainer.per_row} replies a row: {trainer.why}",
        evidence=None if record is None else record.told(),
    )
