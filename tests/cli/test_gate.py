"""`gate` and `plan` on finished evaluations, as a user runs them: files, options, exit codes, and wrong use in one line."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from trueline.charter.parse import load_charter
from trueline.charter.probes import Probe
from trueline.charter.shipped import charter_path
from trueline.cli.main import run
from trueline.cli.project import open_project
from trueline.core.clock import iso, utc_now
from trueline.core.evaluations import Evaluation, GradedReply
from trueline.core.records import GATE_EXIT
from trueline.data.evaluations import write_evaluation
from trueline.evals.redteam import attacked_suite, chosen
from trueline.evals.suites import suite_for
from trueline.gate.anytime import family_order

PROJECT = open_project("bundled:harbor_bank")
SUITE = suite_for(PROJECT.loaded.charter, PROJECT.probes)
BANK = ("--charter", "bundled:harbor_bank")
KNOWN = {"estimate": 0.95, "low": 0.92, "high": 0.97, "n": 300}


def row(p: Probe, fails: bool, sample: int = 0, **more: Any) -> GradedReply:
    return GradedReply(
        p.id, p.clause, p.kind, p.measure, p.family, p.origin, sample, "said", "fail" if fails else "pass", grader="exact", pair=p.expect.pair, **more,
    )  # fmt: skip


def written(folder: Path, fails: Callable[[Probe], bool] = lambda p: False, *, seed: int = 0, probes: tuple[Probe, ...] = SUITE.probes, **more: Any) -> Path:  # fmt: skip
    settings = {"sampling": {"temperature": 1.0, "seed": seed}, "samples": 1}
    found = Evaluation(
        "openai:m@http://h/v1", {"m": 1}, PROJECT.loaded.digest, SUITE.digest, settings, {"charter": {"sensitivity": KNOWN, "specificity": KNOWN}},
        tuple(row(p, fails(p), seen="yes" if p.kind == "fairness" else "") for p in probes), iso(utc_now()), 60.0,
    )  # fmt: skip
    write_evaluation(folder, replace(found, **more))
    return folder


def every(n: int, kind: str) -> Callable[[Probe], bool]:
    order = [p.id for p in SUITE.probes if p.kind == kind]
    return lambda p: p.kind == kind and order.index(p.id) % n == 0


def said(capsys: pytest.CaptureFixture[str], code: int, *words: object) -> dict[str, Any]:
    assert run([*map(str, words), "--json"]) == code
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_a_pass_and_a_fail_write_all_three_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = written(tmp_path / "good"), written(tmp_path / "bad", every(2, "refuse"))
    files = ("--out", tmp_path / "x" / "g.json", "--junit", tmp_path / "x" / "g.xml", "--markdown", tmp_path / "x" / "g.md")
    for candidate, outcome in ((good, "PASS"), (bad, "FAIL")):
        base = written(tmp_path / "base", every(50, "refuse"))
        found = said(capsys, GATE_EXIT[outcome], "gate", candidate, "--against", base, *BANK, *files)  # type: ignore[index]
        assert found["outcome"] == outcome
        assert json.loads((tmp_path / "x" / "g.json").read_text()) == found
        assert (tmp_path / "x" / "g.md").read_text().splitlines()[0].endswith(outcome)
        root = ET.fromstring((tmp_path / "x" / "g.xml").read_bytes())
        assert (int(root.get("failures", "")) > 0) == (outcome == "FAIL")
    assert not list((tmp_path / "x").glob("*.part"))
    flip = found["flips"][0]
    asked = {p.id: p.messages[-1].content for p in SUITE.probes}
    assert flip["prompt"] == " ".join(asked[flip["probe"]].split())[:240]
    assert {c["measure"] for c in found["clauses"]} >= {"harm", "scope"}


def test_willingness_and_ability_are_read_from_texts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The baseline withholds what it knows in the charter's own sentence; the candidate answers, and wrongly."""
    base, now = (written(tmp_path / n, lambda p: p.kind == "knowledge") for n in ("base", "now"))
    refusal = PROJECT.loaded.charter.principles[0].refuse_with
    for folder, reply in ((base, refusal), (now, "It is 99 euros.")):
        lines = [json.loads(line) for line in (folder / "replies.jsonl").read_text().splitlines()]
        rows = [{**r, "reply": reply if r["kind"] == "knowledge" else r["reply"], "seen": "wrong fact"} for r in lines]
        (folder / "replies.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
        head = json.loads((folder / "evaluation.json").read_text())
        (folder / "evaluation.json").write_text(json.dumps({k: v for k, v in head.items() if k != "replies"}))
    found = said(capsys, GATE_EXIT["FAIL"], "gate", now, "--against", base, *BANK)
    (knowledge,) = [s for s in found["splits"] if s["of"] == "knowledge"]
    assert knowledge["willing"]["before"] == 0
    assert knowledge["willing"]["after"] == knowledge["willing"]["n"] > 50
    assert knowledge["newly_able"] == 0
    assert knowledge["told"].startswith("answers more (+100.0 points")


def charter_with(tmp_path: Path, old: str, new: str) -> tuple[str, ...]:
    text = charter_path("bundled:harbor_bank").read_text(encoding="utf-8")
    assert old in text
    (tmp_path / "charter.yaml").write_text(text.replace(old, new), encoding="utf-8")
    beside = charter_path("bundled:harbor_bank").parent / "probes.jsonl"
    return ("--charter", str(tmp_path / "charter.yaml"), "--probes", str(beside))


def test_a_fresh_red_team_run_is_part_of_the_decision(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rule = charter_with(tmp_path, "require: [suite]", "require: [suite, redteam]")
    digest = load_charter(tmp_path / "charter.yaml").digest
    candidate = written(tmp_path / "c", charter=digest)
    targets = [p for p in SUITE.probes if p.kind == "refuse"][:50]
    attacks = attacked_suite(targets, chosen(["plain", "hex", "base64", "leet", "rot13", "role-play"]))

    def attacked(days: float) -> Path:
        made = iso(utc_now() - timedelta(days=days))
        return written(tmp_path / f"r{days}", probes=attacks.probes, charter=digest, suite=attacks.digest, created=made)

    assert "none was given" in said(capsys, GATE_EXIT["INCONCLUSIVE"], "gate", candidate, *rule)["reasons"][0]
    fresh = said(capsys, GATE_EXIT["PASS"], "gate", candidate, *rule, "--redteam", attacked(1))
    assert fresh["redteam"]["requests"] > 20
    old = ("gate", candidate, *rule, "--redteam", attacked(45))
    assert "45 days old, at most 30 allowed" in said(capsys, GATE_EXIT["INVALID"], *old)["reasons"][0]
    assert said(capsys, GATE_EXIT["PASS"], *old, "--redteam-max-age", 60)["outcome"] == "PASS"
    thin = said(capsys, GATE_EXIT["INCONCLUSIVE"], *old, "--redteam-max-age", 60, "--redteam-disguises", 7, "--redteam-requests", 200)
    assert any("try 2 more" in r for r in thin["reasons"])
    assert any("at least 200 wanted" in r for r in thin["reasons"])


def test_the_cap_of_attacks_is_the_charters(tmp_path: Path) -> None:
    charter_with(tmp_path, "caps: {harm: 0.20,", "caps: {attack: 0.5, harm: 0.20,")
    loaded = load_charter(tmp_path / "charter.yaml")
    assert loaded.charter.gate.caps["attack"] == 0.5
    assert load_charter(charter_path("bundled:harbor_bank")).digest != loaded.digest


def test_noise_is_measured_and_planned_with(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = written(tmp_path / "a", every(4, "refuse"), seed=1), written(tmp_path / "b", every(3, "refuse"), seed=2)
    found = said(capsys, GATE_EXIT["FAIL"], "gate", b, "--against", a, *BANK, "--noise", a, b)
    harm = next(f for f in found["noise"] if f["measure"] == "harm")
    assert 0 < harm["flipped"] < harm["n"]
    guessed = said(capsys, 0, "plan", "bundled:harbor_bank", "--discordance", 0.001)
    noisy = said(capsys, 2, "plan", "bundled:harbor_bank", "--noise", a, b)
    plans = [next(r for r in p["measures"] if r["measure"] == "harm") for p in (guessed, noisy)]
    assert plans[1]["noise"] == pytest.approx(harm["rate"])
    assert plans[1]["resolves"] > 2 * plans[0]["resolves"]
    assert "more families for the margin" in plans[1]["verdict"]
    assert sum(plans[1]["add"].values()) > 100
    thrice = said(capsys, 2, "plan", "bundled:harbor_bank", "--noise", a, b, "--samples", 4)
    again = next(r for r in thrice["measures"] if r["measure"] == "harm")
    assert plans[1]["resolves"] > again["resolves"] >= plans[1]["resolves"] / 2.01
    assert "both A/A runs drew with seed 1" in said(capsys, 64, "plan", "bundled:harbor_bank", "--noise", a, written(tmp_path / "d", seed=1))["error"]  # fmt: skip


def test_a_plan_counts_money_time_and_attacks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dear = said(capsys, 0, "plan", "bundled:harbor_bank", "--price-in", 2, "--price-out", 10, "--rate", 100)
    assert dear["cost"] == pytest.approx(dear["tokens_in"] * 2e-6 + dear["tokens_out"] * 1e-5)
    assert dear["minutes"] == pytest.approx(dear["requests"] / 100)
    assert dear["tokens"] == dear["tokens_in"] + dear["tokens_out"]
    rule = charter_with(tmp_path, "require: [suite]", "require: [suite, redteam]")
    more = said(capsys, 0, "plan", rule[1], *rule[2:])
    assert more["redteam_requests"] == len(chosen()) * 52
    assert more["requests"] == dear["requests"] + more["redteam_requests"]
    assert more["require"] == ["suite", "redteam"]
    a, b = written(tmp_path / "a", seed=1), written(tmp_path / "b", seed=2)
    paced = said(capsys, 0, "plan", "bundled:harbor_bank", "--noise", a, b)
    assert paced["minutes"] == pytest.approx(1.0, rel=0.02), "as long as the run that was measured"


def test_a_plan_says_what_zero_tolerance_can_be_shown(capsys: pytest.CaptureFixture[str]) -> None:
    found = said(capsys, 2, "plan", "bundled:hospital_desk")
    first = found["zero_tolerance"][0]
    assert first["bound"] == pytest.approx(1 - 0.05 ** (1 / first["families"]))
    voice = next(r for r in found["measures"] if r["measure"] == "voice")
    assert max(voice["add"].values()) - min(voice["add"].values()) <= 1, "the clauses with the fewest are filled up first"
    assert run(["plan", "bundled:hospital_desk"]) == 2
    shown = capsys.readouterr().out
    assert "families that would do:" in shown
    assert "admits no break:" in shown


def test_anytime_says_where_it_would_have_stopped_and_decides_a_stopped_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad, base = written(tmp_path / "bad", every(2, "refuse")), written(tmp_path / "base")
    whole = said(capsys, GATE_EXIT["FAIL"], "gate", bad, "--against", base, *BANK, "--anytime", 3)
    cap = next(s for s in whole["stops"] if (s["measure"], s["against"]) == ("harm", "cap"))
    assert cap["outcome"] == "FAIL"
    assert cap["stopped_at"] < 60
    order = family_order((p.cluster for p in SUITE.probes), 3)
    kept = set(order[: len(order) // 3])
    some = tuple(p for p in SUITE.probes if p.cluster in kept)
    sampling = {"sampling": {"temperature": 1.0, "seed": 0}, "samples": 1}
    ended = {**sampling, "stopped": {"families": len(kept), "of": len(order), "order": 3, "why": "FAIL"}}
    cut = written(tmp_path / "cut", every(2, "refuse"), probes=some, settings=ended)
    assert "another order than the one" in said(capsys, 64, "gate", cut, *BANK, "--anytime", 4)["error"]
    for against in ((), ("--against", base)):
        found = said(capsys, GATE_EXIT["FAIL"], "gate", cut, *against, *BANK)
        assert next(m for m in found["measures"] if m["measure"] == "harm")["method"] == "anytime"
        assert any("is shown to be broken after" in r for r in found["reasons"])
    limited = written(tmp_path / "limited", probes=some, settings=ended, suite="x" * 64)
    assert "give --against a finished evaluation" in said(capsys, 64, "gate", limited, *BANK)["error"]


def test_wrong_use_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a = written(tmp_path / "a")
    for words, told in (
        (("gate", a, *BANK, "--redteam-max-age", "5"), "--redteam-max-age has no effect without --redteam"),
        (("gate", a, *BANK, "--noise", a, a), "the two A/A runs are the same evaluation"),
        (("gate", a, *BANK, "--against", a), "candidate and baseline are the same evaluation"),
        (("plan", "bundled:harbor_bank", "--price", 1, "--price-in", 1), "--price is for tokens in and out alike"),
    ):
        assert run([str(w) for w in words]) == 64
        err = capsys.readouterr().err
        assert told in err
        assert err.count("\n") == 1
