"""Reward models: learn the order people gave, read the last token whatever the padding, load in plain transformers."""

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForSequenceClassification

from trueline.algos.losses.reward import bradley_terry
from trueline.charter.turns import Message
from trueline.core.records import Preference
from trueline.engine.loading import load_local
from trueline.engine.tiny import tiny_model
from trueline.errors import TrainingError
from trueline.train.dpo import encode_pairs
from trueline.train.reward import RewardSettings, reward_accuracy, rewards, run_reward, with_head
from trueline.train.saving import save_model

PAIRS = [
    Preference((Message("user", f"What is fee {i}?"),), f"It is {i} euros, and here is why.", "No." * (i % 4 + 1), margin=i % 2)
    for i in range(16)
]


def test_bradley_terry_by_hand() -> None:
    # -log sigmoid(2 - 1) = 0.3132617; the margin 1 makes it -log sigmoid(0) = log 2
    c, r = torch.tensor([2.0], requires_grad=True), torch.tensor([1.0])
    assert bradley_terry(c, r).item() == pytest.approx(0.3132617, abs=1e-6)
    assert bradley_terry(c, r, torch.tensor([1.0])).item() == pytest.approx(0.6931472, abs=1e-6)
    for far in (-1e4, 1e4):
        loss = bradley_terry(c + far, r).sum()
        (gradient,) = torch.autograd.grad(loss, c)
        assert torch.isfinite(loss)
        assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("architecture", ["llama", "qwen3", "gemma3", "mistral", "gpt2"])
def test_it_learns_and_comes_back_from_disk(architecture: str, tmp_path: Path) -> None:
    local = with_head(load_local(tiny_model(architecture, tmp_path / "m"), device="cpu"), seed=1)
    report = run_reward(local, PAIRS, RewardSettings(epochs=8, lr=5e-3, batch_tokens=512), tmp_path / "run")
    assert report.metrics["accuracy"] == 1.0
    assert reward_accuracy(local, PAIRS, 512) == (16, 16, 0)
    save_model(local, tmp_path / "out", "float32")
    rows = encode_pairs(local, PAIRS, 512).chosen
    mine = rewards(local, rows, 0)
    again = AutoModelForSequenceClassification.from_pretrained(tmp_path / "out").eval()
    with torch.no_grad():
        theirs = torch.cat([again(input_ids=torch.tensor([r.prompt + r.completion])).logits[:, 0] for r in rows])
    assert torch.allclose(mine, theirs, atol=1e-4)


def test_padding_does_not_change_a_reward(tmp_path: Path) -> None:
    local = with_head(load_local(tiny_model("llama", tmp_path), device="cpu"), seed=0)
    data = encode_pairs(local, PAIRS, 512)
    rows = [*data.chosen, *data.rejected]
    together = rewards(local, rows, 0)
    alone = torch.cat([rewards(local, [r], 0) for r in rows])
    assert torch.allclose(together, alone, atol=1e-5)


def test_the_margin_counts_and_the_head_follows_the_seed(tmp_path: Path) -> None:
    folder = tiny_model("llama", tmp_path / "m")

    def loss(margin: bool, seed: int) -> float:
        local = with_head(load_local(folder, device="cpu"), seed=seed)
        settings = RewardSettings(lr=1e-9, batch_tokens=10_000, margin=margin)
        return run_reward(local, PAIRS, settings, tmp_path / f"{margin}{seed}").metrics["loss"]

    assert loss(True, 0) > loss(False, 0)
    assert loss(False, 0) != loss(False, 1)


def test_nothing_that_fits_is_an_error(tmp_path: Path) -> None:
    local = with_head(load_local(tiny_model("llama", tmp_path), device="cpu"), seed=0)
    with pytest.raises(TrainingError, match="none of 16"):
        run_reward(local, PAIRS, RewardSettings(max_tokens=8), tmp_path / "run")
