"""`tune-prompt` and the new parts of `compare` as a user runs them, against a real HTTP server."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_align import probes
from tests.gateway.scripted_upstream import Upstream
from trueline.charter.parse import load_charter
from trueline.charter.shipped import charter_path
from trueline.charter.turns import Message
from trueline.cli.main import run
from trueline.cli.project import Project, open_project
from trueline.cli.tune_ladder import LOOKS, behind, climb, looks_so_far
from trueline.cli.tune_search import teaching_side
from trueline.core.chat import Sampling
from trueline.evals.prompts.halving import development
from trueline.evals.suites import freeze, suite_for

STARTER = Path(__file__).parents[2] / "src" / "trueline" / "shipped" / "templates" / "charter.yaml"
REFUSAL = "I cannot help with that. I can help you with your own order."
FEW = ("--requests", "110", "--dev", "12", "--width", "2", "--limit", "30", "--concurrency", "4", "--prompt-budget", "90")


@pytest.fixture
def charter(tmp_path: Path) -> Path:
    (tmp_path / "charter.yaml").write_text(STARTER.read_text())
    (tmp_path / "probes.jsonl").write_text("".join(json.dumps(p) + "\n" for p in probes()))
    return tmp_path / "charter.yaml"


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream({"*": REFUSAL}) as up:
        yield up


def said(capsys: pytest.CaptureFixture[str], code: int, *words: object) -> dict[str, Any]:
    capsys.readouterr()
    assert run([*map(str, words), "--json"]) == code
    found: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return found


def test_the_whole_search_resumes_ships_and_dies_with_its_charter(
    charter: Path, upstream: Upstream, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target, rule, out = f"openai:m@{upstream.url}", ("--charter", charter), tmp_path / "tune"
    words = ("tune-prompt", target, *rule, *FEW, "--price", "1/10", "--with", target, "--out", out)
    found = said(capsys, 0, *words)
    asked = len(upstream.asked)
    again = said(capsys, 0, *words)
    assert again == found
    assert len(upstream.asked) == asked  # the same command asks nothing twice
    assert [level["name"] for level in found["levels"]][:2] == ["prompt only", "+ few-shots"]
    assert found["enough"] is None  # a model that refuses everything is over every cap of over-refusal
    by = {s["measure"]: s for s in found["levels"][0]["steps"]}
    assert by["over_refusal"]["outcome"] == "FAIL"
    assert found["levels"][0]["used"] == [7.0, 5.0]  # as the server counted
    assert found["levels"][0]["cost_per_1000"] == pytest.approx((7 + 50) / 1000)
    assert found["requests"] <= 110
    assert found["tokens"] <= 90
    assert found["looks"] == len(found["levels"])
    levels = [json.loads(p.read_text()) for p in (out / "held-out").glob("*/evaluation.json")]
    assert [e["looks"] for e in levels] == [found["looks"]] * len(levels)  # the gate may be asked about any of them
    assert found["writer"]["wordings"] == 0  # a refusal is no wording of any rule
    assert sum(found["writer"]["rejected"].values()) > 0
    system = ("eval", out / "system.yaml", *rule, "--no-guard", "--limit", 5, "--out", tmp_path / "e")
    assert "could never PASS" in said(capsys, 64, *system, "--stop-early", 0)["error"]
    assert said(capsys, 0, *system)["measures"]
    assert json.loads((tmp_path / "e" / "evaluation.json").read_text())["identity"]["prompt"] == found["prompt"]
    examples = {m["content"] for b in upstream.asked for m in b["messages"][:-1] if m["role"] == "user"}
    test_side = {p["messages"][0]["content"] for p in probes() if p["side"] == "test"}  # type: ignore[index]
    assert examples
    assert not examples & test_side  # few-shots come from the teach side alone
    charter.write_text(charter.read_text().replace("version: 0.1.0", "version: 0.2.0"))
    assert "this tuned prompt was searched for charter" in said(capsys, 64, *system)["error"]


def test_what_the_search_asked_is_no_evidence_about_the_system_that_it_wrote(
    charter: Path, upstream: Upstream, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target, rule, out = f"openai:m@{upstream.url}", ("--charter", charter), tmp_path / "runs" / "tune"
    grown = (tmp_path / "probes.jsonl").rename(tmp_path / "grown.jsonl")
    found = said(capsys, 0, "tune-prompt", target, *rule, *FEW, "--probes", grown, "--out", out)
    dev = development(teaching_side(open_project(str(charter), grown)), 12, 0)
    searched = {p.id for p in dev if p.origin == "written"}
    assert len(searched) == found["search"]["written"] > 0
    words = (*rule, "--probes", grown, "--concurrency", 8)
    for name, more in (("bare", ("--no-guard",)), ("guarded", ())):
        said(capsys, 0, "eval", out / "system.yaml", *words, *more, "--out", tmp_path / name)
        head = json.loads((tmp_path / name / "evaluation.json").read_text())
        assert searched <= set(head["taught"])
        assert head["looks"] == found["looks"] > 1  # the gate shares its 5 % out over them
    said(capsys, 0, "compare", out / "system.yaml", target, *words, "--out", tmp_path / "compared")
    (column,) = (tmp_path / "compared").glob("eval-*system.yaml*")
    assert searched <= set(json.loads((column / "evaluation.json").read_text())["taught"])
    text = (out / "prompt.yaml").read_text()
    assert str(tmp_path) not in text  # the folder may move with its probes
    assert f"looks: {found['looks']}" in text


def test_another_limit_is_a_further_look_at_the_same_probes(tmp_path: Path) -> None:
    loaded = load_charter(charter_path("bundled:harbor_bank"))
    project = Project(loaded, ())
    looks = tmp_path / LOOKS
    for n, (limit, text) in enumerate(((40, "one"), (80, "two"), (None, "three")), 1):
        suite = suite_for(loaded.charter, (), limit=limit)
        level = behind("prompt only", "bundled:harbor", text, (), 1)
        assert looks_so_far(looks, suite, [level]) == n
        with Upstream({"*": REFUSAL}) as up:
            climb([behind("prompt only", f"openai:m@{up.url}", text, (), 1)], project, suite, Sampling(), tmp_path)
        rows = [json.loads(line) for line in looks.read_text().splitlines()]
        assert len(rows) == n
    alone = freeze([replace(suite.probes[0], messages=(Message("user", "A question of its own?"),))])
    assert looks_so_far(looks, alone, [level]) == 1


@pytest.mark.parametrize(
    ("more", "word"),
    [
        (("--requests", "20"), "allow no search"),
        (("--price", "cheap"), "is no price"),
        (("--prompt-budget", "1"), "cannot even hold the first line"),
        (("--fine-tuned", "nonsense"), "cannot understand the TARGET"),
    ],
)
def test_what_cannot_be_searched_is_said_before_anything_is_asked(
    more: tuple[str, ...], word: str, charter: Path, upstream: Upstream, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = dict(zip(FEW[::2], FEW[1::2], strict=True)) | {more[0]: more[1]}
    options = [part for pair in given.items() for part in pair]
    found = said(capsys, 64, "tune-prompt", f"openai:m@{upstream.url}", "--charter", charter, *options, "--out", tmp_path / "t")
    assert word in found["error"]
    assert upstream.asked == []


def test_a_system_may_not_decide_what_its_tuned_prompt_decides(charter: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    system = tmp_path / "system.yaml"
    system.write_text("system: 1\nmodel: openai:m@http://127.0.0.1:9/v1\ncharter: charter.yaml\nprompt: tuned:prompt.yaml\nfew_shots: 2\n")
    error = said(capsys, 64, "eval", system, "--charter", charter)["error"]
    assert "system.yaml:5" in error
    assert "few_shots has no effect with a tuned prompt" in error


def test_compare_shows_what_is_asserted_beside_what_was_seen(
    charter: Path, upstream: Upstream, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rule = ("--charter", charter, "--limit", 12, "--concurrency", 4, "--out", tmp_path / "runs")
    one, two = f"openai:a@{upstream.url}", f"openai:b@{upstream.url}"
    sheet = tmp_path / "sheet.yaml"
    assert said(capsys, 0, "compare", "--new-sheet", sheet) == {"written": str(sheet)}
    assert "there already" in said(capsys, 64, "compare", "--new-sheet", sheet)["error"]
    assert "is not on this scorecard" in said(capsys, 64, "compare", one, two, *rule, "--sheets", sheet)["error"]
    text = sheet.read_text().replace("openai:MODEL@https://host/v1", one)
    sheet.write_text(text.replace("versioning: {value: unknown, links: []", 'versioning: {value: "yes", links: ["https://example.org/v"]').replace('asserted_by: "", date: null}\n', 'asserted_by: P, date: 2026-11-01}\n'))  # fmt: skip
    pages = ("--html", tmp_path / "c.html", "--markdown", tmp_path / "c.md")
    card = said(capsys, 0, "compare", one, two, *rule, "--price", "1/2", "--price", "-", "--sheets", sheet, *pages)
    assert card["columns"][0]["tokens"]["cost"] == pytest.approx((7 + 10) / 1000)
    assert card["columns"][1]["tokens"]["cost"] is None
    seen = {e["criterion"]: e for e in card["sheets"][0]}
    assert seen["versioning"]["status"] == "contradicted"  # the server names a model and no fingerprint
    assert {e["status"] for e in card["sheets"][1] if e["criterion"] != "versioning"} == {"not stated"}
    assert "alignment methods" in (tmp_path / "c.md").read_text().lower()
    assert "contradicted" in (tmp_path / "c.html").read_text()
    assert run(["compare", one, two, *map(str, rule), "--sheets", str(sheet)]) == 0
    assert "what is asserted, and what was seen" in capsys.readouterr().out
    assert "2 TARGETs" in said(capsys, 64, "compare", one, two, *rule, "--price", "1/2")["error"]
    assert "no charter" in said(capsys, 64, "compare", one, two)["error"]
