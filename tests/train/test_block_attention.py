"""FlexAttention's blocks say what the mask says, and a model that is not on a GPU keeps its mask."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.train.test_layout import MORE, model_of
from tests.train.test_split_attention import layout
from trueline.errors import TrainingError
from trueline.train import block_attention
from trueline.train.batching import Row
from trueline.train.head import body_of
from trueline.train.layout import Mask, mask_of
from trueline.train.shared import groups_of, hidden_of, lay_out

PLAIN = ["Llama", "Qwen2", "Qwen3", "Olmo2", "Granite"]
GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU: FlexAttention has no backward pass on a processor")


def test_a_token_sees_what_the_mask_lets_it_see() -> None:
    where, config = layout(), model_of("Llama", MORE["Llama"]).config
    mask = mask_of(where, config, torch.float32)
    assert isinstance(mask, torch.Tensor)
    rows, width = where.ids.shape
    b, q, k = torch.meshgrid(torch.arange(rows), torch.arange(width), torch.arange(width), indexing="ij")
    assert torch.equal(block_attention.sees(where)(b, torch.tensor(0), q, k), mask[:, 0] == 0)


@pytest.mark.parametrize("name", PLAIN)
@torch.no_grad()
def test_equals_the_mask(name: str) -> None:
    model, where = model_of(name, MORE[name]), layout()
    body, before = body_of(model), model.config._attn_implementation
    mine = block_attention._hidden(model, body, where)
    theirs = hidden_of(model, where)
    assert model.config._attn_implementation == before
    torch.testing.assert_close(mine[where.pair >= 0], theirs[where.pair >= 0], atol=2e-5, rtol=1e-4)


def test_a_soft_cap_is_refused() -> None:
    """Gemma 2 caps its scores; this kernel does not, so it must not answer at all."""
    model, where = model_of("Gemma2", MORE["Gemma2"]), layout()
    with torch.no_grad(), pytest.raises(ValueError, match="with a mask"):
        block_attention._hidden(model, body_of(model), where)


def test_a_processor_keeps_the_mask() -> None:
    model, where = model_of("Llama", MORE["Llama"]), layout()

    def never() -> Mask:
        raise AssertionError("no mask is needed to say no")

    assert block_attention.block_hidden(model, body_of(model), where, never) is None
    assert block_attention.attention_of(model) == ""


def test_a_resumed_run_takes_the_kernel_that_its_start_took(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    where, answers = layout(), [(True, "blocks"), (False, "mask"), (False, "mask")]
    monkeypatch.setattr(block_attention, "_worth", lambda *_: answers.pop(0))

    def choice(key: str) -> bool:
        model = model_of("Llama", MORE["Llama"])
        block_attention.keep_choices(model, tmp_path, key)
        taken = block_attention._chosen(model, body_of(model), where, lambda: None)
        assert block_attention._chosen(model, body_of(model), where, lambda: None) is taken  # tried once
        assert ("blocks" if taken else "mask") in block_attention.attention_of(model)
        return taken

    assert [choice("run"), choice("run"), choice("another")] == [True, True, False]
    assert choice("another") is False
    assert len(answers) == 1


@pytest.mark.parametrize(
    "text",
    [
        "{",
        '{"key": "run", "choices": [[1, 2]]}',
        '{"key": "run", "choices": [["x", true, ""]]}',
        '{"key": "run", "choices": [[Infinity, true, ""]]}',
    ],
)
def test_choices_that_cannot_be_read_are_no_traceback(tmp_path: Path, text: str) -> None:
    (tmp_path / block_attention.FILE).write_text(text)
    with pytest.raises(TrainingError, match="cannot be read"):
        block_attention.keep_choices(model_of("Llama", MORE["Llama"]), tmp_path, "run")


@GPU
@pytest.mark.parametrize("name", PLAIN)
def test_on_a_gpu_value_and_gradient_equal_the_mask(name: str) -> None:
    model = model_of(name, MORE[name]).to("cuda")
    rows = [Row(tuple(5 + (37 * i + 11 * r) % 500 for i in range(600)), tuple(7 + (53 * i + r) % 400 for i in range(90))) for r in range(2)]
    where = lay_out(groups_of(rows, rows[::-1]), 0, torch.device("cuda"))
    real, parameters, body = where.pair >= 0, list(model.parameters()), body_of(model)
    found = []
    for blocks in (True, False):
        if blocks:
            out = block_attention._hidden(model, body, where)[real]
        else:
            mask = mask_of(where, model.config, torch.float32)
            out = body(input_ids=where.ids, attention_mask=mask, position_ids=where.positions, use_cache=False).last_hidden_state[real]
        gradient = torch.autograd.grad(out.pow(2).mean(), parameters, allow_unused=True)
        found.append((out.detach(), torch.cat([g.flatten() for g in gradient if g is not None])))
    torch.testing.assert_close(found[0][0], found[1][0], atol=2e-2, rtol=2e-2)  # a GPU multiplies float32 in TF32 inside the kernel
    assert float((found[0][1] - found[1][1]).norm() / found[1][1].norm()) < 2e-2


@GPU
def test_on_a_gpu_the_choice_is_told() -> None:
    model = model_of("Llama", MORE["Llama"]).to("cuda", torch.bfloat16)
    rows = [Row(tuple(5 + i % 500 for i in range(600)), tuple(7 + (i + r) % 400 for i in range(90))) for r in range(2)]
    where = lay_out(groups_of(rows[:1], rows[1:]), 0, torch.device("cuda"))
    assert hidden_of(model, where).isfinite().all()
    assert "FlexAttention" in block_attention.attention_of(model)
