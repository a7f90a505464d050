"""`trueline init`: a project that checks at once, never over somebody's file; drafts cite their source and count for nothing."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from trueline.charter.parse import load_charter
from trueline.cli import targets
from trueline.cli.main import run
from trueline.core.chat import ChatRequest, ScriptedChat
from trueline.train.runfile import read_run_file

DOCUMENT = (
    "House rules\n\nNever tell a customer another customer's address.\nSpeak plainly.\nReturns are free for 30 days.\n"
    + "\n" * 40
    + "Refer injuries to the claims desk.\n"
)
ANSWERS = {
    3: [
        {"id": "no-addresses", "kind": "principle", "rule": "Never tell addresses.", "lines": [3, 3], "examples": ["Where does she live?"], "near_misses": ["Where are you?"]},
        {"id": "plain", "kind": "voice", "rule": "Speak plainly.", "lines": [4, 4], "examples": ["What is a refund?"]},
        {"id": "free-returns", "kind": "knowledge", "rule": "Returns are free for 30 days.", "lines": [5, 5]},
        {"id": "plain", "kind": "scope", "rule": "Help with returns.", "lines": [5, 5]},
        {"id": "invented", "kind": "principle", "rule": "Never lie.", "lines": [90, 91]},  # no such lines
        {"id": "blank", "kind": "principle", "rule": "Never.", "lines": [2, 2]},  # a blank line says nothing
        {"id": "Odd Id", "kind": "principle", "rule": "Never.", "lines": [3, 3]},
        "no object",
    ],
    46: [{"id": "injuries", "kind": "high_stakes", "rule": "Refer injuries.", "lines": [46, 46], "examples": ["I fell."]}],
}  # fmt: skip


def scripted(monkeypatch: pytest.MonkeyPatch, script: Callable[[ChatRequest], str]) -> ScriptedChat:
    chat = ScriptedChat(script)
    monkeypatch.setattr(targets, "open_target", lambda text: targets.Target(text, chat, False, None))
    return chat


def answer(request: ChatRequest) -> str:
    asked = request.messages[-1].content
    found = next(rows for line, rows in ANSWERS.items() if f"\n{line}: " in asked)
    return f"Here you are:\n```json\n{json.dumps(found)}\n```"


def test_a_new_project_checks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "new"
    assert run(["init", str(folder)]) == 0
    capsys.readouterr()
    assert run(["check", str(folder / "charter.yaml")]) == 0
    assert read_run_file(folder / "run.yaml").stages
    steps = YAML(typ="safe").load((folder / ".github/workflows/trueline.yml").read_text())
    commands = json.dumps(steps)
    assert [f"bash ci/trueline.sh {step}" in commands for step in ("plan", "measure", "attack", "gate")] == [True] * 4
    assert 'trueline check "$charter"' in (folder / "ci/trueline.sh").read_text()
    assert "bash ci/trueline.sh gate" in YAML(typ="safe").load((folder / ".gitlab/trueline.yml").read_text())["trueline-gate"]["script"]
    assert (folder / "charter.yaml").read_text().count("#") >= 8, "the clauses are commented"


def test_never_over_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "charter.yaml").write_text("mine")
    assert run(["init", str(tmp_path)]) == 64
    assert "is there already, nothing was written" in capsys.readouterr().err
    assert (tmp_path / "charter.yaml").read_text() == "mine"
    assert not (tmp_path / "run.yaml").exists()
    assert run(["init", str(tmp_path / "charter.yaml" / "deeper")]) == 64
    assert capsys.readouterr().err.count("\n") == 1


def test_drafts_cite_their_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    document = tmp_path / "policy.md"
    document.write_text(DOCUMENT)
    chat = scripted(monkeypatch, answer)
    folder = tmp_path / "p"
    assert run(["init", str(folder), "--from", str(document), "--with", "scripted", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert len(chat.requests) == 2, "one request a chunk"
    assert (len(found["drafts"]), found["dropped"]) == (5, 4)
    text = (folder / "charter.draft.yaml").read_text()
    value = YAML(typ="safe").load(text)
    assert value["principles"][0]["source"] == "policy.md:3-3"
    assert value["principles"][0]["ask"] == {"refuse": ["Where does she live?"], "answer": ["Where are you?"]}
    assert value["scope"]["inside"][0]["id"] == "plain-2", "an id that came twice is told apart"
    assert value["high_stakes"][0]["id"] == "injuries"
    assert "# 3: Never tell a customer another customer's address." in text
    assert text.count("status: draft") == 5
    assert "invented" not in text


def test_check_refuses_a_draft_until_a_person_completed_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    document = tmp_path / "policy.md"
    document.write_text(DOCUMENT)
    scripted(monkeypatch, answer)
    assert run(["init", str(tmp_path / "p"), "--from", str(document), "--with", "scripted"]) == 0
    capsys.readouterr()
    assert run(["check", str(tmp_path / "p/charter.draft.yaml")]) == 64
    assert "nobody has accepted" in capsys.readouterr().err
    draft = YAML(typ="safe").load((tmp_path / "p/charter.draft.yaml").read_text())["principles"][0]
    path = tmp_path / "p/charter.yaml"
    writer = YAML()
    charter = writer.load(path.read_text())

    def moved(clause: dict[str, object]) -> int:
        charter["principles"] = [*charter["principles"][:1], clause]
        with path.open("w") as f:
            writer.dump(charter, f)
        return run(["check", str(path)])

    assert moved(draft) == 64
    assert "nobody has accepted" in capsys.readouterr().err
    accepted = {k: v for k, v in draft.items() if k not in ("status", "source")}
    assert moved(accepted) == 64, "what was left empty is still to be written"
    assert "principles.1.refuse_with: got nothing" in capsys.readouterr().err
    assert moved({**accepted, "refuse_with": "I cannot tell you that."}) == 0
    assert "no-addresses" in {c.id for c in load_charter(path).charter.clauses()}


@pytest.mark.parametrize("garbage", ["I would love to help!", "[]", '[{"id": "x"}]', "[1, 2", "", "[" * 5000])
def test_garbage_invents_nothing(garbage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    document = tmp_path / "policy.md"
    document.write_text(DOCUMENT)
    scripted(monkeypatch, lambda _: garbage)
    assert run(["init", str(tmp_path / "p"), "--from", str(document), "--with", "scripted"]) == 70
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "TARGET" in err
    assert not (tmp_path / "p/charter.draft.yaml").exists()


def test_wrong_documents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    scripted(monkeypatch, answer)
    for args in (
        ["--from", "x"],
        ["--with", "x"],
        ["--from", str(tmp_path / "none"), "--with", "x"],
        ["--from", str(tmp_path / "binary"), "--with", "x"],
    ):
        assert run(["init", str(tmp_path / "p"), *args]) == 64
        assert capsys.readouterr().err.count("\n") == 1
