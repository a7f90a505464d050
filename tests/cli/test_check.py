"""`trueline check` as a user runs it: on a terminal, in a pipe, as JSON."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from trueline.charter.compile.written import written_probes
from trueline.charter.parse import load_charter
from trueline.charter.shipped import charter_path
from trueline.cli.check_tables import duration
from trueline.cli.main import run

HOSPITAL = "bundled:hospital_desk"
LOADED = load_charter(charter_path(HOSPITAL))


def test_json_holds_everything_it_compiles_to(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", HOSPITAL, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["charter"] == LOADED.digest
    assert sum(n for sides in found["probes"].values() for n in sides.values()) == len(written_probes(LOADED.charter))
    principles = {p.id: p for p in LOADED.charter.principles}
    assert {r["clause"] for r in found["requests"]} == set(principles)
    assert all(principles[r["clause"]].rule in r["critique"] and "(A)" in r["choice"] for r in found["requests"])
    assert {r["clause"] for r in found["review"]} == {h.id for h in LOADED.charter.high_stakes}
    assert found["prompt"]["left_out"] == []
    lines = LOADED.path.read_text().splitlines()
    assert all(f"id: {h['clause']}" in lines[h["line"] - 1] for h in found["holes"])


def test_a_pipe_gets_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", HOSPITAL, "--prompt-budget", "40", "--show-requests"]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "│" not in out
    assert "  | You are the assistant of Lindenhof Hospital" in out
    assert "clauses left out: " in out
    assert "emergencies-to-112 critique:" in out
    assert "always tool:release_record" in out
    assert out.rstrip().endswith("42 holes")


def test_a_terminal_gets_tables() -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "trueline", "check", HOSPITAL]
    done = subprocess.Popen(command, stdout=theirs, stderr=subprocess.PIPE, env={**os.environ, "COLUMNS": "140", "TERM": "xterm"})
    os.close(theirs)
    raw = b""
    try:
        while block := os.read(ours, 65536):
            raw += block
    except OSError:  # the terminal ends with the process
        pass
    os.close(ours)
    assert done.wait(30) == 0
    out = raw.decode()
    assert "┃" in out
    assert "claims-of-harm" in out


def test_usage_errors_are_64(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for args in (["check"], ["check", "bundled:none"], ["check", str(tmp_path)], ["check", HOSPITAL, "--prompt-budget", "3"]):
        assert run(args) == 64
        err = capsys.readouterr().err
        assert err.count("\n") == 1
        assert err.startswith("error: ")


@pytest.mark.parametrize(("seconds", "text"), [(30, "30s"), (1800, "30m"), (14400, "4h"), (172800, "2d"), (5400, "90m")])
def test_durations_as_the_charter_writes_them(seconds: int, text: str) -> None:
    assert duration(seconds) == text
