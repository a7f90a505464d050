"""Our side of the policy losses and the papers': `python ours_policy.py FOLDER`. `ours_policy.pt` is written there.

What is called is what the trainer calls: `prepared`, `policy_loss`, `value_loss`, `picked`, `values_of`. rows: a row a reply, the step in one
piece; shared: a group's replies in one row, the step in micro-batches. paper, paper32: `paper_policy.py` on a plain loop in float64 and float32.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from measuring import measured, weights_of
from paper_policy import FORMULAS, Reply
from policy_cases import CASES, DIFFERENCES, PolicyCase
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

from trueline.algos.losses.policy_variants import METHODS, variant
from trueline.engine.loading import LocalModel, wrap
from trueline.train.layout import Group
from trueline.train.policy.likelihood import by_reply, laid_out, picked
from trueline.train.policy.models import values_of
from trueline.train.policy.rollout import Rollout
from trueline.train.policy.update import Norm, microbatches, policy_loss, prepared, value_loss

Tensor = torch.Tensor
FOLDER = Path(sys.argv[1])
GIVEN = json.loads((FOLDER / "groups.json").read_text())
CPU = torch.device("cpu")
PAD = 0
BUDGETS = (150, 75, 1)  # tokens of a micro-batch in the form `shared`: about two groups; fewer where that would not cut a short step


class Models:
    """All models in one precision."""

    def __init__(self, dtype: torch.dtype) -> None:
        load, head = AutoModelForCausalLM.from_pretrained, AutoModelForSequenceClassification.from_pretrained
        self.of = {n: load(FOLDER / n, dtype=torch.float32).to(dtype) for n in ("policy", "old", "reference")}
        self.of |= {n: head(FOLDER / n, dtype=torch.float32).to(dtype) for n in ("critic", "critic_old")}
        self.tokenizer = AutoTokenizer.from_pretrained(FOLDER / "policy")

    def drawn_by(self, case: PolicyCase) -> Any:
        return self.of["policy" if case.on_policy else "old"]

    def local(self, name: str) -> LocalModel:
        return replace(wrap(self.of["policy"], self.tokenizer, FOLDER / name), model=self.of[name])

    def trained(self, case: PolicyCase) -> list[Tensor]:
        return weights_of(self.of["critic" if case.of == "value" else "policy"])


def chosen(case: PolicyCase) -> list[dict[str, Any]]:
    """The groups of a case."""
    return [GIVEN["groups"][i] for i in (case.groups or range(len(GIVEN["groups"])))]


class Step:
    """One optimiser step of a case: what every reply, and all together, make of its loss."""

    def __init__(self, case: PolicyCase, models: Models, shared: bool) -> None:
        name, options = case.ours
        method = next(m for m, names in METHODS.items() if name in names)
        self.case, self.models, self.shared = case, models, shared
        _, self.variant, self.options = variant(method, name, options)
        self.groups = [Group(tuple(g["prompt"]), tuple(map(tuple, g["replies"]))) for g in chosen(case)]
        self.per_row = len(self.groups[0].replies) if shared else 1
        self.batch, _ = self._prepared()
        self.trained = [g for g in self.batch.used if case.step is None or g in case.step]
        self.rows = self.batch.rows(self.trained)
        self.norm = Norm(len(self.rows), int(self.batch.rollout.keep[self.rows].sum()), GIVEN["longest"])

    def _logps(self, model: Any, groups: list[Group]) -> Tensor:
        return by_reply(picked(model, laid_out(groups, self.per_row, PAD, CPU), self.per_row, self.case.temperature), groups)[0]

    @torch.no_grad()
    def _prepared(self) -> Any:
        old, reference = (self._logps(m, self.groups) for m in (self.models.drawn_by(self.case), self.models.of["reference"]))
        keep = by_reply(torch.ones(sum(len(r) for g in self.groups for r in g.replies)), self.groups)[1]
        rollout = Rollout(self.groups, [], [], old, keep)
        rewards = torch.tensor([r for g in chosen(self.case) for r in g["rewards"]])
        values = values_of(self.models.local("critic_old"), self.groups, PAD) if self.variant.advantage == "gae" else None
        return prepared(rollout, old, rewards, reference, self.variant, self.options, values)

    def part(self, groups: Sequence[int], rows: Sequence[int], own: slice) -> Tensor:
        """What the replies `rows`, the places `own` of those of `groups`, make of the loss."""
        of = [self.batch.rollout.groups[g] for g in groups]
        if self.case.of == "value":
            return value_loss(self.batch, rows, values_of(self.models.local("critic"), of, PAD)[own], self.options, self.norm)
        return policy_loss(self.batch, rows, self._logps(self.models.of["policy"], of)[own], self.variant, self.options, self.norm)[0]

    def one(self, i: int) -> Tensor:
        """The loss of the i-th reply of the step: its part times the replies, so that the step's is the mean."""
        row, size = self.rows[i], len(self.groups[0].replies)
        place = row % size
        return self.part([row // size], [row], slice(place, place + 1)) * len(self.rows)

    def _cut(self) -> list[list[int]]:
        """The step's micro-batches: of the first budget that cuts it, or in one piece where it is one group or the form is `rows`."""
        if not self.shared or len(self.trained) == 1:
            return [self.trained]
        cuts = (list(microbatches(self.batch, self.trained, budget, self.per_row)) for budget in BUDGETS)
        return next(c for c in cuts if len(c) > 1)

    def whole(self) -> Tensor:
        parts = [self.part(groups, self.batch.rows(groups), slice(None)) for groups in self._cut()]
        return torch.stack(parts).sum()

    @cached_property
    def advantages(self) -> Tensor:
        """(replies of the step,), or (replies, tokens); of the value loss the returns."""
        found = self.batch.returns if self.case.of == "value" else self.batch.advantages
        assert found is not None
        return found[self.rows].squeeze(1) if found.shape[1] == 1 else found[self.rows]

    @torch.no_grad()
    def clipped(self) -> float:
        """The share of what stands outside the clip, to know that both sides of it are tested."""
        index = torch.tensor(self.rows)
        if self.case.of == "value":
            values, was = values_of(self.models.local("critic"), self.groups, PAD), self.batch.values
            assert was is not None
            keep = self.batch.rollout.keep
            return float(((values - was).abs() > self.options.value_clip)[keep].float().mean())
        logps = self._logps(self.models.of["policy"], self.groups)[index]
        told = policy_loss(self.batch, self.rows, logps, self.variant, self.options, self.norm)[1]
        return told["clip_share"] / told["tokens"]


def ours(case: PolicyCase, models: Models, shared: bool) -> dict[str, Tensor]:
    """All figures of a case in one form; of a difference those of the step alone."""
    step = Step(case, models, shared)
    share = step.clipped()
    assert (share == 0) if case.on_policy else (0 < share < 1), f"{case.name}: {share:.0%} clipped tests one side only"
    found = measured(step.one, step.whole, 0 if case.why else len(step.rows), models.trained(case))
    return {**found, "advantages": step.advantages, "clipped": torch.tensor(share)}


def plain(model: Any, prompt: list[int], reply: list[int], temperature: float) -> Tensor:
    """(tokens,) log-probabilities by the model's own logits."""
    logits = model(input_ids=torch.tensor([prompt + reply])).logits[0] / temperature
    at = [logits[len(prompt) - 1 + i] for i in range(len(reply))]
    return torch.stack([x[t] - x.logsumexp(0) for x, t in zip(at, reply, strict=True)])


def worths(model: Any, prompt: list[int], reply: list[int]) -> Tensor:
    """(tokens,) the value model's number before every token."""
    hidden = model.base_model(input_ids=torch.tensor([prompt + reply])).last_hidden_state[0]
    return torch.stack([model.score(hidden[len(prompt) - 1 + i])[0] for i in range(len(reply))])


def by_paper(case: PolicyCase, models: Models) -> dict[str, Tensor]:
    """All figures of a case by the paper's formula."""
    name, given = case.ours
    defaults = variant(next(m for m, names in METHODS.items() if name in names), name, given)[2]
    groups = [g for g in chosen(case) if not (defaults.drop_equal and len(set(g["rewards"])) == 1)]
    groups = [groups[i] for i in case.step] if case.step is not None else groups
    options = {n: float(getattr(defaults, n)) for n in defaults.__dataclass_fields__}

    def reply(prompt: list[int], ids: list[int], reward: float) -> Reply:
        with torch.no_grad():
            old, ref = (plain(m, prompt, ids, case.temperature).tolist() for m in (models.drawn_by(case), models.of["reference"]))
            before = worths(models.of["critic_old"], prompt, ids).tolist()
        new = plain(models.of["policy"], prompt, ids, case.temperature)
        values = worths(models.of["critic"], prompt, ids) if case.of == "value" else None
        return Reply(new, old, ref, reward, GIVEN["longest"], before, values)

    made = [[reply(g["prompt"], ids, r) for ids, r in zip(g["replies"], g["rewards"], strict=True)] for g in groups]
    values, advantages = FORMULAS[case.formula](made, options)
    found = measured(lambda i: values[i], lambda: torch.stack(values).mean(), 0 if case.why else len(values), models.trained(case))
    return {**found, "advantages": _square(advantages)}


def _square(rows: list[Any]) -> Tensor:
    """(replies,), or (replies, longest) with zeros."""
    if not isinstance(rows[0], list):
        return torch.tensor(rows, dtype=torch.float64)
    width = max(map(len, rows))
    return torch.tensor([r + [0.0] * (width - len(r)) for r in rows], dtype=torch.float64)


def main() -> None:
    """All cases and known differences in both forms, and by the formulas."""
    every, out = [*CASES, *DIFFERENCES], dict[str, Any]()
    single = Models(torch.float32)
    for form in ("rows", "shared"):
        out[form] = {c.name: ours(c, single, form == "shared") for c in every}
    out["paper32"] = {c.name: by_paper(c, single) for c in CASES}
    double = Models(torch.float64)
    out["paper"] = {c.name: by_paper(c, double) for c in every}
    torch.save(out, FOLDER / "ours_policy.pt")


if __name__ == "__main__":
    main()
