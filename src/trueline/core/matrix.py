"""The clause matrix: one row a clause, what it was taught with, how it is kept, what happened at run time. None is a hole. Beside it, the families that every charter inherits."""

from __future__ import annotations

from dataclasses import dataclass

from trueline.charter.probes import Measure
from trueline.core.records import Interval


@dataclass(frozen=True, slots=True)
class ClauseRow:
    """taught: examples; probes: grown probes asked; before/after: pass rate of grown probes with its interval; written: pass rate
    of hand-written ones after; attacked: attack success; caught, false_alarms: the guard's recall and false-positive rate; the
    rest are counts at run time. None: nothing was measured."""

    clause: str
    group: str
    taught: int | None
    probes: int | None
    before: Interval | None
    after: Interval | None
    written: Interval | None = None
    attacked: Interval | None = None
    caught: Interval | None = None
    false_alarms: Interval | None = None
    holds: int | None = None
    incidents: int | None = None
    reviews: int | None = None
    overrides: int | None = None


@dataclass(frozen=True, slots=True)
class ClauseMatrix:
    """All rows in the order of the charter."""

    charter: str
    rows: tuple[ClauseRow, ...]

    def holes(self) -> int:
        """Clauses that no grown probe tests."""
        return sum(r.after is None for r in self.rows)


@dataclass(frozen=True, slots=True)
class FamilyRate:
    """Failures among the `n` scored replies of one inherited family that count for one measure; `exact` of the failures need no grader's
    judgement."""

    family: str
    measure: Measure
    n: int
    failed: int
    exact: int
    unscored: int
    rate: Interval | None
