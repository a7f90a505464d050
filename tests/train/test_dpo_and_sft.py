"""Training: shared prompts give the same numbers, interrupted runs the same weights, and mistakes are named."""

from pathlib import Path

import pytest
import torch

from trueline.charter.turns import Message
from trueline.core.records import Preference
from trueline.data.conversations import Example
from trueline.engine.loading import LocalModel, load_local
from trueline.engine.tiny import ARCHITECTURES, tiny_model
from trueline.errors import TrainingError
from trueline.train import loop
from trueline.train.batching import batches
from trueline.train.dpo import DpoSettings, encode_pairs, run_dpo
from trueline.train.lora import LoraSettings, merged, put_on
from trueline.train.saving import save_model
from trueline.train.sft import SftSettings, run_sft
from trueline.train.shared import can_share, pair_logps, shared_logps

PAIRS = [
    Preference((Message("system", "Be kind."), Message("user", f"What is the fee number {i}?")), f"It is {i} euros.", "No." * (i % 3 + 1))
    for i in range(12)
]
EXAMPLES = [Example(p.prompt, p.chosen) for p in PAIRS]


def tiny(folder: Path, architecture: str = "llama") -> LocalModel:
    return load_local(tiny_model(architecture, folder), device="cpu")


def weights(local: LocalModel) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in local.model.parameters()])


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_shared_equals_unshared_or_is_refused(architecture: str, tmp_path: Path) -> None:
    local = tiny(tmp_path, architecture)
    data = encode_pairs(local, PAIRS, 512)
    shares, why = can_share(local.model, data.chosen, data.rejected, 0, local.device)
    assert why
    if architecture in ("llama", "qwen3", "mistral", "gpt2"):
        assert shares, why
    if shares:
        loss = []
        for form in (shared_logps, pair_logps):
            c, r = form(local.model, data.chosen, data.rejected, 0, local.device)
            (c - r).sum().backward()
            gradient = torch.cat([p.grad.flatten() for p in local.model.parameters() if p.grad is not None])
            loss.append((c, r, gradient))
            local.model.zero_grad()
        for a, b in zip(*loss, strict=True):
            assert torch.allclose(a, b, atol=2e-4)


def test_sft_learns_and_dpo_widens_the_margin(tmp_path: Path) -> None:
    local = tiny(tmp_path / "m")
    first = run_sft(local, EXAMPLES, SftSettings(epochs=1, lr=5e-3, batch_tokens=256), tmp_path / "a")
    more = run_sft(local, EXAMPLES, SftSettings(epochs=12, lr=5e-3, batch_tokens=256), tmp_path / "b")
    assert more.metrics["loss"] < first.metrics["loss"]
    report = run_dpo(local, PAIRS, DpoSettings(epochs=6, lr=1e-3, batch_tokens=256), tmp_path / "c")
    assert report.metrics["margin"] > 0
    assert report.metrics["accuracy"] > 0.9
    assert report.metrics["shared_prompt"] == 1.0


@pytest.mark.parametrize("method", ["sft", "dpo"])
def test_interrupted_equals_uninterrupted(method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Cut(Exception):
        pass

    def go(folder: Path, stop: int | None) -> torch.Tensor:
        local = tiny(tmp_path / "m")

        def progress(step: int, of: int, value: float) -> None:
            if stop is not None and step > stop:
                raise Cut

        settings = {"epochs": 3, "lr": 1e-3, "batch_tokens": 256}
        if method == "sft":
            run_sft(local, EXAMPLES, SftSettings(**settings), folder, progress)  # type: ignore[arg-type]
        else:
            run_dpo(local, PAIRS, DpoSettings(**settings), folder, progress)  # type: ignore[arg-type]
        return weights(local)

    whole = go(tmp_path / "whole", None)
    monkeypatch.setattr(loop, "SAVE_SECONDS", -1.0)
    with pytest.raises(Cut):
        go(tmp_path / "cut", 5)
    assert torch.equal(go(tmp_path / "cut", None), whole)


def test_what_does_not_fit_is_counted_and_nothing_is_cut(tmp_path: Path) -> None:
    local = tiny(tmp_path / "m")
    long = Example((Message("user", "word " * 400),), "yes")
    assert run_sft(local, [*EXAMPLES, long], SftSettings(epochs=1, max_tokens=200), tmp_path / "a").too_long == 1
    with pytest.raises(TrainingError, match="none of 1"):
        run_sft(local, [long], SftSettings(max_tokens=50), tmp_path / "b")


def test_another_reference_is_noticed(tmp_path: Path) -> None:
    local = tiny(tmp_path / "m")
    run_dpo(local, PAIRS, DpoSettings(epochs=4, lr=5e-3), tmp_path / "a")
    with pytest.raises(TrainingError, match="the reference is not this model"):
        run_dpo(local, PAIRS, DpoSettings(epochs=1, lr=1e-3), tmp_path / "a")


def test_lora_trains_merges_and_saves(tmp_path: Path) -> None:
    local = tiny(tmp_path / "m")
    before = weights(local).clone()
    wrapped = put_on(local, LoraSettings(r=4, alpha=8))
    run_sft(wrapped, EXAMPLES, SftSettings(epochs=2, lr=1e-2), tmp_path / "a")
    whole = merged(wrapped, tmp_path)
    assert not torch.equal(weights(whole), before)
    save_model(whole, tmp_path / "out", "float32")
    again = load_local(tmp_path / "out", device="cpu")
    assert torch.allclose(weights(again), weights(whole))


def test_batches_hold_everything_once_within_budget() -> None:
    lengths = [5, 9, 30, 7, 100, 12]
    for epoch in range(3):
        found = batches(lengths, 60, 0, epoch)
        assert sorted(i for b in found for i in b) == list(range(6))
        assert all(len(b) == 1 or max(lengths[i] for i in b) * len(b) <= 60 for b in found)
    assert batches(lengths, 60, 0, 0) == batches(lengths, 60, 0, 0)
