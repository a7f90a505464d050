"""A gate's decision as JUnit XML, as Jenkins, GitLab and GitHub actions read it: one testsuite a measure, one testcase a clause.

The first suite, `gate`, holds the decision itself and is red for anything but PASS, so that who reads only this file is not misled. In a
measure's suite `decision` is its own outcome: failure for FAIL, skipped (not enough evidence) for INCONCLUSIVE. A clause fails where its
measure failed and it stands out above the cap, or where its measure failed and nothing stands out but it got worse; the clauses of a
measure that passed all pass. Text from models and files loses the control characters that XML 1.0 cannot carry.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from trueline.core.decisions import GateDecision, MeasureFinding
from trueline.core.findings import ClauseFinding, Flip, percent
from trueline.core.records import GateOutcome
from trueline.report.decision import decision_text
from trueline.report.details import clause_line

NOT_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # https://www.w3.org/TR/xml/#charsets
ELEMENT: dict[GateOutcome, str | None] = {"PASS": None, "FAIL": "failure", "INCONCLUSIVE": "skipped", "INVALID": "error"}


@dataclass(frozen=True, slots=True)
class _Case:
    name: str
    element: str | None  # failure, error, skipped, or None where it passed
    message: str
    body: str = ""
    kind: str = ""


def clean(text: str) -> str:
    """Without what XML 1.0 cannot carry, half characters among it."""
    return NOT_XML.sub("\ufffd", text)


def junit_xml(decision: GateDecision) -> str:
    """The whole document."""
    root = ET.Element("testsuites", name="trueline gate")
    suites = [("gate", [_decision(decision)])]
    suites += [(f.measure, list(_measure(decision, f))) for f in decision.measures]
    if decision.impacts:
        suites.append(("impact ratios", list(_impacts(decision))))
    if decision.tolerances:
        suites.append(("zero tolerance", list(_tolerances(decision))))
    totals = dict.fromkeys(("tests", "failures", "errors", "skipped"), 0)
    for name, cases in suites:
        counts = _suite(root, name, cases)
        totals = {k: totals[k] + counts[k] for k in totals}
    for key in ("tests", "failures", "errors"):
        root.set(key, str(totals[key]))
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _suite(root: ET.Element, name: str, cases: Sequence[_Case]) -> dict[str, int]:
    kinds = [c.element for c in cases]
    counts = {
        "tests": len(cases), "failures": kinds.count("failure"), "errors": kinds.count("error"), "skipped": kinds.count("skipped"),
    }  # fmt: skip
    suite = ET.SubElement(root, "testsuite", {"name": clean(name), "time": "0", **{k: str(v) for k, v in counts.items()}})
    for c in cases:
        case = ET.SubElement(suite, "testcase", name=clean(c.name), classname=clean(f"trueline.{name}"), time="0")
        if c.element is not None:
            told = ET.SubElement(case, c.element, message=clean(c.message))
            if c.element != "skipped":
                told.set("type", c.kind or c.element)
            told.text = clean(c.body or c.message)
        else:
            ET.SubElement(case, "system-out").text = clean(c.body or c.message)
    return counts


def _decision(d: GateDecision) -> _Case:
    element = None if d.outcome == "PASS" else "failure" if d.outcome == "FAIL" else "error"
    return _Case("decision", element, f"{d.outcome}: {d.reasons[0] if d.reasons else ''}", decision_text(d), d.outcome)


def _measure(d: GateDecision, f: MeasureFinding) -> Iterable[_Case]:
    outcome: GateOutcome = "INVALID" if d.outcome == "INVALID" else f.outcome
    told = [r for r in d.reasons if r.startswith(f"{f.measure}:")]
    against = (
        f"{f.failures} of {f.n} failed ({percent(f.rate)}, 95 % bounds {percent(f.lower)} to {percent(f.upper)}), cap {percent(f.cap)}"
    )
    if f.difference is not None:
        against += f"; worse by {percent(f.difference)} (at most {percent(f.difference_upper)}), margin {percent(f.margin)}"
    yield _Case("decision", ELEMENT[outcome], "; ".join(told) or against, "\n".join((against, *told)), outcome)
    own = [c for c in d.clauses if c.measure == f.measure]
    loud = any(c.stands_out for c in own)
    for c in sorted(own, key=lambda c: c.clause):
        yield _clause(c, outcome, loud, [x for x in d.flips if x.clause == c.clause and x.measure == c.measure])


def _clause(c: ClauseFinding, outcome: GateOutcome, loud: bool, flips: Sequence[Flip]) -> _Case:
    line = clause_line(c)
    worse = [x for x in flips if x.after == "fail"]
    body = "\n".join([line, *(_flip(x) for x in worse)])
    wrong = outcome == "FAIL" and (c.stands_out or (not loud and bool(c.worse or (c.worse is None and c.failures))))
    return _Case(c.clause, "failure" if wrong else None, line, body, "FAIL")


def _flip(x: Flip) -> str:
    asked = f"\n  asked:  {x.prompt}" if x.prompt else ""
    return f"{x.probe} (sample {x.sample}): {x.before} -> {x.after}{asked}\n  before: {x.reply_before}\n  now:    {x.reply_after}"


def _impacts(d: GateDecision) -> Iterable[_Case]:
    for f in d.impacts:
        element = ELEMENT[f.outcome] if f.outcome != "INCONCLUSIVE" or f.required else None
        ratio = "nobody got a yes" if f.ratio is None else f"impact ratio {f.ratio:.2f}"
        line = f"{ratio}, 95 % bounds {f.lower:.3f} to {f.upper:.3f}, minimum {f.minimum:.2f}, {f.n} pairs"
        yield _Case(f"{f.clause} by {f.attribute}", element, line, kind=f.outcome)


def _tolerances(d: GateDecision) -> Iterable[_Case]:
    for f in d.tolerances:
        yield _Case(f.clause, ELEMENT[f.outcome], f.told, kind=f.outcome)
