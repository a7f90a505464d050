"""JUnit XML and Markdown of a decision: what parsers and platforms accept, whatever a model wrote."""

import re
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from tests.gate.records import CHARTER, attacked, evaluation, rows
from trueline.charter.schema import GateRule
from trueline.core.decisions import GateDecision
from trueline.core.evaluations import GradedReply
from trueline.gate.decide import decide
from trueline.report.junit import junit_xml
from trueline.report.markdown import LIMIT, code, decision_markdown, prose

RULE = GateRule(caps={"harm": 0.1, "over_refusal": 0.1}, margins={"harm": 0.03}, zero_tolerance=("kind",))
HOSTILE = (
    "\x00\x1b[31m\ud800 ]]> </testcase><script>alert(1)</script> @octocat #12 GH-3 !7 https://evil.example/a www.evil.example [x](http://e) ![i](//e/i.png)"
    " `tick` | bar | \u202egnp\u202c\n/close\n</details>\n# head &lt;b&gt; <!-- x -->"
)


def of(clause: str, n: int, failed: int, **changes: Any) -> list[GradedReply]:
    named = [replace(r, clause=clause, probe=f"{clause}/{i}", family=f"{clause}/{i}") for i, r in enumerate(rows("refuse", n, failed))]
    return [replace(r, **changes) for r in named]


def decision(failed: int = 0, reply: str = "r", target: str = "t", **more: Any) -> GateDecision:
    near = rows("near_miss", 100, 0)
    after = evaluation(of("bad", 100, failed, reply=reply), of("kind", 100, 0), near, target=target)
    return decide(RULE, CHARTER, after, evaluation(of("bad", 100, 0), of("kind", 100, 0), near), **more)


OUTCOMES = {
    "PASS": decision(0),
    "FAIL": decision(60),
    "INVALID": decide(RULE, "x" * 64, evaluation(of("kind", 100, 0))),
    "INCONCLUSIVE": decide(RULE, CHARTER, evaluation(of("kind", 10, 0), rows("near_miss", 10, 0))),
    "ATTACK": decide(RULE, CHARTER, evaluation(of("kind", 100, 0), rows("near_miss", 100, 0)), redteam=attacked(200, 100)),
}


def check_schema(root: ET.Element) -> None:
    """What the Jenkins xUnit and Surefire schemas ask of names, counts and order."""
    assert root.tag == "testsuites"
    totals = dict.fromkeys(("tests", "failures", "errors"), 0)
    for suite in root:
        assert suite.tag == "testsuite"
        assert {"name", "tests", "failures", "errors", "skipped", "time"} <= set(suite.keys())
        assert suite.get("name")
        found = {"failures": 0, "errors": 0, "skipped": 0}
        names = [c.get("name") for c in suite]
        assert len(names) == len(set(names)), "a parser tells cases apart by their names"
        for case in suite:
            assert case.tag == "testcase"
            assert {"name", "classname", "time"} <= set(case.keys())
            assert len(case) == 1
            (child,) = case
            assert child.tag in ("failure", "error", "skipped", "system-out")
            assert set(child.keys()) <= (
                {"message", "type"} if child.tag in ("failure", "error") else {"message"} if child.tag == "skipped" else set()
            )
            if child.tag in ("failure", "error"):
                assert child.get("type")
            if child.tag != "system-out":
                found[{"failure": "failures", "error": "errors"}.get(child.tag, child.tag)] += 1
        assert {k: int(suite.get(k, "")) for k in found} == found
        assert int(suite.get("tests", "")) == len(suite)
        totals = {k: totals[k] + int(suite.get(k, "")) for k in totals}
    assert {k: int(root.get(k, "")) for k in totals} == totals


def case(root: ET.Element, suite: str, name: str) -> ET.Element:
    return next(c[0] for s in root if s.get("name") == suite for c in s if c.get("name") == name)


@pytest.mark.parametrize("name", list(OUTCOMES))
def test_the_file_is_valid_and_red_for_all_but_a_pass(name: str) -> None:
    root = ET.fromstring(junit_xml(OUTCOMES[name]).encode())
    check_schema(root)
    red = int(root.get("failures", "")) + int(root.get("errors", ""))
    assert bool(red) == (OUTCOMES[name].outcome != "PASS")
    told = case(root, "gate", "decision")
    assert told.tag == {"PASS": "system-out", "FAIL": "failure"}.get(OUTCOMES[name].outcome, "error")


def test_one_suite_a_measure_and_one_case_a_clause_with_numbers_and_flips() -> None:
    root = ET.fromstring(junit_xml(OUTCOMES["FAIL"]).encode())
    assert [s.get("name") for s in root] == ["gate", "harm", "over_refusal", "zero tolerance"]
    bad, kind = case(root, "harm", "bad"), case(root, "harm", "kind")
    assert bad.tag == "failure"
    assert "60 of 100 failed" in bad.get("message", "")
    assert "bad/0 (sample 0): pass -> fail" in (bad.text or "")
    assert kind.tag == "system-out"
    assert case(root, "harm", "decision").tag == "failure"
    assert "below 3.0 %" in (case(root, "zero tolerance", "kind").text or "")
    open_ = ET.fromstring(junit_xml(OUTCOMES["INCONCLUSIVE"]).encode())
    assert case(open_, "harm", "decision").tag == "skipped"
    assert "more probes" in case(open_, "harm", "decision").get("message", "")


def test_hostile_text_keeps_the_xml_whole() -> None:
    found = decision(60, reply=HOSTILE, target=HOSTILE, prompts={"bad/0": HOSTILE})
    root = ET.fromstring(junit_xml(found).encode())
    check_schema(root)
    text = "".join(root.itertext())
    assert "<script>alert(1)</script>" in text
    assert not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f]", text)


def outside_code(markdown: str) -> str:
    return re.sub(r"`[^`\n]*`", "CODE", markdown)


def test_hostile_text_mentions_nobody_and_holds_no_markup() -> None:
    found = decision(60, reply=HOSTILE, target=HOSTILE, prompts={"bad/0": HOSTILE})
    found = replace(found, reasons=(*found.reasons, HOSTILE))
    text = decision_markdown(found)
    bare = outside_code(text)
    assert not re.search(r"@\w|#\d|GH-\d|!\d|https?:/|www\.\w|\]\(", bare)
    assert set(re.findall(r"<[^>]*>", bare.replace("\\<", ""))) <= {"<details>", "</details>", "<summary>", "</summary>", "<sub>", "</sub>"}
    assert bare.count("<details>") == bare.count("</details>") == 2
    assert not re.search("[\x00-\x08\x0b-\x1f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", text)
    assert not re.search(r"^\s*/\w", text, flags=re.MULTILINE), "a line that begins with / is a quick action on GitLab"
    assert text.count("`") % 2 == 0


def test_the_outcome_stands_first_and_flips_are_folded() -> None:
    text = decision_markdown(OUTCOMES["FAIL"])
    assert text.splitlines()[0] == "## ❌ Trueline gate: FAIL"
    assert "<details><summary>60 probes got worse</summary>" in text
    assert "| harm | 60 of 200 | 30.0 % |" in text
    assert "- before: `r`" in text
    assert text.index("harm: 60 of 200 failed") < text.index("| measure |") < text.index("<details>")
    table = [line for line in text.splitlines() if line.startswith("| ")]
    heads = {line.count("|") for line in table if line.startswith(("| measure", "| harm", "| over"))}
    assert len(heads) == 1, "a cell may not hold a bar of its own"


def test_a_comment_fits_and_says_what_is_cut() -> None:
    found = decision(60, reply="word " * 100, prompts={f"bad/{i}": "ask " * 100 for i in range(100)})
    long = tuple(replace(x, reply_before=x.reply_after) for x in found.flips)
    many = replace(found, reasons=tuple(f"{i} " + "x" * 3000 for i in range(60)), flips=long)
    text = decision_markdown(many)
    assert len(text) <= LIMIT + 200 < 65_536
    assert "more parts did not fit" in text
    assert text.rstrip().endswith("</sub>")
    assert "and 45 more reasons" in text
    assert "\n\n| measure |" in text


def test_escapes_by_hand() -> None:
    assert prose("a*b_c") == "a\\*b\\_c"
    assert prose("<b>&lt;") == "\\<b\\>&amp;lt;"
    assert prose("5.0 % of 12") == "5.0 % of 12"
    assert code("a|b`c\n d") == "`a¦bˋc d`"
    assert code("") == "(nothing)"
