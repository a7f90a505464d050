"""`part_way` of a stage of `trueline align`: the average of its start and of what the same run without it gives, after a kill too."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import trueline.train.loop as loop
from tests.cli.test_align import with_pairs
from tests.cli.test_train_part_way import cut_half_way, unwritten
from trueline.cli.main import run
from trueline.engine.loading import load_local

HEAD = "run: 1\ncharter: charter.yaml\nmodel: ./base\nprompt: {budget: 32}\nevaluate: {max_tokens: 4, limit: 8}\n"
STAGES = {
    "sft": "{method: sft, epochs: 2, lr: 0.01, batch_tokens: 512, mix: 0",
    "dpo": "{method: dpo, lr: 0.01, samples: 0",
    "grpo": "{method: grpo, steps: 2, prompts: 2, samples: 4, lr: 0.01, kl_budget: null, held_out: 0",
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return with_pairs(tmp_path_factory.mktemp("part_way"))


def align(folder: Path, out: str, *stages: str) -> int:
    data = "data: {preferences: pairs.jsonl}\n" if any("dpo" in s for s in stages) else ""
    file = folder / f"run-{out}.yaml"
    file.write_text(f"{HEAD}out: {out}\n{data}stages:\n" + "".join(f"  - {s}}}\n" for s in stages))
    return run(["align", str(file), "--json"])


def weights(model: Path) -> dict[str, torch.Tensor]:
    return {n: p.detach() for n, p in load_local(model, device="cpu").model.named_parameters()}


def done(folder: Path, out: str, stage: str) -> dict[str, Any]:
    found = json.loads((folder / out / "stages" / stage / "done.json").read_text())
    assert isinstance(found, dict)
    return found


def lies_between(start: Path, end: Path, found: Path, share: float, off: float = 0.0) -> bool:
    """To the bit, or `off` by so much."""
    a, b, c = weights(start), weights(end), weights(found)
    assert any(float((b[n] - a[n]).abs().max()) > 1e-4 for n in a), "nothing was learnt, so nothing is shown"
    return all(float((c[n] - torch.lerp(a[n], b[n], share)).abs().max()) <= off for n in a)


def same_bits(one: Path, other: Path) -> bool:
    a, b = weights(one), weights(other)
    return all(torch.equal(a[n], b[n]) for n in a)


@pytest.mark.parametrize(("method", "more"), [("sft", ""), ("sft", ", lora: {r: 2, alpha: 4}"), ("dpo", "")])
def test_a_stage_ends_part_of_the_way(made: Path, capsys: pytest.CaptureFixture[str], method: str, more: str) -> None:
    name, stage = f"{method}{len(more)}", f"stages/0-{method}/model"
    assert align(made, f"{name}-whole", STAGES[method] + more) in (1, 2, 3)
    assert "of the way" not in capsys.readouterr().err
    assert align(made, f"{name}-part", STAGES[method] + more + ", part_way: 0.25") in (1, 2, 3)
    assert f"0-{method}: 0.25 of the way from the model as given to the trained one" in capsys.readouterr().err
    assert lies_between(made / "base", made / f"{name}-whole" / stage, made / f"{name}-part" / stage, 0.25, off=1e-6 if more else 0.0)
    whole, part = done(made, f"{name}-whole", f"0-{method}"), done(made, f"{name}-part", f"0-{method}")
    assert "part_way" not in whole
    assert part["part_way"].startswith("0.25 of the way")
    assert part["inputs"]["stage"]["part_way"] == 0.25
    assert part["metrics"] == whole["metrics"]
    assert same_bits(made / f"{name}-part" / stage, made / f"{name}-part" / "model"), "what ships is not rounded"
    assert not same_bits(made / f"{name}-whole" / stage, made / f"{name}-whole" / "model")


def test_a_later_stage_goes_from_where_it_began(made: Path) -> None:
    """Its start is the model of the stage before it; and another share does that stage again, not the one before."""
    assert align(made, "two-whole", STAGES["sft"], STAGES["dpo"]) in (1, 2, 3)
    assert align(made, "two-part", STAGES["sft"], STAGES["dpo"] + ", part_way: 0.5") in (1, 2, 3)
    first, second = "stages/0-sft/model", "stages/1-dpo/model"
    assert lies_between(made / "two-whole" / first, made / "two-whole" / second, made / "two-part" / second, 0.5)
    before = (made / "two-part" / first / "model.safetensors").stat().st_mtime_ns
    assert align(made, "two-part", STAGES["sft"], STAGES["dpo"] + ", part_way: 0.75") in (1, 2, 3)
    assert lies_between(made / "two-whole" / first, made / "two-whole" / second, made / "two-part" / second, 0.75)
    assert (made / "two-part" / first / "model.safetensors").stat().st_mtime_ns == before


def test_reinforcement_learning_too(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a reward that tells replies of a random model apart, for the charter's grader fails them all; and with one reply a row, for which
    number is the fastest may be another in the next run."""
    from trueline.cli.charter_reward import CharterReward

    monkeypatch.setattr("trueline.train.policy.trainer.fastest", lambda *_: (1, "one"))
    monkeypatch.setattr(CharterReward, "score", lambda self, talks: [sum(map(ord, t[-1].content)) % 7 / 7 for t in talks])
    assert align(made, "grpo-whole", STAGES["grpo"]) in (1, 2, 3)
    assert align(made, "grpo-part", STAGES["grpo"] + ", part_way: 0.5") in (1, 2, 3)
    stage = "stages/0-grpo/model"
    assert lies_between(made / "base", made / "grpo-whole" / stage, made / "grpo-part" / stage, 0.5)


def test_resumed_is_uninterrupted(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed in the middle of training, when the model was about to be written, and when it was."""
    import trueline.train.saving as saving

    stage, where = STAGES["sft"] + ", part_way: 0.25", "stages/0-sft"
    assert align(made, "uncut", stage) in (1, 2, 3)
    monkeypatch.setattr(loop, "SAVE_SECONDS", -1.0)
    save = saving.save_model

    def written(*given: Any) -> str:
        save(*given)
        raise KeyboardInterrupt

    for name, instead in (("loop.Stepper.descend", cut_half_way), ("saving.save_model", unwritten), ("saving.save_model", written)):
        with monkeypatch.context() as m:
            m.setattr(f"trueline.train.{name}", instead)
            assert align(made, "cut", stage) not in (1, 2, 3)
        assert (made / "cut" / where / "checkpoint.pt").exists()
        assert not (made / "cut" / where / "done.json").exists()
    assert align(made, "cut", stage) in (1, 2, 3)
    assert done(made, "cut", "0-sft")["digest"] == done(made, "uncut", "0-sft")["digest"]
