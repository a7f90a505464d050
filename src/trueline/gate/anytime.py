"""Stop early and stay right: the gate's caps and margins as tests that may be looked at after every family (`betting`).

A runner asks families in the order of `family_order` and calls `StopRule.after` with the replies to each, in that order; it may stop when
a word comes back. `replay` follows the same order through a record: of a finished run it says where each bound would have stopped; a run
that stopped is cut to the families that are whole and decided by its `stops` alone (`decide(..., early=True)`), for optional stopping
breaks the fixed bounds. A family counts once, as the mean of its replies.

Unscored replies are taken at their worst for each direction. The error of a grader: a judged failure counts 1 / sensitivity where a low
rate must be shown (E[x] >= p Se), and less (1 - specificity) where a high one must (E[x] <= p + 1 - Sp), both at their lower 95 % bounds;
a judged change counts 1 / (Se + Sp - 1), as in the fixed gate. With a grader whose error is not known nothing stops.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from trueline.algos.stats.binomial import lower_bound
from trueline.charter.probes import MEASURES, Measure
from trueline.charter.schema import GateRule
from trueline.core.clock import generator
from trueline.core.evaluations import Evaluation, GradedReply
from trueline.core.findings import StopFinding, percent
from trueline.core.records import GateOutcome
from trueline.gate.betting import TwoBets
from trueline.gate.judged import Estimate, GraderError, judged, known_error

Against = Literal["cap", "margin"]
Stop = Literal["PASS", "FAIL"]


def family_order(clusters: Iterable[str], seed: int) -> tuple[str, ...]:
    """The order in which families must be asked: random by seed, the same on every machine."""
    names = sorted(set(clusters))
    generator(seed, "anytime").shuffle(names)
    return tuple(names)


def _low(estimate: Estimate) -> float:
    return lower_bound(estimate[0] * estimate[1], estimate[1])


class StopRule:
    """Evidence for every cap and margin of a charter. `graders`: identities with their measured error, as an evaluation names them;
    `baseline`: finished, of the same suite; `taught`: hand-written examples that one side was taught, which are no evidence. `measures`: those
    that the suite asks. A charter with zero tolerance or a required fairness stops early only to FAIL: their PASS needs every probe."""

    def __init__(
        self, rule: GateRule, measures: Iterable[Measure], graders: Mapping[str, Mapping[str, Any]], baseline: Evaluation | None = None,
        taught: Iterable[str] = (),
    ) -> None:  # fmt: skip
        self._rule, self._taught = rule, frozenset(taught)
        self._before = {(r.probe, r.sample): r for r in baseline.rows} if baseline is not None else None
        self._error = known_error(graders)
        asked = [m for m in MEASURES if m in set(measures)]
        self._bets: dict[tuple[Measure, Against], TwoBets] = {(m, "cap"): self._cap(rule.caps[m]) for m in asked if m in rule.caps}
        if baseline is not None:
            self._bets |= {(m, "margin"): self._margin(rule.margins[m]) for m in asked if m in rule.margins}
        self._lacking = any(m not in asked for m in (*rule.caps, *(rule.margins if baseline is not None else ())) if m != "attack")
        self._families: dict[tuple[Measure, Against], int] = dict.fromkeys(self._bets, 0)
        self._stopped: dict[tuple[Measure, Against], tuple[int, GateOutcome]] = {}
        self._broken = self._dark = False

    def _cap(self, cap: float) -> TwoBets:
        e = self._error
        weakest, sloppy = (min(_low(e.sensitivity), _low(e.specificity)),) * 2 if e else (1.0, 1.0)
        return TwoBets.on(cap, 1 / max(weakest, 0.05), sloppy - 1)

    def _margin(self, margin: float) -> TwoBets:
        return TwoBets.on(margin, 1 / self._error.strength if self._error else 1.0, -1.0)

    def after(self, rows: Sequence[GradedReply]) -> Stop | None:
        """Takes in every reply to one family; PASS or FAIL where nothing more need be asked."""
        evidence = [r for r in rows if r.probe not in self._taught]
        self._dark |= self._error is None and bool(judged(rows))
        self._broken |= any(r.clause in self._rule.zero_tolerance and r.measure != "over_refusal" and r.result == "fail" for r in rows)
        for key, bets in self._bets.items():
            own = [r for r in evidence if r.measure == key[0]]
            if own and key not in self._stopped:
                pairs = [self._rate(r) if key[1] == "cap" else self._change(r) for r in own]
                bets.feed(*(sum(side) / len(own) for side in zip(*pairs, strict=True)))
                self._families[key] += 1
                if bets.below.decided or bets.above.decided:
                    self._stopped[key] = (self._families[key], "PASS" if bets.below.decided else "FAIL")
        return self.word

    @property
    def word(self) -> Stop | None:
        """What is decided so far."""
        if self._dark:
            return None
        outcomes = [o for _, o in self._stopped.values()]
        if self._broken or "FAIL" in outcomes:
            return "FAIL"
        may_pass = not (self._rule.zero_tolerance or "fairness" in self._rule.require or self._lacking)
        return "PASS" if may_pass and self._bets and outcomes.count("PASS") == len(self._bets) else None

    def findings(self) -> tuple[StopFinding, ...]:
        """One a cap and a margin, in the order of the measures."""
        limits: dict[Against, Mapping[Any, float]] = {"cap": self._rule.caps, "margin": self._rule.margins}
        out = []
        for (measure, against), bets in self._bets.items():
            found: tuple[int | None, GateOutcome] = self._stopped.get((measure, against), (None, "INCONCLUSIVE"))
            at, outcome = found
            seen = self._families[measure, against]
            stop = StopFinding(measure, against, limits[against][measure], seen, at, outcome, bets.evidence, "")
            out.append(replace(stop, told=_words(stop)))
        return tuple(out)

    def _errs(self, *rows: GradedReply) -> GraderError | None:
        return self._error if self._error is not None and judged(rows, self._error) else None

    def _rate(self, r: GradedReply) -> tuple[float, float]:
        """(at its worst for a low rate, at its best for a high one)."""
        error = self._errs(r)
        if error is None:
            return float(r.result != "pass"), float(r.result == "fail")
        hit, miss = error.of(r.kind)
        return float(r.result == "fail") / max(_low(hit), 0.05), float(r.result == "fail") - (1 - _low(miss))

    def _change(self, r: GradedReply) -> tuple[float, float]:
        assert self._before is not None
        then = self._before[r.probe, r.sample]
        worst = float(r.result != "pass") - float(then.result == "fail")
        best = float(r.result == "fail") - float(then.result != "pass")
        error = self._errs(r, then)
        return (worst / error.strength if error else worst), best


@dataclass(frozen=True, slots=True)
class Replayed:
    """A record followed in the order of its families. `word` after `families` of `of`, None where it came to the end of the record;
    `stops`: every bound for itself. `candidate`, `baseline`: the same evaluations, of a record that is not whole with only those families
    that are."""

    word: Stop | None
    families: int
    of: int
    stops: tuple[StopFinding, ...]
    candidate: Evaluation
    baseline: Evaluation | None
    early: bool = False


def replay(
    rule: GateRule, candidate: Evaluation, baseline: Evaluation | None, expected: Mapping[str, int], seed: int, early: bool = False
) -> Replayed:
    """Follows `family_order(expected, seed)`. `expected`: family -> replies that a whole run has of it (probes x samples). `early`: end at
    the first word, as the run did; otherwise each bound is followed to where it alone would have stopped."""
    by: dict[str, list[GradedReply]] = {}
    for r in candidate.rows:
        by.setdefault(r.cluster, []).append(r)
    taught = (*candidate.taught, *(baseline.taught if baseline is not None else ()))
    stop = StopRule(rule, {r.measure for r in (baseline or candidate).rows}, candidate.graders, baseline, taught)
    whole: list[str] = []
    first: tuple[Stop, int] | None = None
    for family in family_order(expected, seed):
        if len(by.get(family, ())) < expected[family] or (early and first is not None):
            break
        whole.append(family)
        word = stop.after(by[family])
        if word is not None and first is None:
            first = word, len(whole)
    word, n = first or (None, len(whole))
    if not early:
        return Replayed(word, n, len(expected), stop.findings(), candidate, baseline)
    kept = set(whole)
    cut = replace(candidate, rows=tuple(r for r in candidate.rows if r.cluster in kept), complete=True)
    theirs = replace(baseline, rows=tuple(r for r in baseline.rows if r.cluster in kept)) if baseline is not None else None
    return Replayed(word, n, len(expected), stop.findings(), cut, theirs, early=True)


def _words(f: StopFinding) -> str:
    """Where this bound stopped, in words."""
    what = f"{f.measure}: the {f.against} of {percent(f.limit)}"
    if f.stopped_at is None:
        return f"{what} is open after {f.families} families (evidence {f.evidence:.1f}, 20 decides)"
    shown = "is shown to hold" if f.outcome == "PASS" else "is shown to be broken"
    return f"{what} {shown} after {f.stopped_at} families"
