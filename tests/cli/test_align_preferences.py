"""`align` on people's preferences: held-out prompts never teach, and agreement is measured before and after."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.test_align import STARTER
from trueline.cli.main import run
from trueline.engine.tiny import tiny_model

RUN = """\
run: 1
charter: charter.yaml
model: ./base
out: out
prompt: {budget: 32}
data: {preferences: pairs.jsonl, held_out: 0.4}
stages:
  - {method: dpo, lr: 0.003, samples: 0, epochs: 6}
evaluate: {max_tokens: 4, limit: 8}
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "charter.yaml").write_text(STARTER.read_text())
    rows = [{"prompt": f"Question {i}?", "chosen": "yes please, gladly", "rejected": "no no no"} for i in range(60)]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    (tmp_path / "run.yaml").write_text(RUN)
    tiny_model("llama", tmp_path / "base")
    return tmp_path


def test_agreement_is_measured_on_prompts_that_did_not_teach(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["align", str(project / "run.yaml"), "--json"]) in (1, 2, 3)
    said = capsys.readouterr().err
    record = json.loads((project / "out" / "run.json").read_text())
    before, after = (record["held_out_preferences"][side] for side in ("before", "after"))
    taught = [json.loads(line) for line in (project / "out" / "stages" / "0-dpo" / "data.jsonl").read_text().splitlines()]
    assert 8 <= before["n"] == after["n"] == 60 - len(taught) <= 40
    assert before["estimate"] <= after["estimate"] == 1.0, "the pattern of the taught pairs holds for the others"
    assert 0 < after["low"] < 1 == after["high"]
    assert said.count("held-out preferences") == 2

    assert run(["align", str(project / "run.yaml"), "--json"]) in (1, 2, 3)
    assert "held_out/after: done before" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            "preferences: pairs.jsonl, held_out: 0.4}\nstages:\n  - {method: dpo, lr: 0.003, samples: 0",
            "held_out: 0.4}\nstages:\n  - {method: dpo, lr: 0.003, samples: 1",
            "data.held_out has no effect without data.preferences",
        ),
        ("{method: dpo, lr: 0.003, samples: 0, epochs: 6}", "{method: sft, mix: 0}", "data.preferences has no effect without a dpo stage"),
    ],
)
def test_an_option_without_effect_is_an_error(old: str, new: str, words: str, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "run.yaml").write_text(RUN.replace(old, new))
    assert run(["align", str(project / "run.yaml")]) == 64
    said = capsys.readouterr().err
    assert words in said
    assert "run.yaml:6" in said
    assert "Traceback" not in said
