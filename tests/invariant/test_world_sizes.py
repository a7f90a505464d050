"""One process or two, whole weights or sharded ones, killed and gone on with in another number: the same training."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.invariant.worlds import run
from trueline.cli import main
from trueline.engine.tiny import tiny_model

pytestmark = pytest.mark.invariant

METHODS = ("sft", "dpo", "kto", "reward")
DRAWN = ("grpo", "ppo")
RESUMED = ("sft", "dpo")  # loop and checkpoint are the same for all
CLOSE = 1e-5
PARTS = {"whole": {"method": "sft", "part_way": 0.25}, "lora": {"method": "dpo", "lora": 4, "part_way": 0.25}}
KINDS: dict[str, dict[str, Any]] = {"two": {}, "sharded": {"shard": True}}
STOP = 3  # the step at which a run is broken off; its last checkpoint is of the step before
WORLDS = Path(__file__).with_name("worlds.py")


def launched(*words: str, limit: float = 120) -> subprocess.CompletedProcess[str]:
    """Two processes under torchrun."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *words]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=limit, check=False)


def jobs_of_two(top: Path) -> list[dict[str, Any]]:
    """All that two processes do."""
    out: list[dict[str, Any]] = [{"method": "dpo", "lora": 4, "folder": str(top / "lora"), "shard": True}]
    for m in METHODS:
        out += [{"method": m, "folder": str(top / m / "two")}, {"method": m, "folder": str(top / m / "sharded"), "shard": True}]
    out += [{"method": m, "folder": str(top / m / "two")} for m in DRAWN]
    out += [{**job, "folder": str(top / "part" / f"{name} {kind}"), **more} for name, job in PARTS.items() for kind, more in KINDS.items()]
    for m in RESUMED:
        out += [
            {"method": m, "folder": str(top / m / "two then two"), "stop": STOP},
            {"method": m, "folder": str(top / m / "two then two")},
            {"method": m, "folder": str(top / m / "one then sharded"), "shard": True},
            {"method": m, "folder": str(top / m / "two then one"), "stop": STOP},
            {"method": m, "folder": str(top / m / "sharded then one"), "stop": STOP, "shard": True},
        ]
    return out


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which every run, in one process and in two, has left its weights."""
    top = tmp_path_factory.mktemp("worlds")
    model = tiny_model("llama", top / "m")
    alone = [{"method": m, "folder": str(top / m / "one")} for m in (*METHODS, *DRAWN)]
    alone += [{"method": m, "folder": str(top / m / "one then sharded"), "stop": STOP} for m in RESUMED]
    alone += [{**job, "folder": str(top / "part" / f"{name} one")} for name, job in PARTS.items()]
    run([*alone, {"method": "dpo", "lora": 4, "folder": str(top / "lora one")}], model)
    (top / "jobs.json").write_text(json.dumps({"model": str(model), "jobs": jobs_of_two(top)}))
    done = launched(str(WORLDS), str(top / "jobs.json"))
    assert done.returncode == 0, done.stderr[-2000:]
    run([{"method": m, "folder": str(top / m / name)} for m in RESUMED for name in ("two then one", "sharded then one")], model)
    return top


def weights(folder: Path) -> dict[str, torch.Tensor]:
    found = torch.load(folder / "weights.pt", weights_only=True)
    assert isinstance(found, dict)
    return found


def apart(a: Path, b: Path) -> float:
    one, other = weights(a), weights(b)
    assert one.keys() == other.keys()
    return max(float((one[n] - other[n]).abs().max()) for n in one)


def metrics(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("method", METHODS)
def test_the_number_of_processes_changes_nothing(runs: Path, method: str) -> None:
    top = runs / method
    assert apart(top / "one", top / "two") < CLOSE
    assert apart(top / "one", top / "sharded") < CLOSE
    one = metrics(top / "one")
    for name in ("two", "sharded"):
        for mine, theirs in zip(metrics(top / name), one, strict=True):
            assert mine == pytest.approx(theirs, rel=1e-3, abs=1e-4), f"a step of {name} tells something else"


@pytest.mark.parametrize("method", [*METHODS, *DRAWN])
def test_training_moved_the_weights(runs: Path, method: str) -> None:
    """Else the comparisons above could not fail."""
    before, name = load_file(runs / "m" / "model.safetensors"), "model.layers.0.mlp.up_proj.weight"
    assert float((weights(runs / method / "one")[name] - before[name]).abs().max()) > 100 * CLOSE


@pytest.mark.parametrize("method", RESUMED)
def test_a_checkpoint_does_not_tell_how_many_wrote_it(runs: Path, method: str) -> None:
    top = runs / method
    assert apart(top / "two then two", top / "two") == 0.0, "the same number goes on to the bit"
    for name in ("two then one", "sharded then one", "one then sharded"):
        assert apart(top / name, top / "one") < CLOSE
        assert [row["step"] for row in metrics(top / name)] == list(range(1, len(metrics(top / "one")) + 1))


@pytest.mark.parametrize("method", DRAWN)
def test_replies_are_drawn_the_same_by_one_and_by_two(runs: Path, method: str) -> None:
    top = runs / method
    assert apart(top / "one", top / "two") < CLOSE
    one, two = metrics(top / "one"), metrics(top / "two")
    assert len(one) == len(two) == 3
    for mine, theirs in zip(two, one, strict=True):
        del mine["gap_max"], theirs["gap_max"]  # the largest rounding of a token, which is another in another batch
        assert mine == pytest.approx(theirs, rel=1e-3, abs=1e-4)
    looks = [(top / name / "held_out.jsonl").read_text().splitlines() for name in ("one", "two")]
    lengths = [[json.loads(line)["characters"] for line in look] for look in looks]
    assert lengths[0] == lengths[1]
    assert len(lengths[0]) == 3, "before the first rollout, after two, and at the end"


@pytest.mark.parametrize("name", PARTS)
def test_part_of_the_way_is_the_same_place(runs: Path, name: str) -> None:
    one = runs / "part" / f"{name} one"
    for kind in KINDS:
        assert apart(runs / "part" / f"{name} {kind}", one) < CLOSE
    assert apart(one, runs / ("sft/one" if name == "whole" else "lora one")) > 100 * CLOSE, "it was not moved back"


def test_adapters_too(runs: Path) -> None:
    assert apart(runs / "lora one", runs / "lora") < CLOSE


def test_the_reference_is_the_same_file(runs: Path) -> None:
    """Two processes compute the batches that one computes, and one of them writes."""
    for method in ("dpo", "kto"):
        texts = {(runs / method / name / "reference.jsonl").read_text() for name in ("one", "two", "sharded")}
        assert len(texts) == 1


# one process of two fails in the middle of a step; the other waits for its gradients
FAILS = """
import os
from pathlib import Path
from trueline.cli.main import main
from trueline.errors import TrainingError
from trueline.train import sft

plain, calls = sft._Work.part_loss, []

def unlucky(self, *given):
    calls.append(1)
    if os.environ["RANK"] == "1" and len(calls) == 3:
        Path(__file__).with_name("failed").touch()
        raise TrainingError("this row is cursed", remedy="take it out")
    return plain(self, *given)

sft._Work.part_loss = unlucky
main()
"""


def demonstrations(path: Path) -> Path:
    rows = [{"prompt": f"What is fee {i}?", "completion": f"It is {i} euros."} for i in range(20)]
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    return path


def test_an_error_of_one_process_ends_all_with_one_message(tmp_path: Path) -> None:
    model, data = tiny_model("llama", tmp_path / "m"), demonstrations(tmp_path / "d.jsonl")
    script = tmp_path / "fails.py"
    script.write_text(FAILS)
    done = launched(str(script), "train", "sft", "-m", str(model), "-d", str(data), "-o", str(tmp_path / "out"), "--batch-tokens", "64")
    assert time.time() - (tmp_path / "failed").stat().st_mtime < 20, "the other waited"
    assert done.returncode != 0
    assert [line for line in done.stderr.splitlines() if line.startswith("error:")] == ["error: this row is cursed; take it out"]
    assert done.stdout == ""
    assert not (tmp_path / "out" / "model").exists()


def test_one_process_prints_and_writes(tmp_path: Path) -> None:
    model, data = tiny_model("llama", tmp_path / "m"), demonstrations(tmp_path / "d.jsonl")
    out = tmp_path / "out"
    done = launched("-m", "trueline", "train", "sft", "-m", str(model), "-d", str(data), "-o", str(out), "--shard", "--json")
    assert done.returncode == 0, done.stderr[-2000:]
    told = json.loads(done.stdout)
    assert told["rows"] == 20
    assert json.loads((out / "train.json").read_text())["digest"] == told["digest"]
    assert len(metrics(out)) == told["steps"]
    assert not (out / "checkpoint.pt").exists()


@pytest.mark.parametrize("verb", ["align", "eval", "demo"])
def test_what_several_processes_cannot_do_is_refused(
    verb: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    assert main.run([verb]) == 64
    assert f"{verb} runs in one process for now, got WORLD_SIZE 2" in capsys.readouterr().err
