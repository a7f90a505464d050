"""Leave is asked for before the first request of a run: of every host, for all that it will be sent."""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from tests.models.scripted_server import ScriptedServer, completion
from trueline.cli.main import run

FAR = "openai:m@http://93.184.216.34/v1"


@pytest.fixture
def near() -> Iterator[ScriptedServer]:
    with ScriptedServer([completion("I cannot help with that.")]) as server:
        yield server


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False)


def refused(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    assert run(["redteam", *map(str, words), "-c", "bundled:harbor_bank", "--limit", "3", "--prompt-budget", "24"]) == 64
    return capsys.readouterr().err


@pytest.mark.usefixtures("pipe")
@pytest.mark.parametrize("option", [("--attacker", "pair"), ("--against", "table")])
def test_every_host_is_asked_before_the_first_request(
    option: tuple[str, str], near: ScriptedServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flag, search = option
    words = (f"openai:m@{near.url}/v1", "--search", search, "--budget", 2, flag, FAR, "--out", tmp_path / "r")
    assert "requests to 93.184.216.34 (attacks" in refused(capsys, *words)
    assert near.asked == []


@pytest.mark.usefixtures("pipe")
def test_the_control_and_the_samples_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def told(*words: object) -> int:
        found = re.search(r"will send (\d+) requests", refused(capsys, FAR, "--attacks", "plain,base64", "--out", tmp_path / "r", *words))
        assert found is not None
        return int(found[1])

    alone = told("--control", 0)
    assert told("--control", 5) > alone
    assert told("--control", 0, "--near-misses", 5) > alone
    assert told("--control", 0, "--samples", 3) == 3 * alone


def test_what_is_announced_is_what_is_sent(
    near: ScriptedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("trueline.cli.consent.foreign_host", lambda identity: "near.example.com")
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr(click, "confirm", lambda *_, **__: True)
    words = ["redteam", f"openai:m@{near.url}/v1", "-c", "bundled:harbor_bank", "--limit", "3", "--attacks", "plain", "--control", "4"]
    assert run([*words, "--no-prompt", "--out", str(tmp_path / "r")]) == 0
    found = re.search(r"will send (\d+) requests to near\.example\.com", capsys.readouterr().err)
    assert found is not None
    assert int(found[1]) == len(near.asked)


def test_the_judge_of_an_evaluation_is_asked_for(
    near: ScriptedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr(click, "confirm", lambda *_, **__: False)
    words = ["eval", f"openai:m@{near.url}/v1", "-c", "bundled:harbor_bank", "--limit", "2", "--no-prompt", "--judge", FAR, "--json"]
    assert run([*words, "--out", str(tmp_path / "e")]) == 64
    shown = capsys.readouterr()
    assert json.loads(shown.out)["error"].startswith("nothing was sent")
    assert "requests to 93.184.216.34" in shown.err
    assert "judge" in shown.err
    assert near.asked == []
