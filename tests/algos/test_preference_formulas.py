"""Every loss against the papers' formulas written out a second time in `bench/parity/paper.py`, values and gradients in float64.

The whole comparison, through models and against TRL, is `python bench/parity/run.py`; this part needs neither.
"""

import pytest
import torch

from bench.parity.cases import CASES, Case
from bench.parity.paper import FORMULAS, Pair, Single
from trueline.algos.losses.preference import LOSSES, PAIRED, Completions, paired, unpaired

N = 24


def test_every_loss_is_a_case() -> None:
    assert {c.ours[0] for c in CASES} == set(LOSSES)


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_values_and_gradients(case: Case) -> None:
    name, options = case.ours
    source = torch.Generator().manual_seed(5)
    w, l, ref_w, ref_l = (-0.1 - 20 * torch.rand(N, generator=source, dtype=torch.float64) for _ in range(4))  # noqa: E741
    n_w, n_l = (torch.randint(1, 12, (N,), generator=source) for _ in range(2))
    margins, desirable = torch.rand(N, generator=source, dtype=torch.float64), torch.arange(N) % 2 == 0
    w.requires_grad_()
    l.requires_grad_()
    if name in PAIRED:
        chosen, rejected = Completions(w, ref_w, n_w), Completions(l, ref_l, n_l)
        mine = paired(name, options)(chosen, rejected, margins if case.margins else None)
        if case.part == "odds":
            mine = mine + w / n_w
        formula = FORMULAS["odds" if case.part == "odds" else name]
        theirs = [formula(Pair(w[i], l[i], ref_w[i], ref_l[i], int(n_w[i]), int(n_l[i]), float(margins[i])), **options) for i in range(N)]
    else:
        mine = unpaired(name, options)(Completions(w, ref_w), desirable, 0.8)
        theirs = [FORMULAS[name](Single(w[i], ref_w[i], 0.8, bool(desirable[i])), **options) for i in range(N)]
    other = torch.stack(theirs)
    assert torch.allclose(mine, other, rtol=1e-10, atol=1e-12)
    for a, b in zip(*(torch.autograd.grad(x.sum(), (w, l), allow_unused=True) for x in (mine, other)), strict=True):
        assert (a is None) == (b is None)
        assert a is None or torch.allclose(a, b, rtol=1e-9, atol=1e-12)
