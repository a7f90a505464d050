"""`trueline train --part-way`: what is saved and told by each method that has it, held-out accuracy of what is saved, and the resume."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import trueline.train.loop as loop
from trueline.cli.main import run
from trueline.engine.loading import load_local
from trueline.engine.tiny import tiny_model

ROW = ["--replies-a-row", "1"]  # else what is the fastest decides, and two runs differ in the last bits of their gradients
QUESTIONS = [f"What is fee {i}?" for i in range(24)]
ROWS: dict[str, list[dict[str, Any]]] = {
    "sft": [{"prompt": q, "completion": f"It is {i} euros."} for i, q in enumerate(QUESTIONS)],
    "dpo": [{"prompt": q, "chosen": f"It is {i} euros.", "rejected": "No."} for i, q in enumerate(QUESTIONS)],
    "kto": [{"prompt": q, "completion": f"It is {i} euros." if i % 2 else "No.", "label": bool(i % 2)} for i, q in enumerate(QUESTIONS)],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("part_way")
    tiny_model("llama", path / "start", 0)
    for name, rows in ROWS.items():
        (path / f"{name}.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    return path


def words(folder: Path, out: Path, method: str, *more: str) -> list[str]:
    given = ["--model", str(folder / "start"), "--data", str(folder / f"{method}.jsonl"), "--out", str(out), "--batch-tokens", "128"]
    return ["train", method, *given, "--lr", "0.01", *more]


def trained(folder: Path, out: Path, capsys: pytest.CaptureFixture[str], method: str, *more: str) -> dict[str, Any]:
    assert run([*words(folder, out, method, *more), "--json"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert isinstance(told, dict)
    return told


def weights(model: Path) -> dict[str, torch.Tensor]:
    return {n: p.detach() for n, p in load_local(model, device="cpu").model.named_parameters()}


@pytest.mark.parametrize(("method", "more"), [("sft", []), ("dpo", []), ("kto", []), ("dpo", ["--lora", "2"])])
def test_what_is_saved_lies_between(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], method: str, more: list[str]) -> None:
    whole = trained(folder, tmp_path / "whole", capsys, method, *more)
    part = trained(folder, tmp_path / "part", capsys, method, "--part-way", "0.25", *more)
    assert "part_way" not in whole
    assert part["part_way"] == "0.25 of the way from the model as given to the trained one"
    assert part["loss"] == whole["loss"]
    assert part["digest"] != whole["digest"]
    kept = json.loads((tmp_path / "part" / "train.json").read_text())
    assert (kept["part_way"], kept["options"]["part_way"]) == (part["part_way"], 0.25)
    start, end, found = (weights(p) for p in (folder / "start", tmp_path / "whole" / "model", tmp_path / "part" / "model"))
    assert any(float((end[n] - start[n]).abs().max()) > 1e-3 for n in start)
    assert all(torch.allclose(found[n], 0.75 * start[n] + 0.25 * end[n], atol=1e-5) for n in start)
    if more:
        beside = weights(tmp_path / "part" / "adapter")
        assert all(torch.allclose(found[n], beside[n], atol=1e-5) for n in start)


@pytest.mark.parametrize(("method", "more"), [("grpo", ROW), ("rloo", [*ROW, "--lora", "2"]), ("ppo", [])])
def test_reinforcement_learning_too(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], method: str, more: list[str]) -> None:
    """The rewards and what was stopped for are those of the training; what is saved is a part of it."""
    rules = tmp_path / "rules.yaml"
    rules.write_text("rules: 1\npropositions:\n  - {id: short, is: words_at_most, words: 3, weight: 1}\n")
    given = ["train", method, "--model", str(folder / "start"), "--data", str(folder / "sft.jsonl"), "--rules", str(rules), "--json"]
    small = ["--steps", "2", "--prompts", "4", "--max-new-tokens", "12", "--lr", "0.01", "--held-out", "0", *more]
    told = []
    for name, part in (("whole", []), ("part", ["--part-way", "0.5"])):
        assert run([*given, *small, *part, "--out", str(tmp_path / name)]) == 0
        told.append(json.loads(capsys.readouterr().out.splitlines()[-1]))
    assert told[1]["part_way"].startswith("0.5 of the way")
    assert (told[0]["reward"], "part_way" in told[0]) == (told[1]["reward"], False)
    start, end, found = (weights(p) for p in (folder / "start", tmp_path / "whole" / "model", tmp_path / "part" / "model"))
    assert any(float((end[n] - start[n]).abs().max()) > 1e-4 for n in start)
    assert all(torch.allclose(found[n], (start[n] + end[n]) / 2, atol=1e-6) for n in start)


def test_held_out_accuracy_is_that_of_what_is_saved(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import trueline.train.preference_accuracy as measuring

    seen = list[torch.Tensor]()

    def noting(local: Any, pairs: Any) -> dict[str, Any]:
        seen.append(torch.cat([p.detach().flatten().clone() for p in local.model.parameters()]))
        return {}

    monkeypatch.setattr(measuring, "preference_accuracy", noting)
    trained(folder, tmp_path / "out", capsys, "dpo", "--held-out", "0.3", "--part-way", "0.5")
    saved = torch.cat([p.flatten() for p in weights(tmp_path / "out" / "model").values()])
    assert torch.equal(seen[1], saved)
    assert not torch.equal(seen[0], saved)


DESCEND = loop.Stepper.descend


def cut_half_way(self: Any, rows: list[int]) -> float:
    """A kill in the middle of training, in the place of a step."""
    if self.step == self.total // 2:
        raise KeyboardInterrupt
    return DESCEND(self, rows)


def unwritten(*_: Any) -> str:
    """A kill when the model is about to be written."""
    raise KeyboardInterrupt


def test_resumed_is_uninterrupted(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed in the middle of training, and again when the model was about to be written."""
    whole = trained(folder, tmp_path / "whole", capsys, "dpo", "--epochs", "2", "--part-way", "0.25")
    monkeypatch.setattr(loop, "SAVE_SECONDS", -1.0)
    for where, instead in (("trueline.train.loop.Stepper.descend", cut_half_way), ("trueline.train.saving.save_model", unwritten)):
        with monkeypatch.context() as m:
            m.setattr(where, instead)
            assert run(words(folder, tmp_path / "cut", "dpo", "--epochs", "2", "--part-way", "0.25")) != 0
        assert not (tmp_path / "cut" / "model").exists()
    capsys.readouterr()
    again = trained(folder, tmp_path / "cut", capsys, "dpo", "--epochs", "2", "--part-way", "0.25")
    assert again["resumed"].startswith("after step")
    assert again["digest"] == whole["digest"]


@pytest.mark.parametrize(
    ("method", "value"), [("sft", "1"), ("dpo", "0"), ("kto", "nan"), ("grpo", "1"), ("ppo", "1.5"), ("reward", "0.5")]
)
def test_without_effect_is_an_error(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], method: str, value: str) -> None:
    data = method if method in ("sft", "kto") else "dpo"
    given = ["train", method, "--model", str(folder / "start"), "--data", str(folder / f"{data}.jsonl"), "--out", str(tmp_path / "out")]
    assert run([*given, "--part-way", value]) == 64
    said = capsys.readouterr().err
    assert "--part-way" in said
    assert "Traceback" not in said
    assert not (tmp_path / "out").exists()
