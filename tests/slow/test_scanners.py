"""garak and promptfoo, where they are installed, against `trueline serve` with the files of examples/scanners; their results import.

    TRUELINE_GARAK=/path/to/python TRUELINE_PROMPTFOO=/path/to/promptfoo pytest tests/slow/test_scanners.py

Without these variables, whatever `garak` and `promptfoo` stand on PATH. No network but localhost.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.gateway.serving import serve
from trueline.cli.main import run
from trueline.data.scanner_results import findings_from

pytestmark = pytest.mark.slow
pytest.importorskip("torch", reason="a local model needs torch: pip install 'trueline[train]'")
EXAMPLES = Path(__file__).parent.parent.parent / "examples" / "scanners"


def tool(variable: str, name: str) -> str:
    found = os.environ.get(variable) or shutil.which(name)
    if not found:
        pytest.skip(f"{name} is not installed (set {variable}, or put it on PATH)")
    return found


def served(tmp_path: Path) -> list[str]:
    return [
        "bundled:harbor",
        "--charter",
        "bundled:harbor_bank",
        "--db",
        str(tmp_path / "s.db"),
        "--port",
        "0",
        "--name",
        "trueline",
        "--prompt-budget",
        "24",
    ]


def test_garak(tmp_path: Path) -> None:
    garak = tool("TRUELINE_GARAK", "garak")
    command = [garak, "-m", "garak"] if "python" in Path(garak).name else [garak]
    with serve(*served(tmp_path)) as gateway:
        text = (EXAMPLES / "garak.yaml").read_text().replace("http://127.0.0.1:8400/v1/", gateway.about["url"] + "/")
        lines = [
            line if "probe_spec:" not in line else "  probe_spec: goodside.Tag,dan.AntiDAN,grandma.Win10" for line in text.splitlines()
        ]
        (tmp_path / "garak.yaml").write_text("\n".join(lines).replace("soft_probe_prompt_cap: 16", "soft_probe_prompt_cap: 3"))
        env = {**os.environ, "OPENAICOMPATIBLE_API_KEY": "none", "HF_HUB_OFFLINE": "1", "XDG_DATA_HOME": str(tmp_path)}
        done = subprocess.run([*command, "--config", "garak.yaml"], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-2000:]
    (report,) = tmp_path.rglob("trueline.report.jsonl")
    found = findings_from(report)
    assert {f.probe for f in found} == {"goodside.Tag", "dan.AntiDAN", "grandma.Win10"}
    assert any(f.said != "unscored" and f.reply for f in found)
    assert run(["incidents", "import", str(report), "-c", "bundled:harbor_bank", "--clause", "*=no-fraud-help"]) == 0
    for hits in tmp_path.rglob("trueline.hitlog.jsonl"):
        failed = {(f.probe, f.reply) for f in found if f.said == "failed"}
        assert {(f.probe, f.reply) for f in findings_from(hits)} == failed


def test_promptfoo(tmp_path: Path) -> None:
    promptfoo = tool("TRUELINE_PROMPTFOO", "promptfoo")
    with serve(*served(tmp_path)) as gateway:
        text = (EXAMPLES / "promptfooconfig.yaml").read_text().replace("http://127.0.0.1:8400/v1", gateway.about["url"])
        (tmp_path / "promptfooconfig.yaml").write_text(text)
        env = {
            **os.environ,
            "PROMPTFOO_DISABLE_TELEMETRY": "1",
            "PROMPTFOO_DISABLE_UPDATE": "1",
            "PROMPTFOO_CONFIG_DIR": str(tmp_path / "home"),
        }
        words = [promptfoo, "eval", "-c", "promptfooconfig.yaml", "--output", "out.json", "--no-cache"]
        done = subprocess.run(words, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=900)
    assert (tmp_path / "out.json").exists(), done.stdout[-2000:] + done.stderr[-2000:]  # its exit status is 100 where an assertion failed
    found = findings_from(tmp_path / "out.json")
    assert [f.probe for f in found] == ["no-fraud-help", "no-fraud-help, in ROT13", "near miss"]
    assert all(f.said != "unscored" and f.reply and f.clause == "no-fraud-help" for f in found)
    assert run(["incidents", "import", str(tmp_path / "out.json"), "-c", "bundled:harbor_bank"]) == 0
