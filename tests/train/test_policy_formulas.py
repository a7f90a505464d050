"""Every variant's advantages and losses against the papers' formulas written out a second time in `bench/parity/paper_policy.py`, values
and gradients in float64, without a model and without TRL (`python bench/parity/run.py` has both)."""

from dataclasses import fields

import pytest
import torch

from bench.parity.paper_policy import FORMULAS, Reply
from bench.parity.policy_cases import CASES, PolicyCase
from trueline.algos.losses.policy_variants import METHODS, VARIANTS, PolicyOptions, Variant, variant
from trueline.train.layout import Group
from trueline.train.policy.rollout import Rollout
from trueline.train.policy.update import Norm, policy_loss, prepared, value_loss

Tensor = torch.Tensor
LENGTHS = ((3, 1, 5), (2, 2, 4), (6, 1, 1))
REWARDS = ((0.3, 1.0, -2.0), (0.5, 0.5, 0.5), (0.0, 1.0, 1.0))
LONGEST = 7


def chosen(case: PolicyCase) -> tuple[Variant, PolicyOptions]:
    name, options = case.ours
    return variant(next(m for m, names in METHODS.items() if name in names), name, options)[1:]


def test_every_variant_is_a_case() -> None:
    assert {c.ours[0] for c in CASES} == set(VARIANTS)


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_advantages_values_and_gradients(case: PolicyCase) -> None:
    found, o = chosen(case)
    number = range(1) if case.groups else range(len(LENGTHS))
    lengths = torch.tensor([n for g in number for n in LENGTHS[g]])
    source = torch.Generator().manual_seed(3)
    keep = torch.arange(int(lengths.max()))[None] < lengths[:, None]
    old, apart, reference, before, after = (torch.randn(keep.shape, generator=source, dtype=torch.float64) * keep for _ in range(5))
    new = (old if case.on_policy else old + 0.3 * apart).clone().requires_grad_()
    values = (before + 0.3 * after).clone().requires_grad_()
    rewards = [r for g in number for r in REWARDS[g]]
    groups = [Group((5,), tuple((5,) * n for n in LENGTHS[g])) for g in number]
    rollout = Rollout(groups, [], [], old, keep)
    batch, _ = prepared(rollout, old, torch.tensor(rewards, dtype=torch.float64), reference, found, o, before)
    rows = batch.rows(batch.used)
    norm = Norm(len(rows), int(keep[rows].sum()), LONGEST)

    def reply(i: int) -> Reply:
        n = int(lengths[i])
        return Reply(new[i, :n], old[i, :n].tolist(), reference[i, :n].tolist(), rewards[i], LONGEST, before[i, :n].tolist(), values[i, :n])

    size = len(LENGTHS[0])
    made = [[reply(g * size + k) for k in range(size)] for g in batch.used]
    theirs, advantages = FORMULAS[case.formula](made, {f.name: getattr(o, f.name) for f in fields(o)})
    if case.of == "value":
        mine, learnt, target = value_loss(batch, rows, values[rows], o, norm), values, batch.returns
    else:
        mine, learnt, target = policy_loss(batch, rows, new[rows], found, o, norm)[0], new, batch.advantages
    assert target is not None
    for own, theory in zip(target[rows].tolist(), advantages, strict=True):
        theory = theory if isinstance(theory, list) else [theory]
        # ours adds 1e-8 to the deviation that it whitens by
        assert own[: len(theory)] == pytest.approx(theory, rel=1e-7, abs=1e-12)
    whole = torch.stack(theirs).mean()
    if "mean" in case.paper:
        # `shares` are float32, which the log-probabilities of a run are too
        assert float(mine.detach()) == pytest.approx(float(whole.detach()), rel=1e-6, abs=3e-7)
    a, b = (torch.autograd.grad(x, learnt)[0] for x in (mine, whole))
    assert b.abs().max() > 1e-3
    assert torch.allclose(a, b, rtol=1e-6, atol=3e-8)
