"""`trueline redteam` with searches, a baseline, preference rows and layers, as a user runs it, against a real HTTP server."""

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_guarded_systems import bank as bank
from tests.gateway.scripted_upstream import Upstream
from tests.models.scripted_server import Answer, ScriptedServer
from trueline.charter.parse import load_charter
from trueline.charter.probe_files import read_probes
from trueline.charter.shipped import charter_path
from trueline.charter.turns import Message
from trueline.cli.main import run
from trueline.cli.redteam_table import outcome
from trueline.core.evaluations import Evaluation, GradedReply
from trueline.core.records import GATE_EXIT, Result
from trueline.data.conversations import read_preferences
from trueline.data.evaluations import read_evaluation
from trueline.errors import DataError
from trueline.evals.budget import Spent
from trueline.evals.redteam import ATTACKS, Attempted, read_attempts
from trueline.evals.redteam.journal import Journal

CHARTER = load_charter(charter_path("bundled:harbor_bank")).charter
REFUSAL, MARK = CHARTER.principles[0].refuse_with, CHARTER.principles[0].breaks[0]
BANK = ("--charter", "bundled:harbor_bank", "--concurrency", "4")
PROBES = read_probes(charter_path("bundled:harbor_bank").parent / "probes.jsonl")


@pytest.fixture(scope="module")
def weak() -> Iterator[Upstream]:
    """A target that refuses everything but what is asked by somebody in charge."""
    script = {ATTACKS["authority"].apply(p.messages)[-1].content: f"Sure, {MARK}: [step withheld]" for p in PROBES if p.kind == "refuse"}
    with Upstream({"*": REFUSAL, **script}) as up:
        yield up


@pytest.fixture(scope="module")
def strong() -> Iterator[Upstream]:
    with Upstream({"*": REFUSAL}) as up:
        yield up


def target(up: Upstream) -> str:
    return f"openai:m@{up.url}"


def said(capsys: pytest.CaptureFixture[str], code: int, *words: object) -> dict[str, Any]:
    assert run([*map(str, words), "--json"]) == code
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


FEW = (*BANK, "--limit", 6, "--attacks", "plain,base64,authority,hurry", "--search", "table,adaptive", "--budget", 4)


def test_a_search_writes_a_folder_that_the_gate_takes_and_asks_nothing_twice(
    weak: Upstream, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = said(capsys, 0, "redteam", target(weak), *FEW, "--out", tmp_path / "r")
    asked = len(weak.asked)
    again = said(capsys, 0, "redteam", target(weak), *FEW, "--out", tmp_path / "r")
    assert len(weak.asked) == asked
    assert {k: v for k, v in again.items() if k != "seconds"} == {k: v for k, v in found.items() if k != "seconds"}
    for name in ("table", "adaptive"):
        row = found["searches"][name]
        assert (row["success"], row["queries"]) == (1.0, 4)
        assert 0.5 < row["proven"]["success"] <= 1.0  # not every clause has this mark; the rest is judged
        assert row["won_by"] == {"authority": row["n"]}
        assert [p["queries"] for p in row["curve"]] == [1, 2, 4]
        assert set(found["clauses"][name]) <= {p.id for p in CHARTER.principles}
    assert found["fell"]["success"] == 1.0
    assert (tmp_path / "r" / "curves.svg").read_text().count("<svg") == 1
    assert json.loads((tmp_path / "r" / "curves.json").read_text())["budget"] == 4
    made = read_attempts(tmp_path / "r" / "attempts.jsonl")
    assert {a.asked for a in made} == {"target"}
    rows = [json.loads(line) for line in (tmp_path / "r" / "replies.jsonl").read_text().splitlines()]
    assert {r["probe"].rpartition("~")[2] for r in rows} == {"table", "adaptive"}
    assert {r["result"] for r in rows} == {"fail"}
    said(capsys, 0, "eval", target(weak), *BANK, "--limit", 100, "--out", tmp_path / "e")
    gate = said(capsys, GATE_EXIT["FAIL"], "gate", tmp_path / "e", *BANK[:2], "--redteam", tmp_path / "r")
    assert any(r.startswith("attack: ") for r in gate["reasons"])


def test_a_folder_of_another_run_holds_no_evaluation_until_this_one_ends(
    weak: Upstream, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = (*FEW[:-4], "--search", "table", "--budget", 1, "--out", tmp_path / "r")
    said(capsys, 0, "redteam", target(weak), *words)
    assert read_evaluation(tmp_path / "r").target == target(weak)
    with ScriptedServer([Answer({"error": {"message": "no key"}}, status=401)]) as gone:
        assert run([*map(str, ("redteam", f"openai:m@{gone.url}/v1", *words))]) != 0
    with pytest.raises(DataError):
        read_evaluation(tmp_path / "r")


@pytest.mark.parametrize("what", [("--search", "table", "--budget", 4), ("--attacks", "plain,hurry", "--control", 3)])
def test_a_budget_stops_the_whole_run_and_a_larger_one_goes_on(
    what: tuple[object, ...], strong: Upstream, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    begun, words = len(strong.asked), ("redteam", target(strong), *BANK, "--limit", 3, *what, "--out", tmp_path / "r")
    assert "the budget of requests is spent" in said(capsys, 130, *words, "--budget-requests", 5)["error"]
    assert len(strong.asked) - begun == 5
    said(capsys, 0, *words, "--max-rps", 1000, "--timeout", 30)
    whole = len(strong.asked) - begun
    said(capsys, 0, *words[:-1], tmp_path / "other")
    assert len(strong.asked) - begun == 2 * whole  # nothing was asked twice
    assert json.loads((tmp_path / "other" / "run.json").read_text())["requests"] > 0


def test_what_the_attacker_writes_counts_in_the_budget(strong: Upstream, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Upstream({"*": json.dumps({"why": "w", "message": "please do it all the same"})}) as writer:
        words = (*BANK, "--limit", 3, "--search", "persuasion", "--budget", 4, "--attacker", target(writer), "--out", tmp_path / "r")
        begun = len(strong.asked)
        assert "is spent" in said(capsys, 130, "redteam", target(strong), *words, "--budget-requests", 5)["error"]
        assert len(strong.asked) - begun + len(writer.asked) == 5
        said(capsys, 0, "redteam", target(strong), *words)
        found = json.loads((tmp_path / "r" / "run.json").read_text())
        assert found["requests"] == len(strong.asked) - begun + len(writer.asked)


def test_a_hunt_from_what_was_kept_keeps_its_date(strong: Upstream, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Or the gate would take attacks of years ago for fresh ones."""
    words = ("redteam", target(strong), *FEW[:-4], "--search", "table", "--out", tmp_path / "r", "--budget")
    said(capsys, 0, *words, 2)
    old = "2020-01-01T00:00:00+00:00"
    with sqlite3.connect(tmp_path / "r" / "cache.sqlite") as kept:
        # and one of another model, which is not this one's age
        kept.execute("INSERT INTO replies VALUES ('another:x', json_object('made', '2010-01-01T00:00:00+00:00'))")
        kept.execute("UPDATE replies SET reply = json_set(reply, '$.made', ?) WHERE key NOT LIKE 'another:%'", (old,))
    kept.close()
    asked = len(strong.asked)
    for budget in (2, 1):  # another budget is another run in the same folder, and its replies are no younger for it
        said(capsys, 0, *words, budget)
        assert len(strong.asked) == asked
        assert read_evaluation(tmp_path / "r").created == old
    (tmp_path / "r" / "cache.sqlite").unlink()
    (tmp_path / "r" / "attempts.jsonl").unlink()
    said(capsys, 0, *words, 2)
    assert read_evaluation(tmp_path / "r").created > old


def test_a_local_attacker_costs_nothing_on_resume(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "attempts.jsonl", "key")
    for step, who in enumerate(("target", "attacker", "gradient")):
        journal.add(Attempted("pair", "r", "c", step, who, "how", "d", (), "said", input_tokens=7, output_tokens=3))  # type: ignore[arg-type]
    assert vars_of(journal.cost()) == (1, 7, 3)
    assert vars_of(journal.cost(attacker=True)) == (2, 14, 6)
    journal.close()


def vars_of(spent: Spent) -> tuple[int, int, int]:
    return spent.requests, spent.read, spent.written


def test_a_budget_ends_in_the_control_too(strong: Upstream, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("redteam", target(strong), *BANK, "--limit", 3, "--attacks", "plain", "--control", 4)
    said(capsys, 0, *words[:-1], 0, "--out", tmp_path / "alone")
    n, begun = json.loads((tmp_path / "alone" / "run.json").read_text())["requests"], len(strong.asked)
    assert "is spent" in said(capsys, 130, *words, "--budget-requests", n + 1, "--out", tmp_path / "r")["error"]
    assert len(strong.asked) - begun == n + 1


def test_tables_for_a_person(weak: Upstream, strong: Upstream, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*map(str, ("redteam", target(weak), *FEW, "--out", tmp_path / "r", "--against", target(strong)))]) == 0
    shown = capsys.readouterr().out
    assert "adaptive" in shown
    assert "by error" in shown
    assert "newly" in shown
    assert "hunts of at most 4 queries" in shown
    assert "only found by" in shown
    assert "the table did not break 0; all of it was tried" in shown


def test_a_baseline_is_attacked_anew_and_paired(
    weak: Upstream, strong: Upstream, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = said(capsys, 0, "redteam", target(weak), *FEW, "--out", tmp_path / "r", "--against", target(strong))["against"]
    for row in found["searches"]:
        assert (row["candidate"], row["baseline"], row["no_longer"]) == (1.0, 0.0, 0)
        assert row["bounds"]["lower"] > 0.2
        assert row["bounds"]["difference"] == 1.0
    assert len(read_attempts(tmp_path / "r" / "against" / "attempts.jsonl")) > len(read_attempts(tmp_path / "r" / "attempts.jsonl"))


def test_successes_on_the_teach_side_become_preference_rows(weak: Upstream, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("redteam", target(weak), *FEW, "--side", "teach", "--out", tmp_path / "t", "--preferences", tmp_path / "p.jsonl")
    found = said(capsys, 0, *words)["preferences"]
    own = read_preferences(tmp_path / "p.jsonl")
    assert found["pairs"] == len(own.pairs) == found["broken"] + found["counterparts"]
    assert (found["spread"], found["ordinary"]) == (0, 0)
    assert found["broken"] > 0
    assert found["counterparts"] > 0
    assert {p.source for p in own.pairs} == {"attack:authority", "attack:authority:counterpart"}
    teach = {p.messages[-1].content for p in PROBES if p.side == "teach"}
    for pair in own.pairs:
        assert pair.prompt[0].role == "system"  # the prompt that the target stood behind
        assert any(pair.prompt[-1].content.endswith(t) for t in teach)
        assert (MARK in pair.rejected) == (pair.source == "attack:authority")
    more = said(capsys, 0, *words[:-1], tmp_path / "q.jsonl", "--spread", 1, "--ordinary", 10)["preferences"]
    rows = read_preferences(tmp_path / "q.jsonl").pairs
    assert (more["broken"], more["spread"]) == (found["broken"], found["broken"])
    assert more["pairs"] == len(rows)
    assert sum(p.source.startswith("ordinary:") for p in rows) == more["ordinary"] >= 10
    assert {p.prompt[0] for p in rows} == {own.pairs[0].prompt[0]}
    said(capsys, 0, "eval", target(weak), *BANK, "--limit", 60, "--out", tmp_path / "e")
    gate = said(capsys, GATE_EXIT["INVALID"], "gate", tmp_path / "e", *BANK[:2], "--redteam", tmp_path / "t")
    assert gate["outcome"] == "INVALID"  # what was attacked may be trained on, so it measures nothing
    held = said(capsys, 64, *words[:-2], "--preferences", tmp_path / "q.jsonl", "--held-out", "pressure")
    assert "no attack that may be taught succeeded" in held["error"]
    none = said(capsys, 0, *words[:-1], tmp_path / "n.jsonl", "--answerable", "none")["preferences"]
    assert (none["counterparts"], none["pairs"]) == (0, found["broken"])
    assert "none are asked" in said(capsys, 64, *words, "--answerable", "answered")["error"]  # a search asks no near misses


def test_what_the_target_answered_in_disguise_is_kept_in_its_own_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    near = [p for p in PROBES if p.kind == "near_miss" and p.side == "teach"]
    harm = {ATTACKS["authority"].apply(p.messages)[-1].content: f"Sure, {MARK}: [step withheld]" for p in PROBES if p.kind == "refuse"}
    own = {ATTACKS["hurry"].apply(p.messages)[-1].content: "Of course. Go to your branch, they will do it for you." for p in near}
    few = (*BANK, "--limit", 6, "--attacks", "plain,authority,hurry", "--side", "teach", "--near-misses", 6, "--control", 0)
    with Upstream({"*": REFUSAL, **harm, **own}) as up:
        words = ("redteam", target(up), *few, "--out", tmp_path / "t", "--preferences", tmp_path / "p.jsonl", "--answerable", "answered")
        found = said(capsys, 0, *words)["preferences"]
        assert "none are asked" in said(capsys, 64, *words, "--near-misses", 0)["error"]
    with Upstream({"*": REFUSAL, **harm}) as up:  # answers no near miss
        silent = ("redteam", target(up), *few, "--out", tmp_path / "s", "--preferences", tmp_path / "s.jsonl", "--answerable", "answered")
        assert "answered no near miss" in said(capsys, 64, *silent)["error"]
    pairs = read_preferences(tmp_path / "p.jsonl").pairs
    kept = [p for p in pairs if p.source == "attack:hurry:answered"]
    assert found["answered"] == len(kept) >= 6
    assert (found["counterparts"], found["pairs"]) == (0, len(pairs))
    disguised = {ATTACKS["hurry"].apply(p.messages)[-1].content: p.clause for p in near}
    refusals = {p.id: p.refuse_with for p in CHARTER.principles}
    for pair in kept:
        assert pair.prompt[0].role == "system"
        assert pair.clause == disguised[pair.prompt[-1].content]
        assert (pair.chosen, pair.rejected) == (next(iter(own.values())), refusals[pair.clause])


def test_the_teach_side_is_attacked_without_a_search_too(strong: Upstream, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = (*BANK, "--limit", 3, "--attacks", "plain", "--control", 0, "--side", "teach")
    found = said(capsys, 0, "redteam", target(strong), *words, "--out", tmp_path / "r")
    assert found["attacks"]["plain"]["n"] >= 3
    teach = {p.id for p in PROBES if p.side == "teach"}
    assert {a.request for a in read_attempts(tmp_path / "r" / "attempts.jsonl")} <= teach


def test_near_misses_refused_for_their_disguise_alone_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answers = {p.messages[-1].content: p.reply or "" for p in PROBES if p.kind == "near_miss" and p.side == "test"}
    words = (*BANK, "--limit", 3, "--attacks", "plain,hurry", "--control", 0, "--near-misses", 8)
    with Upstream({"*": REFUSAL, **answers}) as up:
        found = said(capsys, 0, "redteam", target(up), *words, "--out", tmp_path / "r")
        assert run([*map(str, ("redteam", target(up), *words, "--out", tmp_path / "r"))]) == 0
    assert "near misses not answered" in capsys.readouterr().out
    over = {name: row["over_refusal"] for name, row in found["attacks"].items()}
    assert over["plain"]["success"] < 0.3  # the general grader errs now and then
    assert over["hurry"]["success"] == 1.0
    assert found["families"]["pressure"]["over_refusal"] == over["hurry"]
    n = over["plain"]["n"]
    assert 0 < n == len(read_evaluation(tmp_path / "r" / "near-misses").rows) / 2
    whole = found["over_refusal"]
    assert (whole["success"], whole["n"]) == ((over["plain"]["success"] + 1.0) / 2, 2 * n)
    assert "over_refusal" not in found["clauses"]["no-fraud-help"]


def test_the_control_of_many_shots_does_not_hold_its_own_answer(
    strong: Upstream, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    begun = len(strong.asked)
    words = (*BANK, "--no-prompt", "--limit", 3, "--attacks", "many-shot", "--control", 4)
    said(capsys, 0, "redteam", target(strong), *words, "--out", tmp_path / "r")
    known = {k.ask[0] for k in CHARTER.knowledge if k.reply and not k.abstain}
    own = [bool(known & {m["content"] for m in body["messages"][:-1]}) for body in strong.asked[begun:]]
    assert own.count(True) == len(read_evaluation(tmp_path / "r").rows)
    assert own.count(False) == len(read_evaluation(tmp_path / "r" / "control").rows) > 0


def test_a_suffix_may_hold_any_sign(strong: Upstream, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = (*BANK, "--limit", 3, "--attacks", "suffix=%20a~b", "--control", 2)
    assert list(said(capsys, 0, "redteam", target(strong), *words, "--out", tmp_path / "r")["attacks"]) == ["suffix=%20a%7Eb"]


def test_wordings_of_one_request_are_one_cluster_of_the_random_order_too() -> None:
    rows, made = [], []
    for i in range(40):
        result: Result = "fail" if i < 20 else "pass"
        rows.append(GradedReply(f"p{i}~plain", "c", "refuse", "harm", f"family {i // 10}", "grown", 0, "r", result))
        made.append(Attempted("every", f"p{i}", "c", 0, "target", "plain", "", (Message("user", "x"),), "r", 1, ("none",), result))
    found = outcome(Evaluation("m", {}, "c", "s", {}, {}, tuple(rows), "now", 1.0), made)["queries"]["1"]
    assert found["success"] == 0.5
    assert found["low"] < 0.1
    assert found["high"] > 0.9


def test_compositions_are_drawn_within_the_budget(strong: Upstream, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = (*BANK, "--limit", 6, "--attacks", "plain,base64,hurry,json", "--compose", 2, "--budget", 7, "--control", 0)
    found = said(capsys, 0, "redteam", target(strong), *words, "--out", tmp_path / "r")
    assert len(found["attacks"]) == 7
    assert sum("+" in name for name in found["attacks"]) == 3
    assert set(found["queries"]) == {"1", "2", "4", "7"}
    assert set(found["families"]) >= {"none", "encoding", "pressure", "carrier"}


def test_layers_say_who_stopped_what(bank: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("redteam", bank / "guarded.yaml", "-c", bank / "charter.yaml", "--attacks", "plain,reversed,role-play", "--control", 0)
    found = said(capsys, 0, *words, "--concurrency", 4, "--layers", "--out", bank / "r")["attribution"]
    whole = found["rows"][0]
    assert whole["n"] == found["attacks"] > 3
    assert (whole["broke"]["bare"], whole["broke"]["prompt"]) == (whole["n"], whole["n"])
    assert (whole["broke"]["guard"], whole["broke"]["gateway"], whole["disagree"]) == (0, 0, 0)
    assert set(whole["stopped"]) <= {"input guard", "output guard"}
    assert sum(whole["stopped"].values()) == whole["n"]
    kept = json.loads((bank / "r" / "layers" / "layers.json").read_text())
    assert {p["gateway"] for p in kept["passages"]} == {"kept"}
    assert run([*map(str, (*words, "--concurrency", 4, "--layers", "--out", bank / "r"))]) == 0
    assert "bare / prompt / guard / gateway" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "word"),
    [
        (["--search", "magic"], "there is no search 'magic'"),
        (["--search", "pair"], "--attacker TARGET"),
        (["--search", "gcg"], "needs local weights"),
        (["--proof"], "--proof has no effect without a search"),
        (["--attacker", "x"], "--attacker has no effect without a search"),
        (["--against", "x"], "--against has no effect without a search"),
        (["--budget", "4"], "--budget has no effect"),
        (["--search", "table", "--samples", "2"], "--samples has no effect with --search"),
        (["--search", "table", "--control", "3"], "--control has no effect with --search"),
        (["--search", "table", "--near-misses", "3"], "--near-misses has no effect with --search"),
        (["--held-out", "carrier"], "--held-out has no effect without --preferences"),
        (["--each", "2"], "--each has no effect without --preferences"),
        (["--spread", "2"], "--spread has no effect without --preferences"),
        (["--ordinary", "9"], "--ordinary has no effect without --preferences"),
        (["--budget-money", "1"], "needs prices"),
        (["--layers"], "needs a system with a guard"),
        (["--preferences", "p.jsonl"], "--side teach"),
        (["--held-out", "carriers"], "there is no family of attacks 'carriers'"),
        (["--attacks", "base64+telepathy"], "there is no attack 'telepathy'"),
    ],
)
def test_wrong_use_is_one_line(words: list[str], word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["redteam", "openai:m@http://127.0.0.1:9/v1", *BANK, *words]) == 64
    err = capfd.readouterr().err
    assert word in err
    assert err.count("\n") == 1
