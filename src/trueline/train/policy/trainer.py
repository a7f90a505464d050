"""One run's models and what they do: draw, score, weigh, step, measure. The order in which it happens stands in `run`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from trueline.algos.control import AdaptiveKl
from trueline.core.clock import generator
from trueline.data.jsonl import write_json
from trueline.engine.loading import LocalModel
from trueline.train.checkpoint import recalled
from trueline.train.distributed import from_main, gathered, share_of, summed
from trueline.train.loop import Stepper
from trueline.train.policy.evidence import HeldOut, measure, reply_kl
from trueline.train.policy.likelihood import by_reply, fastest, laid_out, picked
from trueline.train.policy.models import critic_of, reference_of, values_of
from trueline.train.policy.rollout import Asked, Rollout, roll_out, specimens
from trueline.train.policy.settings import PolicySettings
from trueline.train.policy.update import Batch, Norm, chunks, microbatches, minibatches, parted, policy_loss, prepared, value_loss
from trueline.train.precision import resolve
from trueline.train.reference import named
from trueline.train.rewarding import Composed

SHARING = "replies_a_row.json"
TIMED = 2  # groups on which the ways of sharing a row are timed: enough to tell them apart, and soon done


class PolicyTrainer:
    """One run. `held_out` has the prompts and the reward that it is measured on; `critic`: of ppo, what the value model starts from; `shares`:
    whether the model was proven to compute replies that share a row, and why; `key`: of the run."""

    def __init__(
        self,
        local: LocalModel,
        asked: Asked,
        reward: Composed,
        settings: PolicySettings,
        folder: Path,
        held_out: HeldOut,
        critic: LocalModel | None,
        shares: tuple[bool, str],
        key: str,
    ) -> None:
        self.local, self.asked, self.reward, self.settings, self.folder = local, asked, reward, settings, folder
        _, self.variant, self.options = settings.chosen()
        self.pad_id, self.key = local.tokenizer.pad_token_id or 0, key
        self.told_reference = named(local)
        self.reference = reference_of(local)
        self.critic = critic_of(local, critic) if settings.method == "ppo" else None
        kl = settings.kl_target
        self.control = AdaptiveKl(self.options.kl_weight, kl, settings.horizon) if kl is not None else None
        self.held_out = held_out
        self.precision = resolve(settings.precision, local.device)
        self.per_row, self.why = from_main(lambda: self._sharing(*shares))
        self._round: tuple[int, list[int]] = (-1, [])

    def _sharing(self, right: bool, why: str) -> tuple[int, str]:
        s = self.settings
        if s.replies_a_row is not None or not right:
            return (s.replies_a_row or 1) if right else 1, why
        path = self.folder / SHARING
        known = recalled(path, self.key, "replies_a_row", "why")
        if known is not None:
            return int(known["replies_a_row"]), str(known["why"])
        groups = specimens(self.asked, s.group, s.max_new_tokens, s.prompts)
        first = next(parted(groups, s.batch_tokens, 1))
        best, times = fastest(self.local.model, [groups[i] for i in first[:TIMED]], self.pad_id, self.local.device, s.temperature)
        found = best, f"{why}; {times}"
        write_json(path, {"key": self.key, "replies_a_row": found[0], "why": found[1]})
        return found

    def rollout(self, step: int) -> Rollout:
        """The replies of one step (from 0). The prompts go round in an order of their own every time."""
        s, n = self.settings, len(self.asked)
        chosen = []
        for place in range(step * s.prompts, (step + 1) * s.prompts):
            if self._round[0] != place // n:
                order = list(range(n))
                generator(s.seed, "prompts", str(place // n)).shuffle(order)
                self._round = (place // n, order)
            chosen.append(self._round[1][place % n])
        return roll_out(self.local, self.asked, chosen, s.group, s.max_new_tokens, s.temperature, s.seed, str(step))

    @torch.no_grad()
    def logps(self, rollout: Rollout) -> tuple[torch.Tensor, torch.Tensor]:
        """(by the model as it is, by the model at step 0), each (replies, longest). In float32 the first are the sampler's own; in bfloat16
        sampler and trainer differ by more than a step changes, so the trainer computes them."""
        device, s = self.local.device, self.settings

        def by(model: Any) -> torch.Tensor:
            def of(part: list[Any]) -> torch.Tensor:
                return by_reply(picked(model, laid_out(part, self.per_row, self.pad_id, device), self.per_row, s.temperature), part)[0]

            return chunks(rollout.groups, s.batch_tokens, self.per_row, of)

        with self.reference.inside():
            reference = by(self.reference.model)
        return rollout.sampled if self.precision == "float32" else by(self.local.model), reference

    def _values(self, rollout: Rollout) -> torch.Tensor | None:
        critic = self.critic
        if critic is None:
            return None
        with torch.no_grad():
            return chunks(rollout.groups, self.settings.batch_tokens, 1, lambda part: values_of(critic, part, self.pad_id))

    def learn(self, step: int, stepper: Stepper, valuer: Stepper | None) -> dict[str, float]:
        """One rollout and its updates; what is told of it."""
        rollout = self.rollout(step)
        scored = self.reward.score(rollout.conversations, rollout.ended)
        old, reference = self.logps(rollout)
        kl = reply_kl(old, reference, rollout.keep)
        rewards = torch.tensor(scored.total, device=self.local.device, dtype=torch.float32)
        batch, told = prepared(rollout, old, rewards, reference, self.variant, self.options, self._values(rollout))
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
                rows, share = batch.rows(part), share_of(part)
                norm = Norm(len(rows), int(batch.rollout.keep[rows].sum()), s.max_new_tokens)
                gap = {"gap_mean": 0.0, "gap_max": 0.0, "tokens": 0.0}
                for micro in microbatches(batch, share.rows, s.batch_tokens, 1 if self.critic is not None else self.per_row):
                    groups, own = [batch.rollout.groups[g] for g in micro], batch.rows(micro)
                    layout = laid_out(groups, self.per_row, self.pad_id, self.local.device)
                    logps = by_reply(picked(self.local.model, layout, self.per_row, s.temperature), groups)[0]
                    loss, found = policy_loss(batch, own, logps, self.variant, self.options, norm)
                    stepper.backward(share.counted(loss), own, alone=True)
                    if self.critic is not None and valuer is not None:
                        values = values_of(self.critic, groups, self.pad_id)
                        valuer.backward(share.counted(value_loss(batch, own, values, self.options, norm)), own, alone=True)
                    if not share.counts:
                        continue
                    gap = {k: max(v, found[k]) if k == "gap_max" else v + found[k] for k, v in gap.items()}
                    sums = {k: v + found[k] for k, v in sums.items()}
                if not norms:  # before any step of this rollout: sampler and trainer are the same weights
                    largest = float(gathered(torch.tensor([gap["gap_max"]], dtype=torch.float64)).max())
                    told |= {"gap_mean": summed(gap["gap_mean"]) / summed(gap["tokens"]), "gap_max": largest}
                norms.append(stepper.descend(rows))
                if valuer is not None:
                    valuer.descend(rows)
        if not norms:
            return {"updates": 0.0}
        return {
            **told,
            "gradient_norm": sum(norms) / len(norms),
            "clip_share": summed(sums["clip_share"]) / max(1.0, summed(sums["tokens"])),
        }

    def look(self, step: int) -> Any:
        """A measurement on the held-out prompts."""
        s = self.settings
        return measure(self.local, self.held_out, self.reward, self.logps, step, s.max_new_tokens, s.temperature, s.seed)

    def state(self, valuer: Stepper | None, step: int, metrics: dict[str, float]) -> dict[str, Any]:
        """What a checkpoint holds besides the weights."""
        more: dict[str, Any] = {
            "rollouts": step,
            "kl_weight": self.options.kl_weight,
            "multipliers": self.reward.state(),
            "metrics": metrics,
        }
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
