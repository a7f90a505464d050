"""`trueline train`: each method from a file to a folder that loads, the options that have no effect, held-out accuracy."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from trueline.cli.main import run
from trueline.engine.loading import load_local
from trueline.engine.tiny import tiny_model

PAIRS = [{"prompt": f"What is fee {i}?", "chosen": f"It is {i} euros.", "rejected": "No." * (i % 4 + 1)} for i in range(40)]
DEMOS = [
    {
        "messages": [
            {"role": "user", "content": f"What is fee {i}?"},
            {"role": "assistant", "content": f"It is {i} euros."},
            {"role": "user", "content": "Sure?"},
            {"role": "assistant", "content": "Yes."},
        ]
    }
    for i in range(20)
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tiny_model("llama", tmp_path / "m")
    with gzip.open(tmp_path / "pairs.jsonl.gz", "wt") as f:
        f.write("".join(json.dumps(r) + "\n" for r in PAIRS))
    (tmp_path / "demos.jsonl").write_text("".join(json.dumps(r) + "\n" for r in DEMOS))
    return tmp_path


def train(folder: Path, capsys: pytest.CaptureFixture[str], method: str, data: str, *more: str) -> tuple[int, Any]:
    words = ["train", method, "--model", str(folder / "m"), "--data", str(folder / data), "--out", str(folder / method), "--json", *more]
    code = run(words)
    return code, json.loads(capsys.readouterr().out.splitlines()[-1])


def test_sft_full_and_lora(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for more in ([], ["--lora", "4"]):
        code, told = train(folder, capsys, "sft", "demos.jsonl", "--epochs", "2", *more)
        assert code == 0
        assert (told["rows"], told["too_long"]) == (20, 0)
        assert load_local(folder / "sft" / "model", device="cpu").digest == told["digest"]
        assert not (folder / "sft" / "checkpoint.pt").exists()
    whole, base_and_adapter = (load_local(folder / "sft" / name, device="cpu") for name in ("model", "adapter"))
    for mine, theirs in zip(whole.model.parameters(), base_and_adapter.model.parameters(), strict=True):
        assert torch.allclose(mine, theirs, atol=1e-6)


def test_sft_says_which_turns_count_and_how_rows_are_laid(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = train(folder, capsys, "sft", "demos.jsonl", "--turns", "all", "--packing", "on", "--accumulate", "2")[1]
    assert told["turns"].startswith("20 of 20 earlier turns")
    assert told["packing"].startswith("packed: packed equals unpacked within")
    told = train(folder, capsys, "sft", "demos.jsonl")[1]
    assert told["turns"].startswith("0 of 20 earlier turns")
    assert "packing" not in told
    for method, option, word in (("dpo", "--turns", "no effect on dpo"), ("sft", "--packing", "unknown packing 'all'")):
        words = [method, "--model", str(folder / "m"), "--data", str(folder / "pairs.jsonl.gz"), "--out", str(folder / "x"), option, "all"]
        assert run(["train", *words]) == 64
        assert word in capsys.readouterr().err


def test_dpo_measures_on_prompts_that_were_held_out(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, told = train(
        folder, capsys, "dpo", "pairs.jsonl.gz", "--held-out", "0.4", "--epochs", "8", "--lr", "0.005", "--batch-tokens", "512"
    )
    assert code == 0
    n = told["accuracy_after"]["n"]
    assert 5 < n < 30
    assert told["rows"] == 40 - n
    assert told["accuracy_after"]["estimate"] > 0.9
    assert told["accuracy_after"]["low"] < told["accuracy_after"]["estimate"]
    assert json.loads((folder / "dpo" / "train.json").read_text())["accuracy_after"] == told["accuracy_after"]


def test_preference_losses_by_name_say_their_reference_and_trend(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = ["--epochs", "4", "--lr", "0.005", "--batch-tokens", "512"]
    code, told = train(folder, capsys, "dpo", "pairs.jsonl.gz", "--loss", "simpo", "--gamma", "0.5", *small)
    assert (code, told["reference"]) == (0, "none, simpo has no reference")
    assert told["chosen_trend"]["last_margin"] > told["chosen_trend"]["first_margin"]
    assert "nats a token" in told["note"]
    rows = [{"prompt": r["prompt"], "completion": r[side], "label": side == "chosen"} for r in PAIRS for side in ("chosen", "rejected")]
    (folder / "rows.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    code, told = train(folder, capsys, "kto", "rows.jsonl", "--undesirable-weight", "1.2", *small)
    assert (code, told["rows"], told["desirable"]) == (0, 80, 40.0)
    assert told["balance"] == pytest.approx(1 / 1.2)
    assert str(folder / "m") in told["reference"]
    assert load_local(folder / "kto" / "model", device="cpu").digest == told["digest"]


def test_reward_says_when_there_is_too_little_to_measure(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, told = train(folder, capsys, "reward", "pairs.jsonl.gz", "--held-out", "0")
    assert code == 0
    assert "insufficient evidence" in told["held_out_accuracy"]["note"]
    code, told = train(folder, capsys, "reward", "pairs.jsonl.gz", "--epochs", "6", "--lr", "0.005", "--batch-tokens", "512")
    assert told["held_out_accuracy"]["estimate"] > 0.8


def test_rewards_train_by_each_method_and_say_what_they_are_worth(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A reward model from preferences, then PPO, GRPO and RLOO against it, with rules, a cost and a held-out reward."""
    (folder / "prompts.jsonl").write_text("".join(json.dumps({"prompt": f"What is fee {i}?"}) + "\n" for i in range(60)))
    (folder / "rules.yaml").write_text("rules: 1\npropositions:\n  - {id: short, is: words_at_most, words: 5, weight: 0.5}\n")
    assert train(folder, capsys, "reward", "pairs.jsonl.gz", "--batch-tokens", "512")[0] == 0
    judge = str(folder / "reward" / "model")
    small = ["--steps", "3", "--prompts", "4", "--max-new-tokens", "6", "--lr", "0.001", "--measure-every", "1", "--held-out", "0.4"]
    for method, more in (
        ("grpo", ["--reward", f"{judge}=2", "--rules", str(folder / "rules.yaml"), "--variant", "dapo", "--samples", "3"]),
        ("rloo", ["--reward", judge, "--lora", "4", "--kl-target", "2"]),
        ("ppo", ["--rules", str(folder / "rules.yaml"), "--cost", f"{judge}=0.1", "--value-model", judge, "--held-out-reward", judge]),
    ):
        code, told = train(folder, capsys, method, "prompts.jsonl", *small, *more)
        assert code == 0
        assert told["digest"] == load_local(folder / method / "model", device="cpu").digest
        assert told["steps"] == 3
        assert told["evidence"]["held_out_prompts"] > 10
        assert ("curves" in told["evidence"]) == (method == "ppo")
        assert not (folder / method / "best.safetensors").exists()
        assert json.loads((folder / method / "train.json").read_text())["reward"] == told["reward"]


def test_a_charter_rewards_what_its_grader_passes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["train", "grpo", "--model", str(folder / "m"), "--charter", "bundled:harbor_bank", "--prompt-budget", "64"]
    small = ["--steps", "1", "--prompts", "2", "--samples", "2", "--max-new-tokens", "4", "--held-out", "0"]
    assert run([*words, *small, "--out", str(folder / "c"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (told["steps"], told["evidence"]) == (1, None)
    assert told["reward"] in (0.0, 0.25, 0.5, 0.75, 1.0)


@pytest.mark.parametrize(
    ("method", "option", "word"),
    [
        ("sft", ["--beta", "0.2"], "--beta has no effect on sft"),
        ("sft", ["--held-out", "0.2"], "--held-out has no effect on sft"),
        ("reward", ["--loss", "ipo"], "unknown --loss 'ipo', expected one of bradley-terry"),
        ("reward", ["--lora", "8"], "--lora has no effect on reward"),
        ("dpo", ["--loss", "ipo", "--label-smoothing", "0.1"], "no effect on ipo"),
        ("dpo", ["--loss", "magic"], "expected one of dpo, dpo_norm"),
        ("dpo", ["--gamma", "1"], "gamma has no effect on dpo; remove it, or use simpo"),
        ("dpo", ["--loss", "simpo", "--desirable-weight", "2"], "--desirable-weight has no effect on dpo"),
        ("dpo", ["--loss", "orpo", "--sft-weight", "0"], "sft_weight has no effect on orpo"),
        ("dpo", ["--loss", "kto"], "trueline train kto"),
        ("dpo", ["--margin-weight", "1"], "no pair has a margin"),
        ("kto", ["--label-smoothing", "0.1"], "--label-smoothing has no effect on kto"),
        ("kto", ["--held-out", "0.2"], "--held-out has no effect on kto"),
        ("kto", ["--loss", "dpo"], "trueline train dpo"),
        ("kto", [], "pairs.jsonl.gz:1: this row is a pair"),
        ("sft", ["--gamma", "1"], "--gamma has no effect on sft"),
        ("magic", [], "unknown method 'magic', expected one of sft, dpo, kto, reward, constitution, grpo, rloo, ppo"),
        ("sft", ["--kl-weight", "1"], "remove it: it belongs to grpo, rloo, ppo"),
        ("rloo", ["--lam", "0.9"], "--lam has no effect on rloo"),
        ("grpo", ["--variant", "dr_grpo", "--drop-equal", "1", "--rules", "r"], "drop_equal has no effect on dr_grpo"),
        ("grpo", [], "no reward: there is nothing to maximise"),
        ("grpo", ["--reward", "nowhere"], "no reward model at nowhere"),
        ("ppo", ["--cost", "nowhere"], "does not end with =NUMBER"),
        ("ppo", ["--cost-rate", "1"], "--cost-rate has no effect without --cost"),
    ],
)
def test_options_without_effect_are_errors(
    folder: Path, capsys: pytest.CaptureFixture[str], method: str, option: list[str], word: str
) -> None:
    code = run(
        ["train", method, "--model", str(folder / "m"), "--data", str(folder / "pairs.jsonl.gz"), "--out", str(folder / "o"), *option]
    )
    said = capsys.readouterr().err.strip().split("\n")
    assert code == 64
    assert word in said[-1]
    assert sum("error: " in line for line in said) == 1
    assert not (folder / "o").exists()
