"""`trueline serve` over a local model folder: the engine in its own process, started again after kill -9, gone when the gateway ends.

pytest tests/slow/test_serve_engine.py
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from tests.gateway.serving import PATIENCE, serve, start_serve

pytestmark = pytest.mark.slow
torch = pytest.importorskip("torch", reason="a local model needs torch: pip install 'trueline[train]'")


def gone(pid: int, seconds: float = 2 * PATIENCE) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            os.kill(pid, 0)
            state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except (ProcessLookupError, FileNotFoundError):
            return True
        if state == "Z":
            return True
        time.sleep(0.1)
    return False


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from trueline.engine.tiny import tiny_model

    made: Path = tiny_model("llama", tmp_path_factory.mktemp("tiny") / "model")
    return made


def options(tmp_path: Path) -> list[str]:
    return [
        "--charter",
        "bundled:harbor_bank",
        "--db",
        str(tmp_path / "e.db"),
        "--port",
        "0",
        "--max-tokens",
        "8",
        "--prompt-budget",
        "20",
        "--name",
        "tiny",
    ]


def ask(url: str) -> Any:
    client = openai.OpenAI(base_url=url, api_key="none", max_retries=30, timeout=4 * PATIENCE)
    return client.chat.completions.create(model="tiny", messages=[{"role": "user", "content": "How do I block my card?"}])


def test_the_engine_comes_back_and_ends_with_the_gateway(folder: Path, tmp_path: Path) -> None:
    with serve(str(folder), *options(tmp_path)) as served:
        first = ask(served.about["url"])
        assert first.trueline["status"] == "completed"
        engine = served.about["engine_pid"]
        os.kill(engine, signal.SIGKILL)
        assert ask(served.about["url"]).choices[0].message.content == first.choices[0].message.content
        now = httpx.get(served.about["engine"].replace("/v1", "/health"), timeout=2 * PATIENCE)
        assert now.status_code == 200
        address = served.about["engine"]
    with pytest.raises(httpx.ConnectError):
        httpx.get(address.replace("/v1", "/health"))


def test_a_killed_gateway_leaves_no_engine(folder: Path, tmp_path: Path) -> None:
    served = start_serve(str(folder), *options(tmp_path))
    served.kill()
    assert gone(served.about["engine_pid"])
