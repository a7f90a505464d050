"""bfloat16 computes, float32 remembers: nothing small is lost, nothing frozen moves, an interrupted run ends the same."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from trueline.charter.turns import Message
from trueline.data.conversations import Example
from trueline.engine.loading import LocalModel, load_local
from trueline.engine.tiny import tiny_model
from trueline.errors import RunFileError
from trueline.train import loop
from trueline.train.lora import LoraSettings, put_on
from trueline.train.precision import computing_in, resolve
from trueline.train.sft import SftSettings, run_sft

CPU = torch.device("cpu")
EXAMPLES = [Example((Message("user", f"What is fee {i}?"),), f"The fee is {i} euros.") for i in range(24)]


def tiny(folder: Path) -> LocalModel:
    return load_local(tiny_model("llama", folder), device="cpu")


def weights(local: LocalModel) -> dict[str, torch.Tensor]:
    return {n: p.detach().clone() for n, p in local.model.named_parameters()}


def test_unknown_names_are_refused() -> None:
    assert resolve("float32", CPU) == "float32"
    assert resolve("auto", CPU) in ("float32", "bfloat16")
    with pytest.raises(RunFileError, match="unknown precision 'fp8', expected one of auto, float32, bfloat16"):
        resolve("fp8", CPU)


def test_an_update_too_small_for_bfloat16_is_remembered(tmp_path: Path) -> None:
    """1 + 2^-10 is 1 in bfloat16 (8 bits), but eight such steps are not."""
    local = tiny(tmp_path)
    with computing_in(local.model, "bfloat16") as master:
        name = next(n for n in master.weights if n.endswith("norm.weight"))
        for _ in range(8):
            master.weights[name] += 2**-10
            master.push()
            assert master.computing[name].dtype == torch.bfloat16
    found = dict(local.model.named_parameters())[name]
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.detach(), torch.full_like(found, 1 + 2**-7), rtol=0, atol=1e-6)


def test_what_is_frozen_comes_back_bit_for_bit_and_positions_stay_exact(tmp_path: Path) -> None:
    local = tiny(tmp_path)
    adapted = put_on(local, LoraSettings(r=4))
    frozen = {n: p.detach().clone() for n, p in adapted.model.named_parameters() if not p.requires_grad}
    rotary = adapted.model.model.rotary_emb.inv_freq.clone()
    with computing_in(adapted.model, "bfloat16") as master:
        assert all("lora_" in n for n in master.weights)
        assert torch.equal(adapted.model.model.rotary_emb.inv_freq, rotary)
        assert all(p.dtype == torch.bfloat16 for p in adapted.model.parameters())
    after = dict(adapted.model.named_parameters())
    assert frozen
    assert all(torch.equal(after[n], w) for n, w in frozen.items())


@pytest.mark.parametrize("lora", [False, True])
def test_it_learns_what_float32_learns(tmp_path: Path, lora: bool) -> None:
    loss = {}
    for precision in ("float32", "bfloat16"):
        local = tiny(tmp_path / precision)
        trained = put_on(local, LoraSettings(r=8)) if lora else local
        settings = SftSettings(epochs=10, lr=5e-3, batch_tokens=256, precision=precision)
        loss[precision] = run_sft(trained, EXAMPLES, settings, tmp_path / f"{precision}-run").metrics["loss"]
    first = SftSettings(epochs=1, lr=1e-9, batch_tokens=256, precision="float32")
    start = run_sft(tiny(tmp_path / "start"), EXAMPLES, first, tmp_path / "start-run").metrics["loss"]
    assert loss["float32"] < start - 0.3
    assert abs(loss["bfloat16"] - loss["float32"]) < 0.05 * start


def test_interrupted_equals_uninterrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Cut(Exception):
        pass

    def cut(done: int, of: int, loss: float) -> None:
        if done == of // 2:
            raise Cut

    monkeypatch.setattr(loop, "SAVE_SECONDS", 0.0)
    settings = SftSettings(epochs=3, lr=1e-3, batch_tokens=256, precision="bfloat16")
    whole, halved = tiny(tmp_path / "a"), tiny(tmp_path / "b")
    run_sft(whole, EXAMPLES, settings, tmp_path / "whole")
    with pytest.raises(Cut):
        run_sft(halved, EXAMPLES, settings, tmp_path / "halved", cut)
    assert all(p.dtype == torch.float32 for p in halved.model.parameters())  # also where the run broke off
    again = tiny(tmp_path / "c")
    run_sft(again, EXAMPLES, settings, tmp_path / "halved")
    assert all(torch.equal(a, b) for a, b in zip(weights(whole).values(), weights(again).values(), strict=True))
