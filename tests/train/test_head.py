"""The output layer: the same log-probabilities and gradients as the plain form, in every form and chunking."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn.functional import linear

from trueline.train import head
from trueline.train.head import Form, form_of, picked_logps


def plain(hidden: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, targets: torch.Tensor, form: Form) -> torch.Tensor:
    z = linear(hidden, weight, bias) * form.scale
    if form.cap is not None:
        z = form.cap * torch.tanh(z / form.cap)
    return torch.log_softmax(z, dim=1).gather(1, targets[:, None])[:, 0]


def test_of_logits_that_are_too_many_whole_chunks_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """10 of 23 rows fit, so the first chunk of 7 outlives the forward pass, in one piece."""
    monkeypatch.setattr(head, "KEEP", 10 * 400)
    monkeypatch.setattr(head, "CHUNK", 100 * 7)
    shapes: list[tuple[int, ...]] = []
    hidden, weight = torch.randn(23, 16, requires_grad=True), torch.randn(100, 16)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: (shapes.append(tuple(t.shape)), t)[1], lambda t: t):
        head.picked_logps(hidden, weight, None, torch.zeros(23, dtype=torch.long), Form(True))
    assert [s for s in shapes if s[-1] == 100] == [(7, 100)]


@pytest.mark.parametrize("keep", [0, 10 * 400, 2**28])
@pytest.mark.parametrize("form", [Form(True), Form(True, 0.3), Form(True, 1.0, 2.0)])
def test_equals_the_plain_form_in_value_and_gradient(form: Form, keep: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(head, "KEEP", keep)
    monkeypatch.setattr(head, "CHUNK", 100 * 7)  # 23 rows of 100 logits: three chunks and a rest
    source = torch.Generator().manual_seed(0)
    leaves = [torch.randn(*shape, generator=source).requires_grad_() for shape in ((23, 16), (100, 16), (100,))]
    targets, scale = torch.randint(0, 100, (23,), generator=source), torch.randn(23, generator=source)
    results = []
    for compute in (picked_logps, plain):
        out = compute(leaves[0], leaves[1], leaves[2], targets, form)
        results.append((out.detach(), *torch.autograd.grad((out * scale).sum(), leaves)))
    for mine, theirs in zip(*results, strict=True):
        torch.testing.assert_close(mine, theirs, atol=5e-6, rtol=1e-5)


def test_by_hand() -> None:
    """Logits (0, ln 3): the second has probability 3/4."""
    hidden, weight = torch.tensor([[1.0]]), torch.tensor([[0.0], [math.log(3.0)]])
    found = picked_logps(hidden, weight, None, torch.tensor([1]), Form(True))
    assert found.item() == pytest.approx(math.log(0.75), abs=1e-6)


def test_only_what_needs_a_gradient_gets_one() -> None:
    hidden, weight = torch.randn(3, 4, requires_grad=True), torch.randn(10, 4)
    picked_logps(hidden, weight, None, torch.tensor([1, 2, 3]), Form(True)).sum().backward()
    assert hidden.grad is not None
    assert weight.grad is None


def test_a_head_of_its_own_kind_is_run_as_the_model_runs_it() -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    class Doubled(torch.nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x) * 2 + 1

    sizes = {"vocab_size": 64, "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 1}
    model = LlamaForCausalLM(LlamaConfig(**sizes))
    assert form_of(model) == Form(True)
    model.lm_head = Doubled(16, 64, bias=False)
    assert not form_of(model).direct
