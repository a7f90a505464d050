"""Gradients written in place: the same numbers as autograd's, in one array that is kept; and what a proof of sharing leaves behind."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from trueline.train import gradients, loop
from trueline.train.batching import Row, pad, token_logps
from trueline.train.gradients import add_product, released, set_aside, tables_in_place, written_in_place
from trueline.train.loop import LoopSettings, Stepper, run_loop
from trueline.train.precision import Master, computing_in
from trueline.train.shared import proven

ROWS = [Row((3, 5, 7), (9, 11, 1)), Row((2, 0, 4), (6, 8)), Row((3, 3), (3, 12, 13, 1))]
CPU = torch.device("cpu")


def model_of(tied: bool, padding: int | None = 0) -> Any:
    torch.manual_seed(0)
    sizes = {"vocab_size": 32, "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    return LlamaForCausalLM(LlamaConfig(**sizes, tie_word_embeddings=tied, pad_token_id=padding))


def loss_of(model: Any, rows: list[int]) -> torch.Tensor:
    return -token_logps(model, pad([ROWS[i] for i in rows], 0, CPU)).sum() / 10


def trained(tied: bool, padding: int | None, folder: Path) -> dict[str, torch.Tensor]:
    model = model_of(tied, padding)
    plan = [[0, 1], [2, 0], [1, 2], [0, 1, 2]]
    run_loop(model, plan, lambda rows: (loss_of(model, rows), {}), LoopSettings(1e-2), folder, "k", None)
    assert not any(hasattr(p, "_spare_gradient") for p in model.parameters())
    return {n: p.detach() for n, p in model.named_parameters()}


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("padding", [0, 3, None])
def test_training_ends_where_it_ends_with_autograds_own(
    tied: bool, padding: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = trained(tied, padding, tmp_path / "plain")
    monkeypatch.setattr(gradients, "LARGE", 1)
    written: list[bool] = []
    real = gradients._takes
    monkeypatch.setattr(gradients, "_takes", lambda w: written.append(real(w)) or written[-1])
    mine = trained(tied, padding, tmp_path / "mine")
    assert written.count(True) == 8  # the head and the table, at each of four steps
    for name, p in plain.items():
        torch.testing.assert_close(mine[name], p, atol=2e-6, rtol=1e-5, msg=name)


def test_parts_of_a_step_add_up_in_one_array_that_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gradients, "LARGE", 1)
    model = model_of(True)
    tables_in_place(model)
    weight = model.get_input_embeddings().weight
    expected = torch.autograd.grad(loss_of(model, [0, 1, 2]), weight)[0]
    for _ in range(2):
        with written_in_place():
            for part in ([0], [1], [2]):
                loss_of(model, part).backward()
        assert weight.grad is not None
        torch.testing.assert_close(weight.grad, expected, atol=1e-6, rtol=1e-5)
        array = weight.grad.data_ptr()
        set_aside([weight])
        assert weight.grad is None
    with written_in_place():
        loss_of(model, [0]).backward()
    assert weight.grad is not None
    assert weight.grad.data_ptr() == array
    set_aside([weight])
    released(model)
    assert not hasattr(weight, "_spare_gradient")


def test_of_the_other_weights_nothing_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gradients, "LARGE", 1)
    model = model_of(True)
    tables_in_place(model)
    with written_in_place():
        loss_of(model, [0, 1]).backward()
    set_aside(model.parameters())
    assert [n for n, p in model.named_parameters() if hasattr(p, "_spare_gradient")] == ["model.embed_tokens.weight"]
    assert all(p.grad is not None for n, p in model.named_parameters() if n != "model.embed_tokens.weight")


def test_in_bfloat16_the_parameters_array_is_kept_and_the_masters_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gradients, "LARGE", 1)
    model = model_of(True)
    tables_in_place(model)
    weight = model.lm_head.weight
    with computing_in(model, "bfloat16") as master:
        expected = torch.autograd.grad(loss_of(model, [0, 1]), weight)[0].float()
        for _ in range(2):
            with written_in_place():
                loss_of(model, [0, 1]).backward()
            master.pull()
            own = master.weights["model.embed_tokens.weight"]
            assert own.grad is not None
            torch.testing.assert_close(own.grad, expected, atol=2e-2, rtol=2e-2)
            assert weight.grad is None
            assert hasattr(weight, "_spare_gradient")
            set_aside([own])
            assert own.grad is not None  # is the optimiser's to give back


def test_outside_a_step_and_for_small_or_frozen_weights_nothing_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    weight, left, right = torch.zeros(4, 2, requires_grad=True), torch.ones(3, 4), torch.ones(3, 2)
    assert not add_product(weight, left, right)
    with written_in_place():
        assert not add_product(weight, left, right)  # small
        monkeypatch.setattr(gradients, "LARGE", 1)
        assert not add_product(weight.detach(), left, right)
        assert add_product(weight, left, right)
        with written_in_place(False):
            assert not add_product(weight, left, right)
    assert not add_product(weight, left, right)
    assert weight.grad is not None
    assert weight.grad.tolist() == [[3.0, 3.0]] * 4


def test_other_kinds_of_tables_stay_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gradients, "LARGE", 1)

    class Scaled(torch.nn.Embedding):
        pass

    kinds = [torch.nn.Embedding(4, 2), Scaled(4, 2), torch.nn.Embedding(4, 2, max_norm=1.0), torch.nn.Embedding(4, 2, sparse=True)]
    tables_in_place(torch.nn.ModuleList(kinds))
    assert [type(k).__name__ for k in kinds] == ["_Table", "Scaled", "Embedding", "Embedding"]


@pytest.mark.parametrize("large", [1, 2**24])
@pytest.mark.parametrize("factor", [1.0, 1.05])
def test_a_proof_finds_another_gradient_and_leaves_none(large: int, factor: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gradients, "LARGE", large)
    model = model_of(True)
    tables_in_place(model)
    before = torch.ones_like(model.lm_head.weight)
    model.lm_head.weight.grad = before

    def values(of: list[int], times: float = 1.0) -> torch.Tensor:
        found = token_logps(model, pad([ROWS[i] for i in of], 0, CPU)).sum(dim=1)
        return found.detach() + times * (found - found.detach())

    told = proven(model, lambda: values([0, 1, 2], factor), [lambda i=i: values([i]) for i in range(3)], "3 rows")  # type: ignore[misc]
    assert told[0] == (factor == 1.0), told
    assert ("the gradients of shared and unshared differ by 4.8 %" in told[1]) == (factor != 1.0)
    assert model.lm_head.weight.grad is before
    assert all(p.grad is None for p in model.parameters() if p is not model.lm_head.weight)
    assert before.eq(1).all()
    assert not any(hasattr(p, "_gradient_in_place") for p in model.parameters())


def test_checkpoints_take_a_small_share_of_the_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved: list[int] = []

    def slowly(folder: Path, state: dict[str, Any]) -> None:
        saved.append(state["step"])
        time.sleep(0.05)

    monkeypatch.setattr(loop, "SAVE_SECONDS", 0.001)
    monkeypatch.setattr(loop, "save_checkpoint", slowly)
    weights = {"w": torch.zeros(2, requires_grad=True)}
    stepper = Stepper(Master(weights, weights), LoopSettings(0.1), tmp_path, "k", 100)
    for stepper.step in range(1, 20):
        time.sleep(0.01)
        stepper.save()
    assert saved == [1]  # the next one after a second: twenty times what the first took
    stepper.save(now=True)
    assert saved == [1, 19]
    monkeypatch.setattr(loop, "LONGEST_WAIT", 0.0)  # however long writing takes, nobody waits longer than this
    time.sleep(0.01)
    stepper.save()
    monkeypatch.setattr(loop, "LONGEST_WAIT", 900.0)
    for every in (0.0, -1.0):
        monkeypatch.setattr(loop, "SAVE_SECONDS", every)
        stepper.save()
    assert saved == [1, 19, 19, 19, 19]
