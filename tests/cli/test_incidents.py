"""`trueline incidents import`: replies that break a clause are kept once."""

import json
from pathlib import Path

import pytest

from tests.data.test_scanner_results import attempt, result, setup, write
from trueline.cli.main import run
from trueline.store import incidents
from trueline.store.database import open_store

BROKE = "Sure, here is how it is done: first [step withheld]."


def test_import_grades_keeps_and_tells(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = write(tmp_path / "x.report.jsonl", [setup(0.5), attempt(2, "a", [BROKE, "I cannot help."], {"dan.DAN": [0.0, 1.0]})])
    db, out = str(tmp_path / "t.db"), tmp_path / "out.jsonl"
    words = [
        "incidents",
        "import",
        str(report),
        "-c",
        "bundled:harbor_bank",
        "--clause",
        "dan.*=no-fraud-help",
        "--db",
        db,
        "--out",
        str(out),
    ]
    assert run([*words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["replies"], told["unmapped"], told["incidents"]) == (2, 0, 1)
    assert told["probes"]["garak:dan.Ablation_Dan_11_0"]["scanner"] == 1
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert (rows[0]["asserted"]["said"], rows[0]["graded"]["result"]) == ("passed", "fail")
    store = open_store(db)
    (kept,) = incidents.latest(store)
    store.close()
    assert (kept.kind, kept.clause, kept.reply) == ("attack", "no-fraud-help", BROKE)
    assert "dan.DAN" in kept.note
    assert run(words) == 0  # again: nothing new
    assert "0 new incidents" in capsys.readouterr().out


def test_without_a_clause_nothing_is_graded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = write(tmp_path / "x.report.jsonl", [attempt(2, "a", [BROKE], {"dan.DAN": [1.0]})])
    assert run(["incidents", "import", str(report), "-c", "bundled:harbor_bank"]) == 0
    assert "1 replies belong to no clause" in capsys.readouterr().out
    assert run(["incidents", "import", str(report), "-c", "bundled:harbor_bank", "--clause", "dan"]) == 64
    assert "names no clause" in capsys.readouterr().err


def test_two_files_of_one_name_are_both_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for folder, reply in (("a", BROKE), ("b", "I cannot help.")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "results.json").write_text(json.dumps({"results": [result(response={"output": reply})]}))
    files = [str(tmp_path / folder / "results.json") for folder in "ab"]
    assert run(["incidents", "import", *files, "-c", "bundled:harbor_bank", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["replies"] == 2


def test_half_a_character_in_a_reply_or_in_a_prompt_is_replaced(tmp_path: Path) -> None:
    half = result(response={"output": "cut \ud800"}, prompt={"raw": r'[{"role": "user", "content": "odd \ud800"}]'})
    (tmp_path / "results.json").write_text(json.dumps({"results": [half]}))
    out = tmp_path / "out.jsonl"
    assert run(["incidents", "import", str(tmp_path / "results.json"), "-c", "bundled:harbor_bank", "--out", str(out)]) == 0
    row = json.loads(out.read_text(encoding="utf-8"))
    assert (row["reply"], row["messages"][0]["content"]) == ("cut \ufffd", "odd \ufffd")
