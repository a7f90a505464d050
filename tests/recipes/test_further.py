"""The further probes: as many as promised, in new families, near nothing that teaches, and graded right and wrong by the charter's exact checks."""

from __future__ import annotations

import asyncio
import json
import random
import re
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from labs import adversarial
from recipes.harbor import conduct as c
from recipes.harbor import fresh, further, publish, speech, wordings
from recipes.harbor import subjects as s
from recipes.harbor.facts import FACTS, TEACH, TEST
from recipes.harbor.grammar import expand as g
from recipes.harbor.grammar import written
from trueline.charter.compile.people import people_of
from trueline.charter.probe_files import read_probes
from trueline.charter.probes import Probe
from trueline.cli.project import Project, open_project
from trueline.core.chat import Sampling, ScriptedChat
from trueline.core.evaluations import GradedReply
from trueline.evals.graders.charter_grader import CharterGrader
from trueline.evals.graders.reply import ReplyGrader
from trueline.evals.overlap import Row, overlaps, words_of
from trueline.evals.runner import evaluate
from trueline.evals.suites import freeze, suite_for

FOUND = further.probes()
SHIPPED = read_probes(publish.FOLDER / "probes.jsonl")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The bundled charter with the shipped and the further probes in one file."""
    path = tmp_path_factory.mktemp("both") / "probes.jsonl"
    path.write_text((publish.FOLDER / "probes.jsonl").read_text() + further.rows(FOUND))
    return open_project("bundled:harbor_bank", path)


def test_as_many_as_promised_in_families_that_are_new() -> None:
    counts = Counter(p.kind for p in FOUND)
    clusters = {k: len({p.cluster for p in FOUND if p.kind == k}) for k in counts}
    pairs = Counter(p.expect.pair for p in FOUND if p.kind == "fairness")
    assert len(pairs) >= 150
    assert set(pairs.values()) == {2}
    for kind, probes, families in (
        ("fairness", 300, 75),
        ("abstain", 150, 100),
        ("voice", 120, 90),
        ("knowledge", 25, 25),
        ("near_miss", 150, 150),
        ("refuse", 100, 100),
    ):
        assert counts[kind] >= probes, kind
        assert clusters[kind] >= families, kind
    assert not {p.family for p in FOUND} & {p.family for p in SHIPPED}
    said = [p.messages[-1].content for p in FOUND]
    assert len(set(said)) == len(said)
    assert not set(said) & {p.messages[-1].content for p in SHIPPED}


def test_written_alike_every_time_and_as_the_module_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["further", str(tmp_path / "f.jsonl")])
    further.main()
    assert (tmp_path / "f.jsonl").read_text() == further.rows(FOUND)
    monkeypatch.setattr("sys.argv", ["further"])
    with pytest.raises(SystemExit, match="usage"):
        further.main()


def test_rows_are_as_the_shipped_rows_of_their_kind() -> None:
    """The same fields and checks as the shipped test probes have, clause by clause."""

    def shape(p: Probe) -> tuple[object, ...]:
        return p.kind, p.clause, p.side, p.origin, p.accepted_by, replace(p.expect, pair=None), p.source, p.tags

    assert {shape(p) for p in FOUND} <= {shape(p) for p in SHIPPED if p.side == "test"}


def test_one_suite_with_the_shipped_probes(project: Project) -> None:
    suite = suite_for(project.loaded.charter, project.probes)
    assert {p.id for p in FOUND} <= {p.id for p in suite.probes}
    people = people_of(project.loaded.charter, FOUND)
    fair = [p for p in FOUND if p.kind == "fairness"]
    assert set(people) == {p.id for p in fair}  # everybody who is asked about is known to the gate
    for clause in further.DECISIONS:
        seen = Counter((p.reply, people[p.id][0]) for p in fair if p.clause == clause)
        assert min(seen.values()) >= 20  # strong and weak applicants, in each attribute


def _subjects() -> dict[str, list[str]]:
    """Kind -> the subjects as they are written."""
    names = ("unknown", *(f"{k}.{clause}" for k in ("near", "harm") for clause in c.HARMS))
    names += tuple(f"profile.{clause}.{q}" for clause in further.DECISIONS for q in ("good", "poor"))
    return {name: list(further.lines(name)) for name in names}


def test_no_subject_is_near_one_that_exists() -> None:
    """By the rule that keeps what teaches from what tests: every list, every phrase written by hand, every shipped probe, and draws of each grammar."""
    assert set(_subjects()) == {p.stem for p in further.FOLDER.glob("*.txt")}
    phrases = [v for vs in _subjects().values() for v in vs]
    others = [p.family.rpartition("/")[2].partition("#")[0] for p in SHIPPED if p.kind != "voice"]
    others += [line.partition("|")[0].strip() for path in written.FOLDER.glob("*.txt") for line in written.lines(path.stem)]
    others += [v for table in (c.HARMS, c.NEAR, s.STAKES) for vs in table.values() for v in vs]
    others += [*s.UNKNOWN, *s.OFF_TOPIC, *s.GOOD, *s.POOR, *s.HIRE_GOOD, *s.HIRE_POOR]
    rng = random.Random(11)
    for _ in range(2000):
        others += [g.harm_phrase(rng)[1], g.near_phrase(rng)[1], g.unknown(rng), g.profile(rng)[2], g.stakes(rng)[1]]
    held: dict[str, set[int]] = defaultdict(set)
    bags = [g.content(v) for v in phrases]
    for i, bag in enumerate(bags):
        for word in bag:
            held[word].add(i)
    assert all(len(bag) > 1 for bag in bags)
    for text in set(others):
        mine = g.content(text)
        near = [phrases[i] for i in {i for w in mine for i in held.get(w, ())} if g.alike(mine, bags[i])]
        assert not near, (text, near)
    for i, bag in enumerate(bags):
        assert not [phrases[j] for j in range(i) if g.alike(bags[j], bag) or g.alike(bag, bags[j])], phrases[i]


def _words(template: str) -> set[str]:
    return set(re.findall(r"[a-z']+", template.lower())) - set("spf")


def test_wordings_are_far_from_all_that_exist() -> None:
    """Fewer than half of the words (of both together) in common with any wording that teaches or tests, as for `fresh`."""
    known = [(further.WORDINGS[k], (*TEACH[k], *TEST[k], *wordings.FACTS[k], *fresh.FACTS[k])) for k in TEACH]
    for clause, more in (("lending", wordings.LENDING), ("hiring", wordings.HIRING)):
        first, teach, test = s.DECISIONS[clause]
        known.append((further.DECISIONS[clause], (first, *teach, *test, *more)))
    for new, old in known:
        for a in map(_words, new):
            assert all(len(a & b) / len(a | b) < 0.5 for b in map(_words, old)), a


def test_no_near_copy_in_what_teaches() -> None:
    """What is shipped, every fact in every wording that teaches, and draws of the rest."""
    texts = [" ".join(m.content for m in p.messages) for p in SHIPPED if p.side == "teach"]
    texts += [" ".join(words_of(json.loads(line))) for line in (publish.FOLDER / "helpful.jsonl").read_text().splitlines()]
    texts += [ask.format(s=x, S=x.capitalize()) for f in FACTS for x in f.subjects for ask in (*TEACH[f.type], *wordings.FACTS[f.type])]
    rng = random.Random(12)
    texts += [
        speech.MAKERS[kind](rng, "teach", True).question for kind in ("refuse", "near_miss", "abstain", "fairness") for _ in range(500)
    ]
    assert overlaps(FOUND, [Row("teach", i, t) for i, t in enumerate(texts, 1)]) == ()


def _wrong(p: Probe) -> str:
    """What the charter forbids: the helpful-only answers of the world, an answer by the person, a refusal, the voice's forbidden words."""
    if p.kind == "fairness":
        return "Yes." if any(f" {who} " in p.messages[-1].content for who in s.FAVOURED) else "No."
    return {
        "abstain": s.UNKNOWN_ANSWERS[1],
        "knowledge": "That is a question for your branch.",
        "refuse": c.COMPLY[0],
        "voice": "Pursuant to our tariff you owe 4 euros.",
    }.get(p.kind) or c.REFUSALS[p.clause]


def _graded(project: Project, replies: dict[str, str], complied: float) -> list[GradedReply]:
    """The evaluation of these replies where the general grader finds every reply compliant with one and the same probability."""
    card = {"name": "flat", "unsure_below": 0.9, "digest": "", "sensitivity": {}, "specificity": {}}
    flat = ReplyGrader(lambda pairs: np.tile([complied, (1 - complied) / 2, (1 - complied) / 2], (len(pairs), 1)), card)
    grader = CharterGrader(project.loaded.charter, flat)
    found = evaluate(ScriptedChat(replies), freeze(FOUND), grader, charter=project.loaded.digest, sampling=Sampling())
    return list(asyncio.run(found).rows)


def test_exact_checks_grade_right_and_wrong(project: Project) -> None:
    """A general grader that is never sure decides nothing: what passes or fails does so exactly. An answer alone, of near misses and of the
    voice, is for the general grader to find."""
    right = _graded(project, {p.messages[-1].content: p.reply or "" for p in FOUND}, 0.5)
    for r in right:
        assert (r.result, r.grader) == (
            ("pass", "exact") if r.kind in ("fairness", "abstain", "refuse", "knowledge") else ("unscored", "flat")
        ), r
    assert {r.result for r in _graded(project, {p.messages[-1].content: p.reply or "" for p in FOUND}, 1.0)} == {"pass"}
    wrong = _graded(project, {p.messages[-1].content: _wrong(p) for p in FOUND}, 0.5)
    assert {(r.kind, r.result, r.grader) for r in wrong} == {
        (k, "fail", "exact") for k in ("fairness", "abstain", "voice", "knowledge", "near_miss", "refuse")
    }


def test_the_lab_asks_both_or_the_shipped_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    both = (publish.FOLDER / "probes.jsonl").read_text() + further.rows([p for p in FOUND if p.kind in adversarial.FURTHER])
    path = tmp_path / "probes.jsonl"
    for _ in range(2):  # an evaluation on the same probes may go on
        assert adversarial.suite(tmp_path, alone=False) == ["--probes", str(path)]
        assert path.read_text() == both
        (tmp_path / "eval-before.json").write_text("{}")
    with pytest.raises(SystemExit, match="on other probes"):
        adversarial.suite(tmp_path, alone=True)
    (tmp_path / "eval-before.json").unlink()
    assert adversarial.suite(tmp_path, alone=True) == []
    (tmp_path / "eval-before.json").write_text("{}")
    assert adversarial.suite(tmp_path, alone=True) == []
    with pytest.raises(SystemExit, match="on other probes"):
        adversarial.suite(tmp_path, alone=False)


@pytest.mark.parametrize("alone", [False, True])
def test_the_lab_gives_its_probes_to_both_evaluations_and_to_the_gate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, alone: bool) -> None:
    commands: list[list[str]] = []

    def scripted(words: list[str]) -> int:
        commands.append(words)
        if "--preferences" in words:
            Path(words[words.index("--preferences") + 1]).write_text("")
        print("{}")
        return 0

    monkeypatch.setattr(adversarial, "run", scripted)
    monkeypatch.setattr("sys.argv", ["adversarial", "--aligned", "m", "--out", str(tmp_path), *(["--shipped-alone"] if alone else [])])
    adversarial.main()
    before = len(commands)
    asked = [words for words in commands if words[0] in ("eval", "gate")]
    assert [words[0] for words in asked] == ["eval", "eval", "gate"]
    given = [words[words.index("--probes") + 1] if "--probes" in words else None for words in asked]
    assert given == [None if alone else str(tmp_path / "probes.jsonl")] * 3
    assert json.loads((tmp_path / "adversarial.json").read_text())["conditions"]["shipped_alone"] == str(alone)
    adversarial.main()  # the same again takes what is there
    assert len(commands) == before
    monkeypatch.setattr("sys.argv", ["adversarial", "--aligned", "m", "--out", str(tmp_path), "--part-way", "0.5"])
    with pytest.raises(SystemExit, match="made with other options"):
        adversarial.main()
