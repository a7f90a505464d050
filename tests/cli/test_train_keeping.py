"""`trueline train sft` with the mitigations: each flag does what it says, and is refused where it would do nothing."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from trueline.cli.keeping import safety_examples
from trueline.cli.main import run
from trueline.engine.loading import load_local
from trueline.engine.tiny import tiny_model

USERS = [{"prompt": f"What is fee {i}?", "completion": f"It is {i} euros."} for i in range(40)]
SAFE = [{"prompt": f"How do I do the forbidden thing {i}?", "completion": "I cannot help with that."} for i in range(4)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keeping")
    tiny_model("llama", path / "aligned", 0)
    tiny_model("llama", path / "before", 1)
    for name, rows in (("users", USERS), ("safe", SAFE)):
        (path / f"{name}.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    return path


def words(folder: Path, out: Path, *more: str) -> list[str]:
    given = ["--model", str(folder / "aligned"), "--data", str(folder / "users.jsonl"), "--out", str(out), "--batch-tokens", "64"]
    return ["train", "sft", *given, *more]


def trained(folder: Path, out: Path, capsys: pytest.CaptureFixture[str], *more: str) -> dict[str, Any]:
    assert run([*words(folder, out, *more), "--json"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert isinstance(told, dict)
    return told


def weights(out: Path) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in load_local(out / "model", device="cpu").model.parameters()])


def test_every_mitigation_runs_and_changes_what_is_learnt(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    safe, before = str(folder / "safe.jsonl"), str(folder / "before")
    ways = {
        "plain": [],
        "mixed": ["--safety-mix", "0.2", "--safety-data", safe],
        "held": ["--first-tokens"],
        "lisa": ["--lisa", "1", "--safety-data", safe, "--epochs", "2"],
        "projected": ["--safe-lora", "1", "--unaligned", before],
        "adapters": ["--safe-lora", "1", "--unaligned", before, "--safe-lora-form", "subspace", "--lora", "2"],
    }
    told = {name: trained(folder, tmp_path / name, capsys, *more) for name, more in ways.items()}
    assert told["mixed"]["rows"] == 50
    assert told["mixed"]["safety_mix"] == "10 of 50 examples are safety examples, of only 4: some come 3 times"
    assert told["lisa"]["rows"] == 40
    assert told["lisa"]["steps"] > told["plain"]["steps"]
    for name in ("projected", "adapters"):
        assert "linear layers projected" in told[name]["safe_lora"]
        assert not told[name]["safe_lora"].startswith("0 of")
    found = {name: weights(tmp_path / name) for name in ways}
    assert all(not torch.equal(found["plain"], w) for name, w in found.items() if name != "plain")


@pytest.mark.parametrize(
    ("more", "word"),
    [
        (["--safety-data", "x.jsonl"], "--safety-data has no effect without --safety-mix or --lisa"),
        (["--unaligned", "m"], "--unaligned has no effect without --safe-lora"),
        (["--safe-lora-form", "paper"], "--safe-lora-form has no effect without --safe-lora"),
        (["--safety-mix", "0.1"], "need demonstrations to keep"),
        (["--lisa", "1"], "need demonstrations to keep"),
        (["--safe-lora", "0.35"], "needs the model before it was aligned"),
        (["--safe-lora", "2", "--unaligned", "m"], "a cosine above 0 and at most 1, got 2.0"),
        (["--safety-mix", "0.1", "--lisa", "1", "--safety-data", "x"], "choose one of them"),
        (["--lisa", "-1", "--safety-data", "SAFE"], "lisa must be a number above 0, got -1.0"),
        (["--lisa", "1", "--safety-data", "SAFE", "--batch-tokens", "4096"], "Lisa has no effect"),
        (["--safety-mix", "1.5", "--safety-data", "SAFE"], "must lie between 0 and 1, got 1.5"),
        (["--safety-mix", "0.0001", "--safety-data", "SAFE"], "has no effect on 40 examples"),
        (["--first-tokens", "--packing", "on"], "packing on has no effect with first_tokens"),
        (["--safe-lora", "0.35", "--unaligned", "ALIGNED"], "no direction of alignment"),
        (["--safety-mix", "0.1", "--safety-data", "nothing.jsonl"], "nothing.jsonl"),
    ],
)
def test_without_effect_is_an_error(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], word: str) -> None:
    known = {"SAFE": str(folder / "safe.jsonl"), "ALIGNED": str(folder / "aligned")}
    assert run(words(folder, tmp_path / "out", *(known.get(m, m) for m in more))) == 64
    said = capsys.readouterr().err
    assert word in said
    assert "Traceback" not in said
    assert not (tmp_path / "out" / "model").exists()


def test_a_charter_is_safety_data_too() -> None:
    """Its demonstrations stand behind its own compiled prompt, none of them from the side that tests."""
    found = safety_examples("bundled:harbor_bank", 64, lambda text: len(text.split()))
    assert len(found) > 1000
    assert {e.prompt[0].role for e in found} == {"system"}
    assert all(len(e.prompt[0].content.split()) <= 64 for e in found[:20])
