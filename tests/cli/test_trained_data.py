"""`eval MODEL` knows what a folder was trained on, by the records beside it."""

import json
from pathlib import Path

import pytest

from trueline.charter.compile.written import written_probes
from trueline.charter.parse import load_charter
from trueline.charter.shipped import charter_path
from trueline.charter.turns import Message
from trueline.cli import targets
from trueline.cli.main import run
from trueline.cli.project import open_project
from trueline.cli.trained_data import trained_data
from trueline.core.chat import ScriptedChat
from trueline.core.records import GATE_EXIT
from trueline.evals.suites import suite_for

ONE, TWO = {"prompt": "One?", "completion": "1"}, {"messages": [{"role": "user", "content": "Two?"}, {"role": "assistant", "content": "2"}]}


def write(path: Path, *rows: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    return path


def asked(*texts: str) -> tuple[tuple[Message, ...], ...]:
    return tuple((Message("user", t),) for t in texts)


def test_records_are_followed_to_the_first_model(tmp_path: Path) -> None:
    for name in ("base", "a/model", "b/model"):
        (tmp_path / name).mkdir(parents=True)
    write(tmp_path / "a" / "stages" / "0-sft" / "data.jsonl", ONE, {"nothing": 1})
    write(tmp_path / "a" / "stages" / "1-gone" / "data.jsonl", {"prompt": "Of an earlier run file?", "completion": "x"})
    record = {"trueline_run": 1, "stages": {"0-sft": {}, "1-dpo": {}}, "run_file": {"model": str(tmp_path / "base")}}
    write(tmp_path / "a" / "run.json", record)
    data = write(tmp_path / "two.jsonl", TWO)
    write(tmp_path / "b" / "train.json", {"options": {"data": str(data), "model": str(tmp_path / "a" / "model")}})
    assert trained_data(str(tmp_path / "a" / "model")).prompts == asked("One?")
    found = trained_data(str(tmp_path / "b" / "model"))
    assert (found.prompts, found.notes) == (asked("Two?", "One?"), ())
    data.unlink()
    gone = trained_data(str(tmp_path / "b" / "model"))
    assert gone.prompts == asked("One?")
    assert "two.jsonl, which cannot be read" in gone.notes[0]


@pytest.mark.parametrize("text", ["openai:m@http://127.0.0.1:9/v1", "bundled:harbor", "nowhere"])
def test_of_others_nothing_is_known(text: str) -> None:
    assert trained_data(text).prompts == ()


@pytest.mark.parametrize("record", ["[]", "{", '{"options": 3}', '{"options": {"data": 3, "model": []}}'])
def test_a_record_that_says_nothing_is_none(record: str, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    for name in ("train.json", "run.json"):
        (tmp_path / name).write_text(record)
    assert trained_data(str(tmp_path / "model")).prompts == ()


def test_a_trained_folder_is_not_measured_by_what_it_learnt(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "m" / "model").mkdir(parents=True)
    chat = ScriptedChat(lambda r: "I cannot help with that.")
    monkeypatch.setattr(targets, "open_target", lambda text: targets.Target(text, chat, False, None))
    project = open_project("bundled:harbor_bank")
    suite = suite_for(project.loaded.charter, project.probes, limit=40)
    grown = next(p for p in suite.probes if p.origin == "grown" and len(p.messages) == 1)
    hand = next(p for p in suite.probes if p.origin == "written" and len(p.messages) == 1)
    rows = [{"prompt": p.messages[0].content, "completion": "No."} for p in (grown, hand)]
    data = write(tmp_path / "data.jsonl", *rows)
    write(tmp_path / "m" / "train.json", {"options": {"data": str(data), "model": "bundled:harbor"}})
    words = ["--charter", "bundled:harbor_bank", "--limit", "40", "--max-tokens", "2", "--no-prompt", "--out", str(tmp_path / "e")]
    assert run(["eval", str(tmp_path / "m" / "model"), *words, "--json"]) == 0
    told = json.loads((tmp_path / "e" / "evaluation.json").read_text())
    assert (told["contaminated"], told["taught"]) == ([grown.id], [hand.id])
    capsys.readouterr()
    assert run(["gate", str(tmp_path / "e"), "--charter", "bundled:harbor_bank"]) == GATE_EXIT["INVALID"]
    assert hand.id in {p.id for p in written_probes(load_charter(charter_path("bundled:harbor_bank")).charter)}
