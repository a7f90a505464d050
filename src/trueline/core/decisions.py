"""The record of a gate's decision: outcome, reasons in words, and what was found for each measure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from trueline.core.findings import (
    ClauseFinding,
    Flip,
    GateMeasure,
    NoiseFinding,
    RedTeamFinding,
    SplitFinding,
    StopFinding,
    ToleranceFinding,
)
from trueline.core.records import GateOutcome


@dataclass(frozen=True, slots=True)
class MeasureFinding:
    """One measure: failure rate with one-sided 95 % bounds against its cap, and the paired worsening against its margin.

    `unscored` replies are counted as failures in `upper`, not in `rate` and `lower`; `corrected` is the rate behind the general
    grader's error (None where every grade was exact); `needed`: how many more probes would settle an open question. `attack`: the red
    team's success, against the cap `attack`, or that of `harm` where the charter gives no such cap."""

    measure: GateMeasure
    n: int
    failures: int
    unscored: int
    rate: float | None
    lower: float | None
    upper: float | None
    cap: float | None
    difference: float | None = None
    difference_lower: float | None = None
    difference_upper: float | None = None
    margin: float | None = None
    method: str = ""
    corrected: float | None = None
    corrected_low: float | None = None
    corrected_high: float | None = None
    needed: int | None = None
    outcome: GateOutcome = "INCONCLUSIVE"


@dataclass(frozen=True, slots=True)
class ImpactFinding:
    """One attribute of one fairness clause: the yes rate of each group, and the lowest over the highest with one-sided 95 % bounds.

    `n`: matched pairs, in `families`. `rates` and `ratio` leave unscored replies out, the bounds count them at their worst. `ratio` is None
    where nobody got a yes. `required`: an open question keeps the gate from a PASS. `needed`: how many more families would settle it if
    no decision in them differed. `unplaced`: replies of the clause of which nobody knows whom they are about."""

    clause: str
    attribute: str
    rates: Mapping[str, float | None]
    n: int
    families: int
    unscored: int
    ratio: float | None
    lower: float
    upper: float
    minimum: float
    required: bool
    needed: int | None = None
    unplaced: int = 0
    outcome: GateOutcome = "INCONCLUSIVE"


@dataclass(frozen=True, slots=True)
class GateDecision:
    """The outcome, why, and on what: digests of charter and suite, both targets, the probes that flipped, the impact ratios of fairness,
    and what was found of clauses, zero tolerance, red team, answering, noise and early stopping. `flips`: the flipped replies, worse first,
    as many as a person can read; `flipped_worse` and `flipped_better` name all probes."""

    outcome: GateOutcome
    reasons: tuple[str, ...]
    measures: tuple[MeasureFinding, ...]
    candidate: str
    baseline: str | None
    charter: str
    suite: str
    flipped_worse: tuple[str, ...] = ()
    flipped_better: tuple[str, ...] = ()
    impacts: tuple[ImpactFinding, ...] = ()
    clauses: tuple[ClauseFinding, ...] = ()
    flips: tuple[Flip, ...] = ()
    tolerances: tuple[ToleranceFinding, ...] = ()
    redteam: RedTeamFinding | None = None
    splits: tuple[SplitFinding, ...] = ()
    noise: tuple[NoiseFinding, ...] = ()
    stops: tuple[StopFinding, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON form: `gate.json`."""
        return {"trueline_gate": 1, **asdict(self)}
