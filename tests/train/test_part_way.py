"""Part of the way: the saved weights against the average worked by hand, adapters against whole weights, and a start that was replaced."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from trueline.engine.loading import LocalModel, load_local
from trueline.engine.tiny import tiny_model
from trueline.errors import RunFileError, TrainingError
from trueline.train.keeping.part_way import go_part_way
from trueline.train.lora import LoraSettings, merged, put_on


def weights(local: LocalModel) -> dict[str, torch.Tensor]:
    return {n: p.detach().clone() for n, p in local.model.named_parameters()}


def moved(local: LocalModel) -> dict[str, torch.Tensor]:
    """Moves every weight, each by numbers of its own; where they are then."""
    with torch.no_grad():
        for i, p in enumerate(local.model.parameters()):
            p += torch.linspace(-1, 1, p.numel()).reshape(p.shape) * (i + 1)
    return weights(local)


def test_every_weight_is_the_average(tmp_path: Path) -> None:
    local = load_local(tiny_model("llama", tmp_path / "m"), device="cpu")
    start = weights(local)
    end = moved(local)
    assert "0.25 of the way" in go_part_way(local, local, 0.25)
    found = weights(local)
    assert all(torch.allclose(found[n], 0.75 * start[n] + 0.25 * end[n], atol=1e-6) for n in start)
    assert not any(torch.allclose(found[n], end[n], atol=1e-3) for n in start)


def test_a_weight_that_did_not_move_keeps_its_bits(tmp_path: Path) -> None:
    local = load_local(tiny_model("llama", tmp_path / "m"), device="cpu")
    start = weights(local)
    go_part_way(local, local, 0.3)
    assert all(torch.equal(p, start[n]) for n, p in weights(local).items())


def test_adapters_are_scaled_to_the_same_average(tmp_path: Path) -> None:
    """The merged model is the average of the start and of what the adapters would have merged to."""
    folder, found = tiny_model("llama", tmp_path / "m"), {}
    for share in (None, 0.5):
        local = load_local(folder, device="cpu")
        trained = put_on(local, LoraSettings(2, 4))
        torch.manual_seed(0)
        with torch.no_grad():
            for module in trained.model.modules():
                if hasattr(module, "lora_B"):
                    module.lora_B["default"].weight.normal_()
        if share is not None:
            go_part_way(local, trained, share)
        found[share] = weights(merged(trained, tmp_path / "adapter"))
    start = weights(load_local(folder, device="cpu"))
    assert any(not torch.allclose(start[n], w, atol=1e-2) for n, w in found[None].items())
    assert all(torch.allclose(found[0.5][n], (start[n] + w) / 2, atol=1e-5) for n, w in found[None].items())


@pytest.mark.parametrize("share", [0.0, 1.0, -0.5, 1.5, float("nan")])
def test_no_part_is_said(tmp_path: Path, share: float) -> None:
    local = load_local(tiny_model("llama", tmp_path / "m"), device="cpu")
    with pytest.raises(RunFileError, match="between 0 and 1"):
        go_part_way(local, local, share)


def test_a_start_that_was_replaced_is_said(tmp_path: Path) -> None:
    local = load_local(tiny_model("llama", tmp_path / "m", 0), device="cpu")
    end = moved(local)
    tiny_model("llama", tmp_path / "m", 1)
    with pytest.raises(TrainingError, match="other weights than when training began"):
        go_part_way(local, local, 0.5)
    assert all(torch.equal(p, end[n]) for n, p in weights(local).items())
