"""Layouts: who sees whom, which token is predicted from where, and that real architectures compute them right."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch

from trueline.train.batching import Row
from trueline.train.layout import Group, lay_out, mask_of
from trueline.train.shared import can_share, groups_of, layout_logps, pair_logps

CPU = torch.device("cpu")
SIZES: dict[str, Any] = {
    "vocab_size": 512, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 4, "num_attention_heads": 2, "num_key_value_heads": 2,
    "max_position_embeddings": 512, "pad_token_id": 0, "eos_token_id": 1, "bos_token_id": None, "initializer_range": 0.1,
}  # fmt: skip
MORE: dict[str, dict[str, Any]] = {
    "Llama": {}, "Qwen2": {}, "Qwen3": {"head_dim": 16}, "Gemma2": {"head_dim": 16, "sliding_window": 16},
    "Gemma3Text": {"head_dim": 16, "sliding_window": 16, "num_hidden_layers": 6}, "Mistral": {"sliding_window": 16}, "Cohere2": {"sliding_window": 16},
    "Granite": {"logits_scaling": 4.0}, "Phi3": {}, "Olmo2": {}, "Mixtral": {"num_local_experts": 4, "sliding_window": None},
    "Llama4Text": {"head_dim": 16, "intermediate_size_mlp": 64, "num_local_experts": 2, "attention_chunk_size": 16},
}  # fmt: skip


def model_of(name: str, more: dict[str, Any]) -> Any:
    import transformers

    config = getattr(transformers, f"{name}Config")(**{**SIZES, **more})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return transformers.AutoModelForCausalLM.from_config(config).eval()


def some_pairs(n: int = 4) -> tuple[list[Row], list[Row]]:
    source = random.Random(0)

    def ids(low: int, high: int) -> tuple[int, ...]:
        return tuple(source.randrange(5, 512) for _ in range(source.randrange(low, high)))

    prompts = [ids(20, 60) for _ in range(n)]
    return [Row(p, ids(5, 30)) for p in prompts], [Row(p, ids(5, 30)) for p in prompts]


def test_by_hand() -> None:
    """Prompt (7, 8), replies (9) and (10, 11), a second group behind them in the same row, padding at the end of the other."""
    rows = [[Group((7, 8), ((9,), (10, 11))), Group((12,), ((13,),))], [Group((5,), ((6,),))]]
    found = lay_out(rows, 0, CPU)
    assert found.ids.tolist() == [[7, 8, 9, 10, 11, 12, 13], [5, 6, 0, 0, 0, 0, 0]]
    assert found.positions.tolist() == [[0, 1, 2, 2, 3, 0, 1], [0, 1, 0, 0, 0, 0, 0]]
    assert found.target.tolist() == [9, 10, 11, 13, 6]
    assert found.at.tolist() == [1, 1, 3, 5, 0]
    assert found.row.tolist() == [0, 0, 0, 0, 1]
    assert found.reply.tolist() == [0, 1, 1, 2, 3]
    assert found.ends.tolist() == [[0, 2], [0, 4], [0, 6], [1, 1]]
    seen = mask_of(found, object(), torch.float32)
    assert isinstance(seen, torch.Tensor)
    assert [[k for k in range(7) if seen[0, 0, q, k] == 0] for q in range(7)] == [
        [0],
        [0, 1],
        [0, 1, 2],
        [0, 1, 3],
        [0, 1, 3, 4],
        [5],
        [5, 6],
    ]


def test_a_window_counts_positions_not_places() -> None:
    """The second reply stands five places behind the prompt's start, but three positions."""
    found = lay_out([[Group((1, 2), ((3, 4), (5, 6)))]], 0, CPU)
    config = type("Config", (), {"layer_types": ["full_attention", "sliding_attention"], "sliding_window": 3})
    masks = mask_of(found, config, torch.float32)
    assert isinstance(masks, dict)
    assert [k for k in range(6) if masks["sliding_attention"][0, 0, 5, k] == 0] == [1, 4, 5]
    assert [k for k in range(6) if masks["full_attention"][0, 0, 5, k] == 0] == [0, 1, 4, 5]


@pytest.mark.parametrize("name", MORE)
def test_shared_and_packed_equal_two_rows(name: str) -> None:
    """Windows and chunks of 16 tokens are shorter than every row, so a mask in places instead of positions would show."""
    model, (chosen, rejected) = model_of(name, MORE[name]), some_pairs()
    shares, why = can_share(model, chosen, rejected, 0, CPU)
    assert shares, why
    layout = lay_out([[g for row in groups_of(chosen, rejected) for g in row]], 0, CPU)  # all pairs in one row
    with torch.no_grad():
        sums = torch.zeros(8).index_add(0, layout.reply, layout_logps(model, layout))
        c, r = pair_logps(model, chosen, rejected, 0, CPU)
    torch.testing.assert_close(sums[0::2], c, atol=1e-3, rtol=0)
    torch.testing.assert_close(sums[1::2], r, atol=1e-3, rtol=0)


def test_a_model_that_cannot_share_says_so() -> None:
    linear = {"linear_num_value_heads": 2, "linear_num_key_heads": 2, "linear_key_head_dim": 16, "linear_value_head_dim": 16}
    experts = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32, "shared_expert_intermediate_size": 32}
    shares, why = can_share(model_of("Qwen3Next", {**linear, **experts, "head_dim": 16}), *some_pairs(), 0, CPU)
    assert not shares
    assert why
