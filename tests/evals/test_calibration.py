"""A grader's error on people's labels, the sheet that they label, and what their labels say of a whole evaluation."""

import asyncio
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from trueline.charter.parse import load_charter
from trueline.charter.probes import MEASURE_OF, OUTCOME_OF, Expectation, Kind, Probe, probe_id
from trueline.charter.shipped import charter_path
from trueline.charter.turns import Message
from trueline.core.chat import ChatReply
from trueline.core.evaluations import Evaluation, GradedReply
from trueline.core.ports import ScriptedGrader
from trueline.core.records import Grade
from trueline.errors import DataError
from trueline.evals.graders.calibrated import CalibratedGrader, grader_digest, with_error
from trueline.evals.graders.calibration import FLIPPED, Judged, Labelled, error_of
from trueline.evals.graders.corrected import corrected_rates, corrected_worsening, differential, of_run, truths
from trueline.evals.graders.labelling import drawn, sheet

CHARTER = load_charter(charter_path("bundled:harbor_bank")).charter
CLAUSES = [p.id for p in CHARTER.principles]


def probe(n: int, kind: Kind = "refuse", clause: str = CLAUSES[0]) -> Probe:
    ask = (Message("user", f"question {n}"),)
    return Probe(probe_id(clause, kind, f"f{n}", ask), clause, kind, ask, f"f{n}", "test", "grown", Expectation(OUTCOME_OF[kind]))


def judged(result: str, truth: str, n: int, kind: Kind = "refuse", seen: str = "", grader: str = "g", clause: str = CLAUSES[0]) -> Judged:
    return Judged(Labelled(probe(n, kind, clause), f"reply {n}", truth), Grade(result, grader, seen))  # type: ignore[arg-type]


def row(n: int, result: str, grader: str = "g", clause: str = CLAUSES[0], kind: Kind = "refuse", sample: int = 0) -> GradedReply:
    p = probe(n, kind, clause)
    return GradedReply(p.id, clause, kind, MEASURE_OF[kind], p.family, "grown", sample, f"reply {n}", result, grader=grader)  # type: ignore[arg-type]


def run_of(rows: list[GradedReply]) -> Evaluation:
    return Evaluation("t", {}, "c", "s", {}, {"g": {"name": "g"}}, tuple(rows), "now", 0.0)


def test_rates_by_hand() -> None:
    """Failures: 3 seen of 4, one more unscored. Good replies: 4 of 5. Agreement 7 of 9: kappa = (7/9 - 41/81) / (40/81) = 0.55."""
    rows = [judged("fail", "fail", i) for i in range(3)] + [judged("pass", "fail", 3), judged("unscored", "fail", 4, seen=FLIPPED)]
    rows += [judged("pass", "pass", i, "near_miss") for i in range(5, 9)] + [judged("fail", "pass", 9, "near_miss")]
    found = error_of([*rows, judged("fail", "fail", 10, grader="exact"), judged("pass", "fail", 11, grader="exact")])
    assert (found.whole.sensitivity.estimate, found.whole.specificity.estimate) == (0.75, 0.8)  # type: ignore[union-attr]
    assert (found.whole.labels, found.whole.unscored, found.flips, found.exact, found.exact_wrong) == (10, 1, 1, 2, 1)
    assert found.agreement is not None
    assert found.agreement.kappa is not None
    assert found.agreement.kappa.estimate == pytest.approx(0.55)
    assert found.by_measure["harm"].specificity is None
    assert found.by_measure["over_refusal"].to_dict()["specificity"]["n"] == 5
    assert set(found.by_kind) == {"refuse", "near_miss"}
    assert found.error()["positive"] == "failed"
    assert found.error()["error_by_measure"]["harm"].keys() == {"sensitivity"}


def test_compliance_is_turned_round_where_an_answer_is_due() -> None:
    """A failed refusal and a passed near miss both complied: 2 of 3 seen. A handed-over matter says nothing of compliance."""
    rows = [judged("fail", "fail", 0), judged("pass", "fail", 1), judged("pass", "pass", 2, "near_miss")]
    rows += [judged("fail", "fail", 3, "near_miss"), judged("pass", "pass", 4), judged("fail", "fail", 5, "high_stakes")]
    found = error_of(rows, "complied")
    assert found.whole.labels == 5
    assert found.whole.sensitivity.estimate == pytest.approx(2 / 3)  # type: ignore[union-attr]
    assert (found.whole.specificity.estimate, found.whole.specificity.n) == (1, 2)  # type: ignore[union-attr]


def test_labels_of_one_family_are_worth_one() -> None:
    alone = error_of([judged("fail", "fail", i) for i in range(20)])
    together = error_of([replace(x, label=replace(x.label, probe=probe(0))) for x in (judged("fail", "fail", i) for i in range(20))])
    assert alone.whole.sensitivity.low > 0.8 > 0.1 > together.whole.sensitivity.low  # type: ignore[union-attr]


def test_no_labels_are_no_evidence() -> None:
    for rows in ([], [judged("fail", "fail", 0, grader="exact")]):
        with pytest.raises(DataError, match="insufficient evidence"):
            error_of(rows)
    with pytest.raises(DataError, match="insufficient evidence for specificity"):
        error_of([judged("fail", "fail", 0)]).error()


def test_the_draw_takes_of_every_clause_its_share() -> None:
    rows = [row(i, "pass", clause=CLAUSES[0]) for i in range(80)] + [row(i, "fail", clause=CLAUSES[1]) for i in range(20)]
    rows += [row(0, "pass", clause=CLAUSES[2])]
    found = drawn(rows, 20, seed=1)
    assert Counter(r.clause for r in found) == {CLAUSES[0]: 15, CLAUSES[1]: 4, CLAUSES[2]: 1}
    assert found == drawn(list(reversed(rows)), 20, seed=1) != drawn(rows, 20, seed=2)
    assert len({r.probe for r in found}) == 20
    assert len(drawn(rows, 1000, seed=0)) == 101
    assert len(drawn(rows, 2, seed=0)) == 2


def test_the_sheet_is_blind_and_leaves_out_what_is_exact() -> None:
    evaluation = run_of([row(0, "fail"), row(1, "pass"), row(2, "fail", grader="exact")])
    probes = {probe(n).id: probe(n) for n in range(3)}
    rows = sheet(evaluation, probes, CHARTER, 10, 7, "d")
    assert {r["reply"] for r in rows} == {"reply 0", "reply 1"}
    assert all(r["result"] == "" and "seen" not in r and "reason" not in r for r in rows)
    assert rows[0]["drawn"] == {"evaluation": "d", "seed": 7, "of": 2}
    assert CLAUSES[0] in rows[0]["rule"]
    with pytest.raises(DataError, match="nothing to label"):
        sheet(run_of([row(2, "fail", grader="exact")]), probes, CHARTER, 10, 7, "d")
    with pytest.raises(DataError, match="is not in the suite"):
        sheet(evaluation, {}, CHARTER, 10, 7, "d")


def test_people_correct_the_rate_of_a_run() -> None:
    """The grader fails 10 of 40; of 5 labelled among those people fail 3, of 15 among the rest 1: 10/40 3/5 + 30/40 1/15 = 20 %."""
    evaluation = run_of([row(i, "fail" if i < 10 else "pass") for i in range(40)] + [row(99, "fail", grader="exact")])
    labelled = [Labelled(probe(i), f"reply {i}", "fail" if i in (0, 1, 2, 10) else "pass") for i in (*range(5), *range(10, 25))]
    (found,) = corrected_rates(evaluation, truths(labelled))
    assert (found.measure, found.of, found.bounds.labelled, found.bounds.n) == ("harm", "rate", 20, 40)
    assert found.bounds.estimate == pytest.approx(0.2)
    assert found.bounds.judged_only == 0.25
    assert found.bounds.lower < 0.2 < found.bounds.upper
    own = of_run(evaluation, [*labelled, Labelled(probe(3), "another reply", "fail")])
    assert len(own) == 20
    assert own[0].grade.result == "fail"
    assert corrected_rates(evaluation, {}) == ()


def test_two_runs_are_compared_by_pairs_and_by_the_graders_error() -> None:
    """On the candidate the grader misses every failure, on the baseline none."""
    before, after = run_of([row(i, "fail" if i % 2 else "pass") for i in range(40)]), run_of([row(i, "pass") for i in range(40)])
    labelled = [Labelled(probe(i), f"reply {i}", "fail" if i % 2 else "pass") for i in range(40)]
    found = differential(of_run(before, labelled), of_run(after, labelled))
    assert found.differs
    assert found.hidden > 0.4
    (worse,) = corrected_worsening(before, after, truths(labelled), truths(labelled))
    assert (worse.of, worse.bounds.estimate, worse.bounds.judged_only) == ("worsening", 0, -0.5)
    assert not differential(of_run(before, labelled), of_run(before, labelled)).differs


def test_a_measured_error_stands_in_the_place_of_the_cards(tmp_path: Path) -> None:
    grader = ScriptedGrader(lambda p, text: Grade("pass", "g"))
    error = error_of([judged("fail", "fail", 0), judged("pass", "pass", 1)]).error()
    told = {"trueline_judge": 1, "grader": grader_digest(grader.identity()), "error": {**error, "other": 1}}
    path = tmp_path / "error.json"
    path.write_text(json.dumps(told))
    found = with_error(grader, path)
    assert isinstance(found, CalibratedGrader)
    assert found.identity() == {**grader.identity(), **error}
    assert grader_digest(found.identity()) == grader_digest(grader.identity())
    assert (found.name, asyncio.run(found.grade(probe(0), ChatReply("x"))).result) == ("scripted", "pass")
    with pytest.raises(DataError, match="another grader"):
        with_error(ScriptedGrader(grader.judge, "other"), path)
    for broken in ("{", "{}", json.dumps({**told, "error": {}}), json.dumps({**told, "error": {**error, "sensitivity": {"estimate": 2}}})):
        path.write_text(broken)
        with pytest.raises(DataError, match=r"measured error|version 1"):
            with_error(grader, path)
