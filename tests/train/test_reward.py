"""Reward models on causal models: learn what people said in every form, read the last token, share prompts, resume, come back from disk."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification

from trueline.algos.losses.reward import bradley_terry
from trueline.charter.turns import Message
from trueline.core.records import Preference
from trueline.data.rankings import Ranking, Rated
from trueline.engine.loading import load_local
from trueline.engine.tiny import tiny_model
from trueline.errors import TargetError, TrainingError
from trueline.train import loop
from trueline.train.judged import of_pairs, of_rankings, of_ratings
from trueline.train.reward import load_reward, save_reward, score
from trueline.train.reward_causal import RewardSettings, encode_groups, rewards, shared_rewards, train_causal, with_head
from trueline.train.reward_model import held_out_report

PAIRS = [
    Preference((Message("user", f"What is fee {i}?"),), f"It is {i} euros, and here is why.", "No." * (i % 4 + 1), margin=i % 2)
    for i in range(16)
]
ROWS = of_pairs(PAIRS)
FAST = RewardSettings(epochs=8, lr=5e-3, batch_tokens=512, calibration=0.0)


def accuracy(model: object, rows: list) -> float:  # type: ignore[type-arg]
    scores = np.array(score(model, [(r.prompt, reply) for r in rows for reply in r.replies]))  # type: ignore[arg-type]
    return held_out_report(rows, scores)["held_out_accuracy"]["estimate"]  # type: ignore[index, no-any-return]


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
    local = load_local(tiny_model(architecture, tmp_path / "m"), device="cpu")
    model, report, told = train_causal(local, ROWS, FAST, tmp_path / "run")
    assert report.metrics["accuracy"] == 1.0
    assert str(told["shared_prompt"]).startswith("yes")
    assert accuracy(model, ROWS) == 1.0
    save_reward(model, tmp_path / "out")
    talks = [(p.prompt, p.chosen) for p in PAIRS]
    assert score(load_reward(tmp_path / "out"), talks) == pytest.approx(score(model, talks), abs=1e-4)
    again = AutoModelForSequenceClassification.from_pretrained(tmp_path / "out").eval()
    rows = [g[0] for g in encode_groups(local, ROWS, 512).groups]
    with torch.no_grad():
        theirs = torch.cat([again(input_ids=torch.tensor([r.prompt + r.completion])).logits[:, 0] for r in rows])
    assert torch.allclose(torch.tensor(model.members.rewards(talks)[0]).float(), theirs, atol=1e-4)


def test_padding_and_sharing_do_not_change_a_reward(tmp_path: Path) -> None:
    local = with_head(load_local(tiny_model("llama", tmp_path), device="cpu"), seed=0)
    three = [Ranking(p.prompt, (p.chosen, p.rejected, "Ask again, please."), (1, 2, 3)) for p in PAIRS]
    groups = encode_groups(local, of_rankings(three), 512).groups
    together = rewards(local, [r for g in groups for r in g], 0)
    alone = torch.cat([rewards(local, [r], 0) for g in groups for r in g])
    assert torch.allclose(together, alone, atol=1e-5)
    assert torch.allclose(shared_rewards(local, groups, 0), alone, atol=1e-5)


def test_the_margin_counts_and_the_head_follows_the_seed(tmp_path: Path) -> None:
    local = load_local(tiny_model("llama", tmp_path / "m"), device="cpu")

    def loss(margin: bool, seed: int) -> float:
        settings = RewardSettings(lr=1e-9, batch_tokens=10_000, margin=margin, seed=seed, calibration=0.0)
        return train_causal(local, ROWS, settings, tmp_path / f"{margin}{seed}")[1].metrics["loss"]

    assert loss(True, 0) > loss(False, 0)
    assert loss(False, 0) != loss(False, 1)


def test_shared_and_unshared_training_end_alike(tmp_path: Path) -> None:
    local = load_local(tiny_model("llama", tmp_path / "m"), device="cpu")
    ends = []
    for share in (True, False):
        settings = RewardSettings(precision="float32", epochs=2, lr=1e-3, batch_tokens=10_000, share_prompt=share, calibration=0.0)
        model, report, told = train_causal(local, ROWS, settings, tmp_path / str(share))
        assert str(told["shared_prompt"]).startswith("yes" if share else "no: switched off")
        ends.append((report.metrics["loss"], score(model, [(p.prompt, p.chosen) for p in PAIRS])))
    assert ends[0][0] == pytest.approx(ends[1][0], rel=1e-4)
    assert ends[0][1] == pytest.approx(ends[1][1], abs=1e-3)


def test_rankings_with_a_tie_and_ratings_are_learnt(tmp_path: Path) -> None:
    local = load_local(tiny_model("llama", tmp_path / "m"), device="cpu")
    rankings = [Ranking(p.prompt, (p.rejected, p.chosen, "Ask again, please."), (3, 1, 3)) for p in PAIRS]
    model, _, _ = train_causal(local, of_rankings(rankings), RewardSettings(**{**vars_of(FAST), "loss": "plackett-luce"}), tmp_path / "r")
    assert accuracy(model, of_rankings(rankings)) == 1.0
    ratings = [Rated(p.prompt, reply, n) for p in PAIRS for reply, n in ((p.chosen, 5), (p.rejected, 1), ("Ask again, please.", 3))]
    settings = RewardSettings(**{**vars_of(FAST), "loss": "ordinal", "epochs": 20})
    model, _, told = train_causal(local, of_ratings(ratings), settings, tmp_path / "s")
    assert accuracy(model, of_ratings(ratings)) > 0.9
    assert "one reply" in str(told["shared_prompt"])
    (thresholds,) = model.thresholds
    assert len(thresholds) == 2
    assert thresholds[0] < thresholds[1]
    save_reward(model, tmp_path / "out")
    assert load_reward(tmp_path / "out").thresholds[0] == pytest.approx(thresholds)


def vars_of(settings: RewardSettings) -> dict[str, object]:
    return {name: getattr(settings, name) for name in RewardSettings.__dataclass_fields__}


def test_an_ensemble_has_members_that_differ_and_a_second_run_is_the_same(tmp_path: Path) -> None:
    local = load_local(tiny_model("llama", tmp_path / "m"), device="cpu")
    settings = RewardSettings(**{**vars_of(FAST), "epochs": 2, "members": 3, "combine": "mean-std", "penalty": 1.0})
    model, _, _ = train_causal(local, ROWS, settings, tmp_path / "run")
    talks = [(p.prompt, p.chosen) for p in PAIRS]
    each = model.members.rewards(talks)
    assert each.shape == (3, 16)
    assert np.abs(each[0] - each[1]).max() > 1e-3
    save_reward(model, tmp_path / "out")
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["member-0", "member-1", "member-2", "reward.json"]
    assert score(load_reward(tmp_path / "out"), talks) == pytest.approx(score(model, talks), abs=1e-4)
    again, _, _ = train_causal(local, ROWS, settings, tmp_path / "again")
    assert score(again, talks) == score(model, talks)


def test_a_run_cut_in_the_second_member_goes_on_to_the_same_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "SAVE_SECONDS", 0.0)
    local = load_local(tiny_model("llama", tmp_path / "m"), device="cpu")
    settings = RewardSettings(**{**vars_of(FAST), "epochs": 2, "members": 2, "combine": "min"})

    class Cut(Exception):
        pass

    def cut(step: int, of: int, loss: float) -> None:
        if step == of - 1:
            raise Cut

    talks = [(p.prompt, p.chosen) for p in PAIRS]
    whole, _, _ = train_causal(local, ROWS, settings, tmp_path / "whole")
    with pytest.raises(Cut):
        train_causal(local, ROWS, settings, tmp_path / "cut", lambda k: cut if k == 1 else None)
    resumed, _, _ = train_causal(local, ROWS, settings, tmp_path / "cut")
    assert score(resumed, talks) == score(whole, talks)


def test_nothing_that_fits_is_an_error(tmp_path: Path) -> None:
    local = load_local(tiny_model("llama", tmp_path), device="cpu")
    with pytest.raises(TrainingError, match="none of 16"):
        train_causal(local, ROWS, RewardSettings(max_tokens=8), tmp_path / "run")
    weightless = of_pairs([Preference(p.prompt, p.chosen, p.rejected, weight=0.0) for p in PAIRS])
    with pytest.raises(TrainingError, match="weights are 0"):
        train_causal(local, weightless, RewardSettings(), tmp_path / "run")


def test_a_spoilt_folder_is_one_line(tmp_path: Path) -> None:
    local = load_local(tiny_model("llama", tmp_path / "m"), device="cpu")
    model, _, _ = train_causal(local, ROWS[:4], RewardSettings(calibration=0.0), tmp_path / "run")
    out = tmp_path / "out"
    save_reward(model, out)
    with pytest.raises(TargetError, match="no reward model"):
        load_reward(tmp_path)
    good = json.loads((out / "reward.json").read_text())
    for change in ({"temperature": 0}, {"combine": "max"}, {"members": 2}, {"centres": ["x"]}, {"backbone": "magic"}, {"format": 9}):
        (out / "reward.json").write_text(json.dumps({**good, **change}))
        with pytest.raises(TargetError):
            load_reward(out)
    (out / "reward.json").write_text(json.dumps(good))
    torch.save({}, out / "pytorch_model.bin")
    (out / "model.safetensors").unlink()
    with pytest.raises(TargetError, match="could run code"):
        load_reward(out)
