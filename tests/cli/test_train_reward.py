"""`trueline train reward` from a file to a folder that scores: every kind of data and backbone, and the options that would do nothing."""

import json
from pathlib import Path
from typing import Any

import pytest

from trueline.charter.turns import Message
from trueline.cli.main import run
from trueline.engine.tiny import tiny_model
from trueline.train.reward import load_reward, score

PAIRS = [
    {"prompt": f"Fee {i}?", "chosen": f"It is {i} euros, gladly.", "rejected": "No, go away." + "!" * (i % 4), "source": "ab"[i % 2]}
    for i in range(60)
]
RANKINGS = [{"prompt": p["prompt"], "completions": [p["rejected"], p["chosen"], "Hm."], "ranks": [2, 1, 2]} for p in PAIRS]
RATINGS = [{"prompt": p["prompt"], "completion": p[side], "rating": n} for p in PAIRS for side, n in (("chosen", 5), ("rejected", 1))]


def written(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    return path


def train(folder: Path, capsys: pytest.CaptureFixture[str], rows: list[dict[str, Any]], *more: str) -> dict[str, Any]:
    data = written(folder / "data.jsonl", rows)
    assert run(["train", "reward", "--data", str(data), "--out", str(folder / "out"), "--json", *more]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return found


@pytest.mark.parametrize(("loss", "rows"), [("bradley-terry", PAIRS), ("plackett-luce", RANKINGS), ("ordinal", RATINGS)])
def test_text_learns_from_pairs_rankings_and_ratings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], loss: str, rows: list[dict[str, Any]]
) -> None:
    told = train(tmp_path, capsys, rows, "--backbone", "text", "--loss", loss)
    assert told["held_out_accuracy"]["estimate"] > 0.9
    assert told["held_out_accuracy"]["n"] > 3
    assert "bins of equal mass" in told["ece_bins"]
    model = load_reward(tmp_path / "out" / "model")
    prompt = (Message("user", "Fee 99?"),)
    good, bad = score(model, [(prompt, "It is 99 euros, gladly."), (prompt, "No, go away.")])
    assert good > bad
    assert json.loads((tmp_path / "out" / "train.json").read_text())["digest"] == told["digest"]


def test_an_ensemble_of_causal_members_with_sources(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny_model("llama", tmp_path / "m")
    fast = ("--model", str(tmp_path / "m"), "--epochs", "4", "--lr", "0.005", "--batch-tokens", "512")
    told = train(tmp_path, capsys, PAIRS, *fast, "--members", "2", "--combine", "min")
    assert told["held_out_accuracy"]["estimate"] > 0.8
    assert set(told["accuracy_by_source"]) == {"a", "b"}
    assert told["shared_prompt"].startswith("yes")
    assert len(load_reward(tmp_path / "out" / "model").scale.centres) == 2
    assert not list((tmp_path / "out").rglob("checkpoint.pt"))


@pytest.mark.parametrize(
    ("option", "word"),
    [
        ([], "--model is missing"),
        (["--backbone", "magic"], "expected one of causal, encoder, text"),
        (["--backbone", "text", "--model", "m"], "--model has no effect on the backbone text"),
        (["--backbone", "text", "--epochs", "2"], "--epochs has no effect on the backbone text"),
        (["--backbone", "text", "--lr", "0.1"], "--lr has no effect"),
        (["--backbone", "text", "--loss", "magic"], "expected one of bradley-terry, plackett-luce, ordinal"),
        (["--backbone", "text", "--combine", "min"], "--combine has no effect on one member"),
        (["--backbone", "text", "--penalty", "1"], "--penalty has no effect on one member"),
        (["--backbone", "text", "--members", "3", "--penalty", "1"], "has no effect on mean"),
        (["--backbone", "text", "--members", "3", "--combine", "mean-std"], "needs a penalty"),
        (["--backbone", "text", "--members", "3", "--combine", "median"], "expected one of mean, min, mean-std"),
        (["--backbone", "text", "--loss", "ordinal"], "data.jsonl:1: 'rating' is missing"),
        (["--backbone", "text", "--loss", "plackett-luce"], "data.jsonl:1: 'completions' is missing"),
        (["--backbone", "text", "--beta", "1"], "--beta has no effect on reward"),
        (["--backbone", "encoder", "--model", "nowhere"], "no model folder"),
    ],
)
def test_what_would_do_nothing_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str], option: list[str], word: str) -> None:
    data = written(tmp_path / "data.jsonl", PAIRS)
    assert run(["train", "reward", "--data", str(data), "--out", str(tmp_path / "o"), *option]) == 64
    said = next(
        line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")
    )  # what is told of the data may stand before
    assert word in said
    assert not (tmp_path / "o").exists()


def test_too_few_pairs_to_take_length_off_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = written(tmp_path / "data.jsonl", PAIRS[:12])
    assert run(["train", "reward", "--data", str(data), "--out", str(tmp_path / "o"), "--backbone", "text", "--debias-length"]) == 70
    assert "expected at least 20" in capsys.readouterr().err


def test_other_methods_refuse_the_options_of_reward_models_and_need_a_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = written(tmp_path / "data.jsonl", PAIRS)
    for more, word in ((["--members", "2", "--model", "m"], "--members has no effect on dpo"), ([], "--model is missing, dpo needs one")):
        assert run(["train", "dpo", "--data", str(data), "--out", str(tmp_path / "o"), *more]) == 64
        assert word in capsys.readouterr().err
