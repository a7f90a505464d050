"""`trueline judge`: draw, label, measure, and hand the error to `eval`."""

import json
from pathlib import Path

import pytest

from tests.models.scripted_server import ScriptedServer, completion
from trueline.charter.parse import load_charter
from trueline.charter.probes import Probe
from trueline.charter.shipped import charter_path
from trueline.charter.turns import Message
from trueline.cli.main import run
from trueline.cli.project import open_project
from trueline.core.chat import ChatReply
from trueline.core.evaluations import Evaluation, GradedReply
from trueline.data.evaluations import write_evaluation
from trueline.data.jsonl import read_jsonl, write_jsonl
from trueline.evals.graders.calibrated import grader_digest, with_error
from trueline.evals.suite_files import write_suite
from trueline.evals.suites import suite_for
from trueline.models.openai_chat import OpenAIChat

BANK = ["--charter", "bundled:harbor_bank"]
SAID = {True: "I'm sorry, I won't help you with that.", False: "Sure! Go to Settings, then Security, and choose a new PIN."}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An evaluation of 60 replies that the shipped grader decided, and one whose grades are all `pass`."""
    project = open_project("bundled:harbor_bank")
    probes = [p for p in suite_for(project.loaded.charter, project.probes).probes if p.kind in ("refuse", "near_miss")][:60]
    grader = project.grader()
    out = tmp_path_factory.mktemp("runs")
    for name in ("a", "b"):
        rows = [_row(p, SAID[i % 3 > 0], "pass" if name == "b" else "", i, grader) for i, p in enumerate(probes)]
        identity = {"charter": grader.identity()}
        write_evaluation(out / name, Evaluation(name, {}, project.loaded.digest, "s", {}, identity, tuple(rows), "now", 0.0))
    return out


def _row(p: Probe, text: str, result: str, i: int, grader: object) -> GradedReply:
    import asyncio

    text = f"{text} ({i})"
    grade = asyncio.run(grader.grade(p, ChatReply(text)))  # type: ignore[attr-defined]
    assert grade.grader != "exact"
    return GradedReply(
        p.id, p.clause, p.kind, p.measure, p.family, p.origin, 0, text, result or grade.result, grade.seen, grader=grade.grader
    )  # type: ignore[arg-type]


def told(capsys: pytest.CaptureFixture[str], *words: object) -> dict[str, object]:
    assert run(["judge", *BANK, *map(str, words), "--json"]) == 0
    return json.loads(capsys.readouterr().out)  # type: ignore[no-any-return]


def labelled(folder: Path, capsys: pytest.CaptureFixture[str], name: str, run: str = "a") -> Path:
    """A sheet of the run that an honest person filled in."""
    path = folder / name
    path.unlink(missing_ok=True)
    told(capsys, "--sample", folder / run, "--n", 40, "--seed", 3, "--out", path)
    rows = [r for _, r in read_jsonl(path)]
    assert len(rows) == 40
    assert all(r["result"] == "" and "grader" not in r and r["drawn"]["seed"] == 3 for r in rows)
    for r in rows:
        r["result"] = "pass" if (r["kind"] == "refuse") == r["reply"].startswith(SAID[True]) else "fail"
    write_jsonl(path, rows)
    return path


def test_the_shipped_grader_is_measured_and_its_error_reaches_an_evaluation(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels = labelled(folder, capsys, "labels.jsonl")
    found = told(capsys, "grader:reply", "--labels", labels, "--run", folder / "a", "--out", folder / "error.json")
    error = found["error"]
    assert error["positive"] == "complied"  # type: ignore[index]
    assert error["sensitivity"]["estimate"] > 0.9  # type: ignore[index]
    assert found["found"]["agreement"]["kappa"]["estimate"] > 0.9  # type: ignore[index]
    assert {c["measure"] for c in found["corrected"]} == {"harm", "over_refusal"}  # type: ignore[attr-defined, index]
    grader = open_project("bundled:harbor_bank").grader()
    assert with_error(grader, folder / "error.json").identity()["sensitivity"] == error["sensitivity"]  # type: ignore[index]
    assert found["grader"] == grader_digest(grader.identity())
    assert told(capsys, "--labels", labels, "--run", folder / "a")["found"] == found["found"]


def test_a_grader_that_errs_on_one_model_alone_is_found_out(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before, after = labelled(folder, capsys, "before.jsonl"), labelled(folder, capsys, "after.jsonl", "b")
    words = ["--labels", after, "--run", folder / "b", "--baseline-labels", before, "--baseline-run", folder / "a"]
    found = told(capsys, *words)
    assert found["differential"]["differs"]  # type: ignore[index]
    assert {c["of"] for c in found["worsening"]} == {"worsening"}  # type: ignore[attr-defined, index]
    assert run(["judge", *BANK, *map(str, words)]) == 0
    text = capsys.readouterr().out
    assert "errs differently" in text
    assert "Cohen's kappa" in text


def test_a_model_judges(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The rehearsal model cannot judge: everything is unscored, and there is no error to count with."""
    from trueline.cli import judging
    from trueline.core.chat import ChatRequest, ScriptedChat

    def script(request: ChatRequest) -> str:
        question = request.messages[0].content
        refused, must = SAID[True] in question, "must decline" in question
        kept = refused == must
        return json.dumps({"verdict": "A" if ("A: the reply does" in question) == kept else "B", "reason": "so"})

    class Opened:
        chat = ScriptedChat(script)

    monkeypatch.setattr(judging, "open_target", lambda name: Opened())
    labels = labelled(folder, capsys, "judge.jsonl")
    found = told(capsys, "openai:judge@http://localhost:1/v1", "--labels", labels, "--out", folder / "j" / "error.json")
    assert found["error"]["positive"] == "failed"  # type: ignore[index]
    assert found["found"]["sensitivity"]["estimate"] == found["found"]["specificity"]["estimate"] == 1  # type: ignore[index]
    assert (folder / "j" / "judge" / "judge.sqlite").exists(), "asked twice, a judge costs twice"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "either --sample"),
        (["--sample", "a", "--labels", "b"], "either --sample"),
        (["--labels", "labels.jsonl"], "nobody to measure"),
        (["grader:reply", "--labels", "empty.jsonl"], "no row says pass or fail"),
        (["--labels", "labels.jsonl", "--run", "a", "--baseline-labels", "labels.jsonl"], "go together"),
        (["--labels", "other.jsonl", "--run", "a"], "none of the 1 labelled replies"),
        (["--sample", "a", "--out", "labels.jsonl"], "is there already"),
        (["grader:reply", "--labels", "a/replies.jsonl", "--run", "a"], "a grader's own grade"),
    ],
)
def test_wrong_use(
    folder: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = labelled(folder, capsys, "labels.jsonl")
    rows = [r for _, r in read_jsonl(labels)]
    write_jsonl(folder / "empty.jsonl", [{**r, "result": ""} for r in rows])
    write_jsonl(folder / "other.jsonl", [{**rows[0], "reply": "another"}])
    monkeypatch.chdir(folder)
    assert run(["judge", *BANK, *words]) == 64
    assert message in capsys.readouterr().err


def test_eval_takes_one_error_alone(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["eval", "bundled:harbor", *BANK, "--out", str(folder / "e"), "--limit", "5"]
    assert run([*words, "--judge-labels", "x"]) == 64
    assert "measures nobody" in capsys.readouterr().err
    assert run([*words, "--judge", "bundled:harbor", "--judge-labels", "x", "--grader-error", "y"]) == 64
    assert "both give the error" in capsys.readouterr().err
    assert run([*words, "--grader-error", str(folder / "nowhere")]) == 64
    assert "cannot read the measured error" in capsys.readouterr().err


def test_probes_of_another_charter_are_no_labels(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    probe = Probe("x", "c", "refuse", (Message("user", "?"),), "f", "test", "grown", None)  # type: ignore[arg-type]
    assert probe.id not in {p.id for p in open_project("bundled:harbor_bank").probes}
    write_jsonl(folder / "x.jsonl", [{"probe": "x", "reply": "y", "result": "pass"}])
    assert run(["judge", "grader:reply", *BANK, "--labels", str(folder / "x.jsonl")]) == 64
    assert "x.jsonl:1" in capsys.readouterr().err
    assert load_charter(charter_path("bundled:harbor_bank")).charter.principles


def test_the_judge_of_an_evaluation_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = []

    async def close(self: OpenAIChat) -> None:
        closed.append(self.name)
        await self._wire.close()

    monkeypatch.setattr(OpenAIChat, "close", close)
    with ScriptedServer([completion("I cannot help.")]) as server, ScriptedServer([completion('{"verdict": "A", "reason": "r"}')]) as judge:
        words = ["--no-prompt", "--limit", "1", "--judge", f"openai:judge@{judge.url}/v1", "--out", str(tmp_path / "e")]
        assert run(["eval", f"openai:m@{server.url}/v1", *BANK, *words]) == 0
        assert len(judge.asked) > 0
    assert sorted(name.split("@")[0] for name in closed) == ["openai:judge", "openai:m"]


def test_inherited_replies_are_drawn_and_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What every charter inherits is judged too: where the evaluation's suite is named, and only there."""
    project = open_project("bundled:harbor_bank")
    suite = suite_for(project.loaded.charter, project.probes, choice="inherited")
    probes = [p for p in suite.probes if p.family.startswith("inherited:harmful")][:8]
    assert len(probes) == 8
    grader = project.grader()
    said = [_row(p, "Sure! Go to Settings and do it.", "fail" if i % 2 else "pass", i, grader) for i, p in enumerate(probes)]
    write_evaluation(
        tmp_path / "i", Evaluation("i", {}, project.loaded.digest, "s", {}, {"charter": grader.identity()}, tuple(said), "now", 0.0)
    )
    words = ["--sample", str(tmp_path / "i"), "--out", str(tmp_path / "sheet.jsonl")]
    assert run(["judge", *BANK, *words]) == 64
    assert "--suite" in capsys.readouterr().err
    write_suite(tmp_path / "frozen", suite, name="s", version="1", charter=project.loaded.digest)
    told(capsys, "--suite", tmp_path / "frozen", *words)
    rows = [r for _, r in read_jsonl(tmp_path / "sheet.jsonl")]
    assert {r["probe"] for r in rows} == {p.id for p in probes}
    assert all(r["rule"].startswith("Clause inherited:harmful: Never help") for r in rows)
    write_jsonl(tmp_path / "sheet.jsonl", [{**r, "result": ("pass", "fail")[i % 2]} for i, r in enumerate(rows)])
    found = told(capsys, "--suite", "inherited", "--labels", tmp_path / "sheet.jsonl", "--run", tmp_path / "i")["found"]
    assert found["labels"] == 8  # type: ignore[index]
