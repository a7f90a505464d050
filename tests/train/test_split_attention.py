"""Attention by pieces gives what a mask gives, on every architecture that it says it runs on, and stays away from the others."""

from __future__ import annotations

import pytest
import torch

from tests.train.test_layout import CPU, MORE, model_of
from trueline.train import split_attention
from trueline.train.head import body_of
from trueline.train.layout import Group, Layout, lay_out, mask_of
from trueline.train.shared import hidden_of

ELSEWHERE = {"Gemma2"}  # its soft cap is not computed here


def ids(n: int, begin: int) -> tuple[int, ...]:
    return tuple(5 + (begin * 131 + 37 * i) % 500 for i in range(n))


def layout() -> Layout:
    """Two groups in a row, one of them with a reply of one token; padding behind the other rows; a prompt beyond every window."""
    first = Group(ids(40, 1), (ids(9, 2), ids(1, 3), ids(30, 4)))
    return lay_out(
        [[first, Group(ids(7, 5), (ids(12, 6),))], [Group(ids(3, 7), (ids(5, 8), ids(6, 9)))], [Group(ids(1, 10), (ids(4, 11),))]], 0, CPU
    )


@pytest.mark.parametrize("name", list(MORE))
def test_equals_the_mask_in_value_and_gradient(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, where = model_of(name, MORE[name]), layout()
    real, before = where.pair >= 0, model.config._attn_implementation
    parameters = list(model.parameters())
    found = []
    for worth in (0.0, 1e9):
        monkeypatch.setattr(split_attention, "WORTH", worth)
        out = hidden_of(model, where)[real]
        gradient = torch.autograd.grad(out.pow(2).mean(), parameters, allow_unused=True)
        found.append((out.detach(), torch.cat([g.flatten() for g in gradient if g is not None])))
    assert split_attention._tried[body_of(model)] == (name not in ELSEWHERE)
    assert model.config._attn_implementation == before
    torch.testing.assert_close(found[0][0], found[1][0], atol=2e-5, rtol=1e-4)
    assert float((found[0][1] - found[1][1]).norm() / found[1][1].norm()) < 1e-4


def test_a_window_is_kept_in_every_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tried on a row inside the window, and right on one beyond it."""
    monkeypatch.setattr(split_attention, "WORTH", 0.0)
    for name in ("Mistral", "Llama4Text"):
        more = {**MORE[name], **({"layer_types": ["chunked_attention"] * 4} if name == "Llama4Text" else {})}
        model = model_of(name, more)
        short = lay_out([[Group(ids(4, 1), (ids(3, 2), ids(2, 3)))]], 0, CPU)
        hidden_of(model, short)
        assert split_attention._tried[body_of(model)]
        where = layout()
        mine = hidden_of(model, where)[where.pair >= 0]
        mask = mask_of(where, model.config, torch.float32)
        theirs = body_of(model)(input_ids=where.ids, attention_mask=mask, position_ids=where.positions, use_cache=False).last_hidden_state
        torch.testing.assert_close(mine, theirs[where.pair >= 0], atol=2e-5, rtol=1e-4)


def test_rows_are_taken_apart_where_the_mask_is_much_larger() -> None:
    def of(prompt: int, replies: int, length: int) -> bool:
        return split_attention._worth(lay_out([[Group(ids(prompt, 1), tuple(ids(length, k) for k in range(replies)))]], 0, CPU))

    assert of(64, 8, 64)
    assert of(8, 2, 256)
    assert not of(256, 8, 64)
    assert not of(512, 2, 64)


def test_a_model_with_dropout_or_an_attention_of_its_own_keeps_the_mask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(split_attention, "WORTH", 0.0)
    model = model_of("Llama", {"attention_dropout": 0.1}).train()
    hidden_of(model, layout())
    assert not split_attention._tried[body_of(model)]
    linear = {
        "layer_types": ["linear_attention", "full_attention"] * 2,
        "num_experts": 2,
        "num_experts_per_tok": 1,
        "moe_intermediate_size": 16,
    }
    recurrent = model_of("Qwen3Next", {**linear, "shared_expert_intermediate_size": 16, "head_dim": 16})
    where = layout()
    config = recurrent.config.get_text_config()
    assert split_attention.split_hidden(recurrent, body_of(recurrent), where, mask_of(where, config, torch.float32)) is None
