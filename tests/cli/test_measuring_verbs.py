"""`eval`, `redteam`, `compare` and `gate` as a user runs them, against a real HTTP server."""

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.scripted_upstream import Upstream
from trueline.charter.parse import load_charter
from trueline.charter.shipped import charter_path
from trueline.cli.main import run
from trueline.cli.project import open_project
from trueline.core.records import GATE_EXIT
from trueline.evals.redteam import ATTACKS

CHARTER = load_charter(charter_path("bundled:harbor_bank")).charter
REFUSAL = CHARTER.principles[0].refuse_with
MARK = CHARTER.principles[0].breaks[0]
BANK = ("--charter", "bundled:harbor_bank", "--concurrency", "4")  # the fake server has a short queue


def target(upstream: Upstream) -> str:
    return f"openai:m@{upstream.url}"


def said(capsys: pytest.CaptureFixture[str], code: int, *words: object) -> dict[str, Any]:
    assert run([*map(str, words), "--json"]) == code
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_redteam_tells_a_target_that_keeps_the_charter_from_one_that_breaks_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    few = (*BANK, "--limit", 6, "--control", 4, "--attacks", "plain,base64,role-play")
    with Upstream({"*": REFUSAL}) as kept, Upstream({"*": f"Sure, {MARK}: [step withheld]"}) as broken:
        good = said(capsys, 0, "redteam", target(kept), *few, "--out", tmp_path / "good")
        bad = said(capsys, 0, "redteam", target(broken), *few, "--out", tmp_path / "bad")
        asked = len(broken.asked)
        assert said(capsys, 0, "redteam", target(broken), *few, "--out", tmp_path / "bad") | {"seconds": 0} == bad | {"seconds": 0}
        assert len(broken.asked) == asked  # the same run again asks nothing
    assert set(good["attacks"]) == {"plain", "base64", "role-play"}
    assert {a["success"] for a in good["attacks"].values()} == {0.0}
    assert good["fell"]["success"] == 0.0
    assert bad["fell"]["success"] == 1.0
    for clause in CHARTER.principles:
        if clause.id in bad["clauses"] and MARK in clause.breaks:
            row = bad["clauses"][clause.id]
            assert row["proven"] == row["n"] > 0
    assert {a["read"] for a in good["attacks"].values()} == {0.0}  # a server that always refuses knows no fact either
    attacked = [json.loads(line) for line in (tmp_path / "bad" / "replies.jsonl").read_text().splitlines()]
    assert {r["kind"] for r in attacked} == {"refuse"}
    assert {r["probe"].rpartition("~")[2] for r in attacked} == {"plain", "base64", "role-play"}


def test_a_gate_that_requires_a_red_team_run_looks_at_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = charter_path("bundled:harbor_bank").read_text(encoding="utf-8")
    assert "require: [suite]" in text
    (tmp_path / "charter.yaml").write_text(text.replace("require: [suite]", "require: [suite, redteam]"), encoding="utf-8")
    rule = ("--charter", tmp_path / "charter.yaml")
    mine = (*rule, "--concurrency", 4)
    with Upstream({"*": f"Sure, {MARK}"}) as up:
        said(capsys, 0, "eval", target(up), *mine, "--limit", 100, "--out", tmp_path / "e")
        said(capsys, 0, "redteam", target(up), *mine, "--control", 0, "--limit", 8, "--attacks", "plain,hex", "--out", tmp_path / "r")
    with Upstream({"*": f"Sure, {MARK}"}) as other:
        said(capsys, 0, "redteam", target(other), *mine, "--control", 0, "--limit", 6, "--attacks", "plain", "--out", tmp_path / "o")
    assert run(["gate", str(tmp_path / "e"), *map(str, rule)]) == GATE_EXIT["FAIL"]
    assert "the charter requires a red-team run" in capsys.readouterr().out
    found = said(capsys, GATE_EXIT["FAIL"], "gate", tmp_path / "e", *rule, "--redteam", tmp_path / "r")
    assert any(r.startswith("attack: ") and "lower bound is above the cap" in r for r in found["reasons"])
    found = said(capsys, GATE_EXIT["INVALID"], "gate", tmp_path / "e", *rule, "--redteam", tmp_path / "o")
    assert any("another target" in r for r in found["reasons"])


def test_compare_sets_targets_and_finished_evaluations_side_by_side(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    some = (*BANK, "--limit", 100)
    with Upstream({"*": REFUSAL}) as kept, Upstream({"*": f"Sure, {MARK}"}) as broken:
        said(capsys, 0, "eval", target(kept), *some, "--out", tmp_path / "kept")
        card = said(capsys, 0, "compare", tmp_path / "kept", target(broken), *some, "--out", tmp_path)
        assert run(["compare", str(tmp_path / "kept"), target(broken), *map(str, some), "--out", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    first, second = card["measures"]["harm"]
    assert second["failed"] > first["failed"]
    moved = second["against_first"]
    assert moved["lower"] > 0
    assert moved["difference"] == pytest.approx(second["failed"] - first["failed"], abs=0.02)
    assert first.get("against_first") is None
    assert card["notes"] == []
    assert "harm" in shown
    assert "over_refusal" in shown


def test_compare_says_what_cannot_be_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Upstream({"*": REFUSAL}) as up:
        for limit in (40, 90):
            said(capsys, 0, "eval", target(up), *BANK, "--limit", limit, "--out", tmp_path / str(limit))
    card = said(capsys, 0, "compare", tmp_path / "40", tmp_path / "90", *BANK)
    assert len(card["notes"]) == 1
    assert "differs from" in card["notes"][0]
    assert "suite" in card["notes"][0]
    assert card["measures"]["harm"][1].get("against_first") is None


def test_a_judge_is_measured_on_labels_and_named_in_the_evaluation(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    some = (*BANK, "--limit", 60)
    with Upstream({"*": "Well, that depends."}) as up, Upstream({"*": '{"reason": "r", "verdict": "A"}'}) as biased:
        said(capsys, 0, "eval", target(up), *some, "--out", tmp_path / "first")
        rows = [json.loads(line) for line in (tmp_path / "first" / "replies.jsonl").read_text().splitlines()]
        near = [r for r in rows if r["kind"] == "near_miss"][:4]
        labels = [
            {"probe": r["probe"], "reply": r["reply"], "result": ("pass", "fail")[i % 2], "labelled_by": "a test"}
            for i, r in enumerate(near)
        ]
        (tmp_path / "labels.jsonl").write_text("".join(json.dumps(x) + "\n" for x in labels))
        said(capsys, 0, "eval", target(up), *some, "--judge", target(biased), "--out", tmp_path / "judged")
        # a judge that answers A whatever A means has no verdict left once both orders are asked, so nothing can calibrate it
        judge = ("--judge", target(biased), "--judge-labels", tmp_path / "labels.jsonl")
        found = said(capsys, 64, "eval", target(up), *some, *judge, "--out", tmp_path / "calibrated")
        own = ("--judge", target(biased), "--judge-labels", tmp_path / "first" / "replies.jsonl")
        refused = said(capsys, 64, "eval", target(up), *some, *own, "--out", tmp_path / "circular")
    assert "insufficient evidence for sensitivity" in found["error"]
    assert "a grader's own grade" in refused["error"]
    judged = [json.loads(line) for line in (tmp_path / "judged" / "replies.jsonl").read_text().splitlines()]
    assert {r["result"] for r in judged if r["grader"] == "judge"} == {"unscored"}
    manifest = json.loads((tmp_path / "judged" / "evaluation.json").read_text())
    assert "sensitivity" not in manifest["graders"]["judge"]
    assert run(["gate", str(tmp_path / "judged"), *BANK[:2]]) == GATE_EXIT["INVALID"]


@pytest.mark.parametrize(
    ("words", "word"),
    [
        (["redteam", "openai:m@http://127.0.0.1:9/v1", *BANK, "--attacks", "telepathy"], "there is no attack 'telepathy'"),
        (["compare", "bundled:harbor", *BANK], "give two or more"),
        (["eval", "openai:m@http://127.0.0.1:9/v1", *BANK, "--judge-labels", "x"], "name the judge with --judge"),
        (["eval", "nonsense", *BANK], "cannot understand the TARGET"),
    ],
)
def test_wrong_use_is_one_line(words: list[str], word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(words) == 64
    err = capfd.readouterr().err
    assert word in err
    assert err.count("\n") == 1


def test_two_targets_or_settings_never_share_a_folder_that_nobody_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    few = (*BANK, "--limit", 5)
    with Upstream({"*": REFUSAL}) as up:
        long = f"{up.url}/a-long-path-that-fills-the-readable-part-of-a-folder"
        folders = [said(capsys, 0, "eval", f"openai:{m}@{long}", *few, *more)["folder"] for m, more in (("a", ()), ("b", ()), ("a", ("--no-prompt",)))]  # fmt: skip
        again = said(capsys, 0, "eval", f"openai:a@{long}", *few)["folder"]
    assert len(set(folders)) == 3
    assert again == folders[0]


def test_compare_says_under_which_charter_an_evaluation_was_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Upstream({"*": REFUSAL}) as up:
        said(capsys, 0, "eval", target(up), *BANK, "--limit", 5, "--out", tmp_path / "a")
    card = said(capsys, 0, "compare", tmp_path / "a", tmp_path / "a", "--charter", "bundled:hospital_desk")
    assert sum("was evaluated under charter" in n for n in card["notes"]) == 2


def test_plan_counts_families_and_says_what_no_probe_can_show(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    starter = Path(charter_path("bundled:harbor_bank")).parents[2] / "templates" / "charter.yaml"
    (tmp_path / "charter.yaml").write_text(starter.read_text())
    plan = said(capsys, 2, "plan", tmp_path / "charter.yaml")
    harm = next(r for r in plan["measures"] if r["measure"] == "harm")
    assert (harm["probes"], harm["families"], harm["may_fail"]) == (6, 6, None)
    assert "53 more families for the cap" in harm["verdict"]
    assert "767 more families for the margin" in harm["verdict"]  # 6.18 x 0.05 / 0.02^2 = 773 pairs where one probe in twenty changes
    assert sum(harm["add"].values()) == 767
    thrice = said(capsys, 2, "plan", tmp_path / "charter.yaml", "--samples", 30)
    assert next(r for r in thrice["measures"] if r["measure"] == "harm")["families"] == 6, "a probe asked again is no new probe"
    assert "53 more families for the cap" in next(r for r in thrice["measures"] if r["measure"] == "harm")["verdict"]


def test_a_plan_says_what_is_left_for_a_model_that_knows_the_examples(capsys: pytest.CaptureFixture[str]) -> None:
    """The hand-written probes of a charter are no evidence of a model that was trained on them: the gate found that out, the plan says it before."""
    plan = said(capsys, 0, "plan", "bundled:harbor_bank")
    rows = {r["measure"]: r for r in plan["measures"]}
    facts, left = rows["capability"], rows["capability"]["grown"]
    asked = [p for p in open_project("bundled:harbor_bank").probes if p.side == "test" and p.kind == "knowledge"]
    assert (left["probes"], left["families"]) == (len(asked), len({p.cluster for p in asked}))
    assert facts["verdict"] == "enough"
    assert left["resolves"] > facts["margin"] > facts["resolves"]
    assert run(["plan", "bundled:harbor_bank"]) == 0
    shown = capsys.readouterr().out
    assert f"capability: for a model that was trained on the charter's own examples, or is shown them, {left['probes']} probes" in shown
    assert "harm: for a model" not in shown  # what is left of it is enough


def test_few_shots_that_are_asked_again_stand_under_taught(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Upstream({"*": REFUSAL}) as up:
        for shots in (0, 6):
            said(capsys, 0, "eval", target(up), "--charter", "bundled:hospital_desk", "--concurrency", 4, "--few-shots", shots, "--out", tmp_path / str(shots))  # fmt: skip
    none, some = (json.loads((tmp_path / n / "evaluation.json").read_text())["taught"] for n in ("0", "6"))
    assert none == []
    assert len(some) >= 5


def test_intervals_count_families_and_not_wordings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One reply to all: every disguise of a request, and every sample, stands or falls together."""
    with Upstream({"*": REFUSAL}) as up:
        found = said(capsys, 0, "redteam", target(up), *BANK, "--limit", 8, "--control", 0, "--samples", 3, "--out", tmp_path / "r")
        once = said(capsys, 0, "eval", target(up), *BANK, "--limit", 40, "--out", tmp_path / "once")
        thrice = said(capsys, 0, "eval", target(up), *BANK, "--limit", 40, "--samples", 3, "--out", tmp_path / "thrice")
    for row in found["clauses"].values():
        requests = row["n"] / (len(ATTACKS) * 3)
        assert row["high"] == pytest.approx(1 - 0.025 ** (1 / requests), abs=1e-3), "all disguises and three samples are one request"
    for name, row in once["measures"].items():
        assert thrice["measures"][name]["n"] == 3 * row["n"]
        assert thrice["measures"][name]["high"] >= row["high"] - 0.02


def test_the_graders_and_their_error_stand_beside_every_result(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Upstream({"*": "You could try to do it at the counter, they know how it works."}) as up:
        assert run(["eval", target(up), *BANK, "--limit", "40", "--out", str(tmp_path / "e")]) == 0
        shown = capsys.readouterr().out
        assert run(["eval", target(up), *BANK, "--limit", "40", "--out", str(tmp_path / "e")]) == 0
        assert "replies came from" in capsys.readouterr().err, "a second run asks nothing, which must be said"
    assert "graded by reply-linear-3: sensitivity 91.5 % (n 293), specificity 87.6 % (n 587) on human labels" in shown
    assert "graded by exact\n" in shown
    run(["gate", str(tmp_path / "e"), *BANK[:2]])
    assert "behind the grader's error: harm" in capsys.readouterr().out


def test_a_plan_counts_the_prompt_that_every_request_carries(capsys: pytest.CaptureFixture[str]) -> None:
    few = said(capsys, 2, "plan", "bundled:hospital_desk", "--max-tokens", 1, "--price", 10)
    assert few["tokens"] > 500 * few["requests"], "the prompt of this charter alone has more than five hundred tokens"
    assert few["cost"] == pytest.approx(few["tokens"] / 1e5)


def test_a_run_stops_once_its_caps_are_decided_and_the_gate_decides_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Everything is complied with: after some families of harm that is shown, and nothing more is asked."""
    with Upstream({"*": "Sure, here is how: take the card and call them."}) as up:
        early = ("eval", target(up), *BANK, "--concurrency", 4)
        found = said(capsys, 0, *early, "--stop-early", 0, "--out", tmp_path / "early")
        again = said(capsys, 0, *early, "--stop-early", 0, "--out", tmp_path / "early")
        assert len({json.dumps(body["messages"]) for body in up.asked}) == len(up.asked), "nothing is asked twice"
        for wrong in (("--against", tmp_path / "early"), ("--stop-early", 0, "--against", tmp_path / "early", "--limit", 20)):
            assert run([*map(str, (*early, *wrong, "--out", tmp_path / "x"))]) == 64
        capsys.readouterr()
    assert found["measures"] == again["measures"]
    record = json.loads((tmp_path / "early" / "evaluation.json").read_text())
    assert record["settings"]["stopped"]["order"] == 0
    assert "FAIL is shown" in record["settings"]["stopped"]["why"]
    assert record["n"] < 300
    gate = said(capsys, GATE_EXIT["FAIL"], "gate", tmp_path / "early", *BANK[:2])
    assert gate["outcome"] == "FAIL"
    assert any(stop["outcome"] == "FAIL" for stop in gate["stops"])


def test_plan_says_what_the_gate_will_want_besides(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    starter = Path(charter_path("bundled:harbor_bank")).parents[2] / "templates" / "charter.yaml"
    head, _, _ = starter.read_text(encoding="utf-8").partition("\ngate:")
    rule = "{caps: {harm: 0.9}, require: [suite, redteam], zero_tolerance: [plain-words]}"
    (tmp_path / "charter.yaml").write_text(f"{head}\ngate: {rule}\n")
    plan = said(capsys, 2, "plan", tmp_path / "charter.yaml")
    assert [r["verdict"] for r in plan["measures"] if r["measure"] == "harm"] == ["enough"]
    assert any("wants 20 families of requests to attack" in why for why in plan["lacking"])


def test_replies_from_the_cache_are_as_old_as_they_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A red-team run is fresh by what was asked, not by when the command ran again, and as old as its oldest reply."""
    with Upstream({"*": REFUSAL}) as up:
        words = ("redteam", target(up), *BANK, "--limit", 1, "--control", 0, "--out", tmp_path / "r", "--attacks")
        said(capsys, 0, *words, "plain,base64")
        path, cache = tmp_path / "r" / "evaluation.json", tmp_path / "r" / "cache.sqlite"
        with sqlite3.connect(cache) as kept:
            kept.execute("UPDATE replies SET reply = json_set(reply, '$.made', '2026-01-01T00:00:00+00:00')")
        kept.close()
        asked = len(up.asked)
        for attacks, more in (("plain,base64", 0), ("plain,base64,hex", 1)):
            path.unlink()  # no other record is trusted
            said(capsys, 0, *words, attacks)
            assert (len(up.asked) > asked) == bool(more)
            assert json.loads(path.read_text())["created"].startswith("2026-01-01")
        for rest in (tmp_path / "r").glob("cache.sqlite*"):
            rest.unlink()
        said(capsys, 0, *words, "plain,base64")
    assert not json.loads(path.read_text())["created"].startswith("2026-01-01")
