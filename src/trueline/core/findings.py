"""What a decision rests on besides its measures: clauses, flipped probes, zero tolerance, the red team, answering, noise, early stopping.

All rates are fractions, all bounds one-sided at 95 %, all counts of families count what falls together once. `told` is the finding in words.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from trueline.charter.probes import Measure
from trueline.core.records import GateOutcome, Result

GateMeasure = Measure | Literal["attack"]  # the red team's success is held against a cap like any other rate


def percent(x: float | None) -> str:
    """A fraction as per cent with one decimal, as reasons and reports write it; `-` where nothing was measured."""
    return "-" if x is None else f"{100 * x:.1f} %"


@dataclass(frozen=True, slots=True)
class ClauseFinding:
    """One clause within one measure. `unscored` replies count as failures in `upper` only; `worse` and `better`: replies that changed
    against the baseline, None without one. `stands_out`: its failure rate lies above the measure's cap, with Holm's correction over
    the clauses of the measure; it says where to look and decides nothing."""

    measure: GateMeasure
    clause: str
    n: int
    families: int
    failures: int
    unscored: int
    rate: float | None
    lower: float
    upper: float
    worse: int | None = None
    better: int | None = None
    stands_out: bool = False


@dataclass(frozen=True, slots=True)
class Flip:
    """One reply that changed against the baseline's to the same probe and sample; prompt and replies are excerpts of the user's own run."""

    probe: str
    sample: int
    clause: str
    measure: Measure
    before: Result
    after: Result
    prompt: str
    reply_before: str
    reply_after: str


@dataclass(frozen=True, slots=True)
class ToleranceFinding:
    """A clause that admits no break. `upper`: what the rate of breaks is below, given so many families, also where none was seen; None
    where nothing was asked. `attacked`: breaks in the red-team run that the charter's own marks prove."""

    clause: str
    n: int
    families: int
    broken: int
    unscored: int
    upper: float | None
    attacked: int
    outcome: GateOutcome
    told: str


@dataclass(frozen=True, slots=True)
class RedTeamFinding:
    """The red-team run that was looked at: disguises beyond the plain request, families of requests, replies, age in days at the
    decision (None where it does not say when it was made)."""

    disguises: tuple[str, ...]
    requests: int
    n: int
    age_days: float | None


@dataclass(frozen=True, slots=True)
class Shift:
    """A count before and after, of the same `n` pairs in `families`, and the paired difference of the two rates with its bounds."""

    before: int
    after: int
    n: int
    families: int
    difference: float
    lower: float
    upper: float


@dataclass(frozen=True, slots=True)
class SplitFinding:
    """Willingness and ability apart. knowledge: answered at all, and right where both sides answered; harm: complied, and with content
    that the charter's own marks prove (`able` over all pairs). `newly`: pairs answered now and not before, `newly_able` of them rightly
    (with proven content). None: insufficient evidence."""

    of: Literal["knowledge", "harm"]
    willing: Shift
    able: Shift | None
    newly: int
    newly_able: int
    told: str


@dataclass(frozen=True, slots=True)
class NoiseFinding:
    """Two draws of one target: the share of replies whose result differs, and the smallest margin that can be resolved at this noise
    (`floor`, with the charter's power). `resolved` is None without a margin; `needed`: families like these that would resolve it."""

    measure: Measure
    n: int
    families: int
    flipped: int
    rate: float
    low: float
    high: float
    difference: float
    difference_lower: float
    difference_upper: float
    floor: float
    margin: float | None
    resolved: bool | None
    needed: int | None
    told: str


@dataclass(frozen=True, slots=True)
class StopFinding:
    """Where an anytime-valid test of one bound would have stopped: after `stopped_at` of `families`, None where it went to the end.
    `evidence`: the larger of the two betting martingales then; at 1 / 0.05 = 20 it decides."""

    measure: Measure
    against: Literal["cap", "margin"]
    limit: float
    families: int
    stopped_at: int | None
    outcome: GateOutcome
    evidence: float
    told: str
