"""The README's path with one's own model, walked command by command as a reader would: each works, and each leaves what the next one names."""

import json
import re
import shlex
from pathlib import Path

import pytest

from tests.gateway.scripted_upstream import Upstream
from trueline.cli.main import run
from trueline.core.records import GATE_EXIT
from trueline.engine.tiny import tiny_model

README = (Path(__file__).parents[2] / "README.md").read_text()
TARGET = "openai:MODEL@https://host/v1"
# 2: a new charter has too few examples to decide anything, and plan and gate say so
ALLOWED = {"plan": {2}, "gate": set(GATE_EXIT.values()), "align": set(GATE_EXIT.values())}


def commands() -> list[list[str]]:
    """The `trueline` lines of the section, without what stands behind them for people."""
    section = README.split("## With your own model or API")[1].split("\n## ")[0]
    blocks = "\n".join(re.findall(r"```\w*\n(.*?)```", section, flags=re.DOTALL))
    lines = [re.sub(r"^\S*/(?=trueline )", "", line) for line in blocks.splitlines()]
    return [shlex.split(re.sub(r"\s(#|   ).*$", "", line)) for line in lines if line.startswith("trueline ")]


def test_the_path_of_the_readme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    said = json.dumps([{"subject": "lost parcels", "messages": ["Where does a parcel go that nobody took?"]}])
    walked = []
    with Upstream({"*": said}) as upstream:
        for words in commands():
            verb, args = words[1], [w.replace(TARGET, f"openai:m@{upstream.url}") for w in words[1:]]
            if verb == "align":  # the starter run file, on a model that is small enough for a test
                tiny_model("llama", tmp_path / "my-bank" / "model")
                path = tmp_path / "my-bank" / "run.yaml"
                path.write_text(re.sub(r"evaluate: .*", "evaluate: {max_tokens: 4, limit: 12}", path.read_text()))
            if verb == "serve":  # does not come back; what it is given must be there, and say by itself which charter it keeps
                assert [Path(a).exists() for a in args[1:]] == [True], f"{args[1:]} is not what align left: {walked}"
                continue
            if verb == "eval":
                args += ["--concurrency", "4"]
            assert run(args) in ALLOWED.get(verb, {0}), f"{' '.join(words)}: {capsys.readouterr().err}"
            walked.append(verb)
    assert walked == ["init", "check", "plan", "probes", "eval", "gate", "align"]
