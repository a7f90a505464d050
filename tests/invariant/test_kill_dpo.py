"""kill -9 in the middle of a training stage, then the same command: the same weights, to the bit, as without it."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from trueline.engine.tiny import tiny_model

pytestmark = pytest.mark.invariant

# the saving interval is the only thing changed: a tiny model's run is over before the 20 seconds between two checkpoints
DRIVER = """
import sys
from trueline.train import loop
loop.SAVE_SECONDS, loop.SAVE_SHARE = 0.2, 1.0
from trueline.cli.main import main
sys.argv = ["trueline", *sys.argv[1:]]
main()
"""


def rows(method: str, n: int = 160) -> list[dict[str, object]]:
    if method == "sft":
        return [{"prompt": f"What is the fee number {i}?", "completion": f"It is {i} euros."} for i in range(n)]
    if method == "kto":
        said = [f"It is {i} euros." if i % 2 else "No." * (i % 5 + 1) for i in range(n)]
        return [{"prompt": f"What is fee {i}?", "completion": c, "label": bool(i % 2)} for i, c in enumerate(said)]
    return [{"prompt": f"What is fee {i}?", "chosen": f"It is {i} euros.", "rejected": "No." * (i % 5 + 1)} for i in range(n)]


def start(method: str, model: Path, data: Path, out: Path) -> subprocess.Popen[bytes]:
    words = ["train", method, "--model", str(model), "--data", str(data), "--out", str(out), "--epochs", "12", "--batch-tokens", "512"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-c", DRIVER, *words], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )


def finish(process: subprocess.Popen[bytes]) -> None:
    _, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors.decode()[-500:]


def weights(out: Path) -> str:
    return hashlib.sha256((out / "model" / "model.safetensors").read_bytes()).hexdigest()


def steps(out: Path) -> list[int]:
    path = out / "metrics.jsonl"
    return [json.loads(line)["step"] for line in path.read_text().split("\n")[:-1]] if path.exists() else []


@pytest.mark.parametrize("method", ["dpo", "kto", "sft", "reward"])
def test_killed_and_run_again_equals_never_killed(method: str, tmp_path: Path) -> None:
    model = tiny_model("llama", tmp_path / "m")
    data = tmp_path / "data.jsonl"
    data.write_text("".join(json.dumps(r) + "\n" for r in rows(method)))
    finish(start(method, model, data, tmp_path / "whole"))
    total = steps(tmp_path / "whole")[-1]

    out, kills = tmp_path / "killed", 0
    for share in (0.3, 0.6):
        process = start(method, model, data, out)
        while process.poll() is None and not (len(steps(out)) >= share * total and (out / "checkpoint.pt").exists()):
            time.sleep(0.01)
        assert process.poll() is None, "it ended before it could be killed"
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        kills += 1
        assert not (out / "model").exists()
    finish(start(method, model, data, out))
    assert kills == 2
    assert weights(out) == weights(tmp_path / "whole")
    assert steps(out) == list(range(1, total + 1)), "every step stands once in the metrics"


def test_killed_while_the_reference_is_computed(tmp_path: Path) -> None:
    """A cache cut in the middle of a line gives the same reference, and so the same weights."""
    model = tiny_model("llama", tmp_path / "m")
    data = tmp_path / "data.jsonl"
    data.write_text("".join(json.dumps(r) + "\n" for r in rows("dpo")))
    finish(start("dpo", model, data, tmp_path / "whole"))
    cache = (tmp_path / "whole" / "reference.jsonl").read_bytes()
    (tmp_path / "cut").mkdir()
    (tmp_path / "cut" / "reference.jsonl").write_bytes(cache[: len(cache) // 3])
    finish(start("dpo", model, data, tmp_path / "cut"))
    assert weights(tmp_path / "cut") == weights(tmp_path / "whole")
