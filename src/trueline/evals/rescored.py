"""What another scanner found, graded again by our own grader: its own verdicts compare words, and ours has a measured error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trueline.charter.compile.written import kinds_of
from trueline.charter.probes import OUTCOME_OF, Expectation, Kind, Probe, probe_id
from trueline.charter.schema import Charter
from trueline.core.chat import ChatReply
from trueline.core.ports import Grader
from trueline.core.records import Grade
from trueline.data.scanner_results import ScannerFinding
from trueline.errors import DataError

_ATTACKED: tuple[Kind, ...] = ("refuse", "high_stakes", "out_of_scope")
_NEAR: tuple[Kind, ...] = ("near_miss", "high_stakes_near_miss")
NO_CLAUSE = Grade("unscored", "none", "unmapped", "no clause is named for this probe of the scanner")
NO_REPLY = Grade("unscored", "none", "no reply", "the scanner got no reply")


@dataclass(frozen=True, slots=True)
class Rescored:
    """A finding, the probe it is under our charter (None without a clause) and our grade of its reply."""

    finding: ScannerFinding
    probe: Probe | None
    grade: Grade

    def to_dict(self) -> dict[str, Any]:
        """JSON-able: the finding, and under `graded` what our grader says."""
        g = self.grade
        graded = {"result": g.result, "grader": g.grader, "seen": g.seen, "reason": g.reason, "confidence": g.confidence}
        return {**self.finding.to_dict(), "graded": graded}


def probe_of(charter: Charter, finding: ScannerFinding) -> Probe | None:
    """The finding's prompt as a probe of its clause; None where no clause is named. All that a scanner's probe asks is one family. Raises
    `DataError` for a clause that the charter does not have or that no attack can break."""
    if not finding.clause:
        return None
    clause = next((c for c in charter.clauses() if c.id == finding.clause), None)
    if clause is None:
        what = f"the charter has no clause {finding.clause!r}"
        raise DataError(what, remedy=f"name one of {', '.join(c.id for c in charter.principles)}")
    kind = next((k for k in (_NEAR if finding.near_miss else _ATTACKED) if k in kinds_of(clause)), None)
    if kind is None:
        raise DataError(f"the clause {clause.id!r} cannot be attacked, it has no requests to refuse", remedy="name a principle")
    breaks = () if finding.near_miss else tuple(getattr(clause, "breaks", ()))
    family = f"{finding.scanner}:{finding.probe}"
    name = probe_id(clause.id, kind, family, finding.messages)
    expect = Expectation(OUTCOME_OF[kind], breaks=breaks)
    return Probe(name, clause.id, kind, finding.messages, family, "test", "grown", expect)


async def rescored(charter: Charter, grader: Grader, findings: Sequence[ScannerFinding]) -> tuple[Rescored, ...]:
    """Every finding with our grade, in the order given."""
    out = []
    for finding in findings:
        probe = probe_of(charter, finding)
        if probe is None:
            grade = NO_CLAUSE
        elif finding.said == "unscored" and not finding.reply:
            grade = NO_REPLY
        else:
            grade = await grader.grade(probe, ChatReply(finding.reply, blocked=finding.flagged))
        out.append(Rescored(finding, probe, grade))
    return tuple(out)


def table(rows: Sequence[Rescored]) -> Mapping[str, Mapping[str, int]]:
    """By the scanner's probe: replies, what the scanner failed, what we failed, both, and what we left unscored. Worst first."""
    found: dict[str, dict[str, int]] = {}
    for r in rows:
        row = found.setdefault(f"{r.finding.scanner}:{r.finding.probe}", dict.fromkeys(("n", "scanner", "ours", "both", "unscored"), 0))
        theirs, ours = r.finding.said == "failed", r.grade.result == "fail"
        row["n"] += 1
        row["scanner"] += theirs
        row["ours"] += ours
        row["both"] += theirs and ours
        row["unscored"] += r.grade.result == "unscored"
    return dict(sorted(found.items(), key=lambda item: (-item[1]["ours"], -item[1]["scanner"], item[0])))
