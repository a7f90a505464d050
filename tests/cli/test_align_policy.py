"""`align` with a stage of reinforcement learning: the reward by the charter, by preferences, by a folder; what is recorded; what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.test_align import with_pairs
from trueline.cli.main import run

HEAD = """\
run: 1
charter: charter.yaml
model: ./base
out: out
prompt: {budget: 32}
"""
STAGE = "steps: 2, prompts: 2, samples: 2, lr: 0.001, measure_every: 1, held_out: 0.4}\nevaluate: {max_tokens: 4, limit: 8}\n"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return with_pairs(tmp_path_factory.mktemp("policy"))


def align(folder: Path, text: str, out: str) -> int:
    (folder / f"run-{out}.yaml").write_text(text.replace("out: out", f"out: {out}"))
    return run(["align", str(folder / f"run-{out}.yaml"), "--json"])


def test_by_the_charter(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = HEAD + "stages:\n  - {method: grpo, lora: {r: 2, alpha: 4}, " + STAGE
    assert align(made, text, "charter") in (1, 2, 3)
    said = capsys.readouterr().err
    record = json.loads((made / "charter" / "run.json").read_text())
    stage = record["stages"]["0-grpo"]
    assert stage["steps"] == 2
    assert "nats a reply" in stage["note"]
    assert stage["note"] in said
    taught = [json.loads(line) for line in (made / "charter" / "stages" / "0-grpo" / "data.jsonl").read_text().splitlines()]
    assert {row["prompt"][0]["role"] for row in taught} == {"system"}
    assert not json.loads((made / "charter" / "after" / "evaluation.json").read_text()).get("contaminated")
    assert (made / "charter" / "stages" / "0-grpo" / "held_out.jsonl").read_text().count("\n") == 3
    assert align(made, text, "charter") in (1, 2, 3)
    assert "stages/0-grpo: done before" in capsys.readouterr().err


def test_by_preferences_with_the_charter_beside_and_then_by_that_reward_model(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = "data: {preferences: pairs.jsonl, held_out: 0.4}\n"
    text = (
        HEAD
        + data
        + "stages:\n  - {method: ppo, reward: preferences, lora: {r: 2, alpha: 4}, reward_epochs: 2, reward_lr: 0.003, "
        + STAGE.replace("samples: 2, ", "").replace("0.4}", "0.6}").replace("steps: 2", "steps: 6")
    )
    assert align(made, text, "people") in (1, 2, 3)
    stage = json.loads((made / "people" / "run.json").read_text())["stages"]["0-ppo"]
    assert "reward model right on" in stage["note"]
    look = json.loads((made / "people" / "stages" / "0-ppo" / "held_out.jsonl").read_text().splitlines()[0])
    assert look["held_out"] is not None, "the charter's grader is measured beside a reward learnt from people"
    capsys.readouterr()
    kept = (made / "people" / "stages" / "0-ppo" / "reward" / "model" / "model.safetensors").read_bytes()
    assert align(made, text.replace("reward_lr: 0.003", "reward_lr: 0.001"), "people") in (1, 2, 3)
    changed = (made / "people" / "stages" / "0-ppo" / "reward" / "model" / "model.safetensors").read_bytes()
    assert changed != kept, "a reward model of other settings is not taken over"
    capsys.readouterr()
    again = HEAD + "stages:\n  - {method: rloo, reward: people/stages/0-ppo/reward/model, " + STAGE
    assert align(made, again, "folder") in (1, 2, 3)
    assert "over-optimisation not measured: 7 held-out prompts, expected at least 16" in capsys.readouterr().err
    assert "reward_model" not in json.loads((made / "folder" / "run.json").read_text())["stages"]["0-rloo"]


@pytest.mark.parametrize(
    ("stage", "word"),
    [
        ("{method: grpo, reward: preferences, ", "reward: preferences has nothing to learn from"),
        ("{method: grpo, reward_lr: 0.1, ", "reward_lr has no effect with reward: charter"),
        ("{method: grpo, reward: nowhere, ", "nowhere"),
        ("{method: grpo, variant: ppo, ", "ppo"),
        ("{method: ppo, kl_budget: -1, ", "kl_budget"),
    ],
)
def test_what_cannot_be_done_is_said_first(made: Path, capsys: pytest.CaptureFixture[str], stage: str, word: str) -> None:
    assert align(made, HEAD + f"stages:\n  - {stage}" + STAGE, "wrong") == 64
    said = capsys.readouterr().err
    assert word in said
    assert "Traceback" not in said
    assert not (made / "wrong" / "before").exists()
