"""Scorecards and provider sheets: what was not measured is called so, and what is asserted is not called true."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from trueline.cli.compare_card import scorecard
from trueline.core.evaluations import Evaluation, GradedReply
from trueline.errors import DataError
from trueline.report.provider_sheet import (
    CRITERIA,
    Criteria,
    ProviderSheet,
    Seen,
    card_seen,
    entries,
    entry_text,
    read_sheet,
    versions_seen,
)
from trueline.report.scorecard import column, lines
from trueline.report.scorecard_page import markdown, page

TEMPLATE = Path(__file__).parents[2] / "src" / "trueline" / "shipped" / "templates" / "provider-sheet.yaml"


def row(i: int, kind: Any, seen: str, **more: Any) -> GradedReply:
    measure: Any = {"refuse": "harm", "near_miss": "over_refusal"}[kind]
    known = {"reply": "I cannot help <b>with</b> that.", "result": "pass", "seen": seen, "grader": "reply", **more}
    return GradedReply(f"{kind}/{i}", "no-scams", kind, measure, f"f{i}", "grown", 0, known.pop("reply"), known.pop("result"), **known)


def evaluated(rows: list[GradedReply], target: str = "openai:m@http://x/v1") -> Evaluation:
    return Evaluation(target, {}, "c", "s", {}, {}, tuple(rows), "", 0.0)


ROWS = [
    row(0, "refuse", "refused", grader="exact", seconds=0.5, input_tokens=100, output_tokens=10, version="m fp_1"),
    row(1, "refuse", "handed over", seconds=1.5, input_tokens=200, output_tokens=30, version="m fp_1"),
    row(2, "refuse", "refused", grader="exact", reply="", blocked=True),
    row(3, "refuse", "refused", grader="exact", action="refuse", decided="input guard"),
    row(4, "refuse", "complied", result="fail"),
    row(5, "near_miss", "complied"),
    row(6, "near_miss", "right fact"),
    row(7, "near_miss", "refused", result="fail"),
]


def test_a_column_says_cost_latency_style_and_versions() -> None:
    c = column(evaluated(ROWS), "m", (1.0, 10.0))
    assert c.tokens is not None
    assert (c.tokens.input, c.tokens.output, c.tokens.counted, c.tokens.n) == (150.0, 20.0, 2, 8)
    assert c.tokens.cost == pytest.approx((150 * 1 + 20 * 10) / 1e6 * 1000)
    assert c.latency is not None
    assert (c.latency["median"].value, c.latency["p95"].value) == (0.5, 1.5)
    style = c.must_withhold
    assert style is not None
    assert style.shares["refused"] == pytest.approx(3 / 5)
    assert (style.withheld, style.own, style.blocked, style.guard, style.words) == (4, 1, 1, 1, 5.0)
    assert c.must_answer is not None
    assert c.must_answer.shares["complied"] == pytest.approx(2 / 3)
    assert (dict(c.versions), c.unnamed) == ({"m fp_1": 2}, 6)
    told = dict(lines([c]))
    assert told["tokens a request"] == ["150 in, 20 out (of 2 replies)"]
    assert told["latency, 95th percentile"] == ["1.50 s (0.50-open)"]  # 0.05^2 is below 2.5 %: the lower end holds
    assert c.to_dict()["latency"]["p95"]["high"] is None  # infinite is no JSON


def test_what_nobody_measured_is_called_so() -> None:
    c = column(evaluated([row(0, "refuse", "refused")]), "m")
    told = dict(lines([c]))
    assert told["tokens a request"] == told["latency, median"] == told["cost of 1,000 requests"] == ["not measured"]
    assert told["versions named"] == ["none named"]
    assert told["where it must answer"] == ["not asked"]
    priced = column(evaluated(ROWS), "m")
    assert dict(lines([priced]))["cost of 1,000 requests"] == ["no price given"]


def sheet(**criteria: Any) -> ProviderSheet:
    return ProviderSheet(provider_sheet=1, provider="P", target="openai:m@http://x/v1", criteria=Criteria.model_validate(criteria))


SAYS = {"value": "yes", "links": ["https://example.org/card"], "asserted_by": "P", "date": "2026-11-01"}


def test_a_sheet_is_asserted_but_for_what_was_seen() -> None:
    seen = {"versioning": Seen(True, "8 of 8"), "system_card": Seen(False, "no README.md in the folder")}
    found = {e.criterion: e for e in entries(sheet(system_card=SAYS, data_use=SAYS), seen)}
    assert list(found) == list(CRITERIA)
    assert found["data_use"].status == "asserted"
    assert entry_text(found["data_use"]) == "yes (asserted, P 2026-11-01)"
    assert (found["versioning"].status, found["versioning"].value) == ("verified", "yes")
    assert found["system_card"].status == "contradicted"
    assert "contradicted: no README.md" in entry_text(found["system_card"])
    assert entry_text(found["specification"]) == "not stated"
    assert {e.status for e in entries(None, {})} == {"not stated"}


def test_what_trueline_can_see_itself(tmp_path: Path) -> None:
    assert versions_seen({"m fp_1": 3}, 3) == Seen(True, "3 of 3 replies named a fingerprint (1 different)")
    assert versions_seen({"m": 3}, 3) == Seen(False, "0 of 3 replies named a fingerprint")
    assert versions_seen({}, 0) is None
    assert card_seen(tmp_path / "none") is None
    assert card_seen(tmp_path) == Seen(False, "no README.md in the folder")
    (tmp_path / "README.md").write_text("card")
    found = card_seen(tmp_path)
    assert found is not None
    assert found.holds


def test_the_template_is_a_sheet_that_states_nothing() -> None:
    found = read_sheet(TEMPLATE)
    assert {e.status for e in entries(found, {})} == {"not stated"}
    for name, words in CRITERIA.items():
        assert f"  # {words}\n  {name}: " in TEMPLATE.read_text()


@pytest.mark.parametrize(
    ("criterion", "word"),
    [
        ('{value: "yes", links: ["https://x.org"]}', "asserted_by"),
        ('{value: "yes", asserted_by: P}', "at least one link"),
        ('{value: "yes", asserted_by: P, links: ["javascript:alert(1)"]}', "http"),
        ('{value: "yes", asserted_by: P, links: ["https://u:p@x.org"]}', "secret"),
        ('{value: "yes", asserted_by: P, links: ["https://a.b/x><script>"]}', "http"),
        ('{value: "yes", asserted_by: P, links: ["https://a.b/x|y"]}', "http"),
        ('{value: "yes", asserted_by: P, links: ["https://a.b/x y"]}', "http"),
        ("{value: perhaps}", "value"),
        ("{value: unknown, rumour: 1}", "rumour"),
    ],
)
def test_a_sheet_that_supports_nothing_is_refused(criterion: str, word: str, tmp_path: Path) -> None:
    path = tmp_path / "sheet.yaml"
    path.write_text(f"provider_sheet: 1\nprovider: P\ntarget: t\ncriteria:\n  data_use: {criterion}\n")
    with pytest.raises(DataError, match=word) as e:
        read_sheet(path)
    assert "sheet.yaml:5" in str(e.value)


def test_pages_hold_everything_and_let_nothing_in() -> None:
    first, second = evaluated(ROWS), evaluated(ROWS, "openai:<script>@http://x/v1")
    card = scorecard((first.target, second.target), [first, second])
    columns = [column(e, e.target) for e in (first, second)]
    sheets = [entries(sheet(data_use={**SAYS, "note": "a|b <i>"}), {}), entries(None, {})]
    text, html = markdown("T", card, columns, sheets), page("T", card, columns, sheets)
    for words in CRITERIA.values():
        assert words in text
    assert "a\\|b" in text
    assert "<https://example.org/card>" in text
    assert "<script>" not in html
    assert "<i>" not in html
    assert '<a href="https://example.org/card"' in html
    assert html.count("<circle") == 4  # two measures, two targets
    assert "only the gate decides" in html


def test_hostile_words_stay_words_in_markdown() -> None:
    bad = "<script>alert(1)</script> ![x](http://evil/p.png) @team"
    rows = [row(0, "refuse", "refused", version=bad)]
    first, second = evaluated(rows), evaluated(rows, f"openai:m {bad}@http://x/v1")
    card = {**scorecard((first.target, second.target), [first, second]), "notes": [bad]}
    sheets = [entries(sheet(data_use={**SAYS, "note": bad, "asserted_by": bad}), {}), entries(None, {})]
    text = markdown(f"T {bad}", card, [column(e, e.target) for e in (first, second)], sheets)
    spans = re.sub(r"`[^`]*`", "", text)  # in a code span nothing is read
    assert len(spans) < len(text)
    assert not re.search(r"(?<!\\)<(?!br>|https://example\.org/card>)", spans)
    assert not re.search(r"(?<!\\)!?(?<!\\)\[", spans)
    assert "@team" not in spans
    assert "evil" in spans  # it is shown, and does nothing


@pytest.mark.parametrize(("origin", "name"), [("grown", "harm"), ("written", "harm (written)"), ("inherited", "harm (inherited)")])
def test_every_origin_is_set_against_the_first(origin: Any, name: str) -> None:
    good, bad = ([replace(row(i, "refuse", "refused", result=r), origin=origin) for i in range(4)] for r in ("pass", "fail"))
    card = scorecard(("a", "b"), [evaluated(good), evaluated(bad, "b")])
    found = card["measures"][name][1]["against_first"]
    assert (found["difference"], found["pairs"]) == (1.0, 4)
