"""Our side of reward models' losses and supervised fine-tuning, and the papers': `python ours_supervised.py FOLDER`, to `ours_supervised.pt`.

rows: a row a reply; shared: a prompt's replies in one row, and in fine-tuning several conversations packed in one. paper, paper32:
`paper_supervised.py` on a plain loop in float64 and float32.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from measuring import measured, weights_of
from paper_supervised import bradley_terry, constrained, cuts, nll, ordinal, plackett_luce
from supervised_cases import CASES, SupervisedCase
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

from trueline.algos.losses.reward import ordered_thresholds
from trueline.engine.loading import LocalModel, wrap
from trueline.train.batching import Row, pad, token_logps
from trueline.train.judged import LOSS_OF, Judged
from trueline.train.keeping.first_tokens import FirstTokens, key_of
from trueline.train.packing import summed_logps
from trueline.train.reward_causal import rewards, shared_rewards

Tensor = torch.Tensor
FOLDER = Path(sys.argv[1])
BATCH = json.loads((FOLDER / "batch.json").read_text())
GROUPS = json.loads((FOLDER / "groups.json").read_text())["groups"]
CPU, PAD = torch.device("cpu"), 0
CAPACITY = 60  # tokens of a packed row: two or three conversations
TAUGHT = [Row(tuple(p), tuple(c)) for p, c in zip(BATCH["prompt"], BATCH["completion"], strict=True)]


class Models:
    """policy, reference and critic in one precision; `free`: of the ordinal thresholds."""

    def __init__(self, dtype: torch.dtype) -> None:
        load, head = AutoModelForCausalLM.from_pretrained, AutoModelForSequenceClassification.from_pretrained
        self.of = {n: load(FOLDER / n, dtype=torch.float32).to(dtype) for n in ("policy", "reference")}
        self.of["critic"] = head(FOLDER / "critic", dtype=torch.float32).to(dtype)
        self.free = torch.tensor([-1.5, 0.2, -0.4, 0.6], dtype=dtype, requires_grad=True)

    def local(self, name: str) -> LocalModel:
        plain = wrap(self.of["policy"], AutoTokenizer.from_pretrained(FOLDER / "policy"), FOLDER / name)
        return replace(plain, model=self.of[name])

    def trained(self, case: SupervisedCase) -> list[Tensor]:
        found = weights_of(self.of["policy" if case.ours in ("sft", "first_tokens") else "critic"])
        return [*found, self.free] if case.ours == "ordinal" else found


def judged(case: SupervisedCase) -> tuple[list[Judged], list[list[Row]]]:
    """What people said, and the replies as rows."""
    if case.ranks:
        ranks = [case.ranks[i % len(case.ranks)] for i in range(len(GROUPS))]
        groups = [[Row(tuple(g["prompt"]), tuple(r)) for r in g["replies"]] for g in GROUPS]
        return [Judged((), ("",) * len(r), r) for r in ranks], groups
    if case.ours == "ordinal":
        return [Judged((), ("",), (1,), k) for k in BATCH["levels"]], [[r] for r in TAUGHT]
    sides = zip(BATCH["prompt"], BATCH["chosen"], BATCH["rejected"], strict=True)
    return [Judged((), ("", ""), (1, 2), -1, m) for m in BATCH["margins"]], [[Row(tuple(p), tuple(x)) for x in xs] for p, *xs in sides]


def rewarded(case: SupervisedCase, models: Models, shared: bool) -> dict[str, Tensor]:
    """Of reward models."""
    said, groups = judged(case)
    local = models.local("critic")

    def losses(index: list[int]) -> Tensor:
        own = [groups[i] for i in index]
        found = shared_rewards(local, own, PAD) if shared else rewards(local, [r for g in own for r in g], PAD)
        thresholds = ordered_thresholds(models.free) if case.ours == "ordinal" else None
        return LOSS_OF[case.ours](found, [said[i] for i in index], thresholds, case.margins)

    every = list(range(len(said)))
    return measured(lambda i: losses([i]), lambda: losses(every).mean(), len(said), models.trained(case))


def taught(case: SupervisedCase, models: Models, packed: bool) -> dict[str, Tensor]:
    """Of supervised fine-tuning: the mean over the counted tokens of an example, and of the step."""
    policy, constraint = models.of["policy"], None
    if case.ours == "first_tokens":
        with torch.no_grad():
            before = pad(TAUGHT, PAD, CPU)
            found = [x[k].tolist() for x, k in zip(token_logps(models.of["reference"], before), before.keep, strict=True)]
        constraint = FirstTokens(models.local("policy"), dict(zip(map(key_of, TAUGHT), found, strict=True)))

    def loss(rows: list[Row]) -> Tensor:
        counted = sum(r.counted() for r in rows)
        if constraint is not None:
            return constraint.summed(rows) / counted
        return -summed_logps(policy, rows, packed, CAPACITY, PAD, CPU) / counted

    return measured(lambda i: loss([TAUGHT[i]]), lambda: loss(TAUGHT), len(TAUGHT), models.trained(case))


def plain(model: Any, row: Row) -> Tensor:
    """(tokens,) log-probabilities by the model's own logits."""
    logits = model(input_ids=torch.tensor([row.prompt + row.completion])).logits[0]
    at = [logits[len(row.prompt) - 1 + i] for i in range(len(row.completion))]
    return torch.stack([x[t] - x.logsumexp(0) for x, t in zip(at, row.completion, strict=True)])


def worth(model: Any, row: Row) -> Tensor:
    """The number of the head at the last token."""
    hidden = model.base_model(input_ids=torch.tensor([row.prompt + row.completion])).last_hidden_state[0, -1]
    found = model.score(hidden)[0]
    assert isinstance(found, Tensor)
    return found


def by_paper(case: SupervisedCase, models: Models) -> dict[str, Tensor]:
    """By the formulas."""
    if case.ours in ("sft", "first_tokens"):
        with torch.no_grad():
            before = [plain(models.of["reference"], r).tolist() for r in TAUGHT]
        own = [plain(models.of["policy"], r) for r in TAUGHT]
        losses = [nll(x) for x in own] if case.ours == "sft" else [constrained(x, b) for x, b in zip(own, before, strict=True)]
        counts = [float(len(r.completion)) for r in TAUGHT]
    else:
        said, groups = judged(case)
        read = [[worth(models.of["critic"], r) for r in g] for g in groups]
        if case.ours == "ordinal":
            losses = [ordinal(r[0], j.level, cuts(models.free)) for r, j in zip(read, said, strict=True)]
        elif case.ours == "plackett-luce":
            losses = [plackett_luce(r, j.ranks) for r, j in zip(read, said, strict=True)]
        else:
            losses = [bradley_terry(*r, j.margin if case.margins else 0.0) for r, j in zip(read, said, strict=True)]
        counts = [1.0] * len(losses)
    whole = torch.stack(losses).sum() / sum(counts)
    return measured(lambda i: losses[i] / counts[i], lambda: whole, len(losses), models.trained(case))


def main() -> None:
    """All cases in the forms that they have, and by the formulas."""
    single, double = Models(torch.float32), Models(torch.float64)
    out: dict[str, Any] = {"rows": {}, "shared": {}}
    for case in CASES:
        for form in case.forms:
            by = taught if case.ours in ("sft", "first_tokens") else rewarded
            out[form][case.name] = by(case, single, form == "shared")
    out |= {name: {c.name: by_paper(c, models) for c in CASES} for name, models in (("paper", double), ("paper32", single))}
    torch.save(out, FOLDER / "ours_supervised.pt")


if __name__ == "__main__":
    main()
