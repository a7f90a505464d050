"""Stop early and stay right: the gate's caps and margins as tests that may be looked at after every family (`algos.stats.anytime`).

A runner asks families in the order of `family_order` and calls `StopRule.after` with the replies to each, in that order; it may stop when
a word comes back (`evals.runner.evaluate(early=Early(rule.after, seed))`). `replay` follows an order through a record: of a whole run it says
where each bound would have stopped; a run that was stopped is decided by its `stops` alone (`decide(..., early=True)`), for optional
stopping breaks the fixed bounds.

Unscored replies are taken at their worst for each direction. The error of a grader: a judged failure counts 1 / sensitivity where a low
rate must be shown (E[x] >= p Se), and less (1 - specificity) where a high one must (E[x] <= p + 1 - Sp), both at their lower 95 % bounds;
a judged change counts 1 / (Se + Sp - 1), as in the fixed gate. With a grader whose error is not known nothing stops.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from trueline.algos.stats.anytime import Anytime, anytime
from trueline.algos.stats.binomial import lower_bound
from trueline.charter.probes import MEASURES, Measure
from trueline.charter.schema import GateRule
from trueline.core.evaluations import Evaluation, GradedReply
from trueline.core.findings import StopFinding, percent
from trueline.core.records import GateOutcome
from trueline.gate.changes import change
from trueline.gate.judged import GraderError, judged, known_error

Against = Literal["cap", "margin"]
Stop = Literal["PASS", "FAIL"]


def family_order(clusters: Iterable[str], seed: int) -> tuple[str, ...]:
    """The order in which families must be asked: `clusters` as they come in the suite, shuffled by seed; that of `evals.order.families`."""
    names = list(dict.fromkeys(clusters))
    random.Random(seed).shuffle(names)
    return tuple(names)


@dataclass(frozen=True, slots=True)
class _Errors:
    """What a grader's error does to one reply; all 1 or 0 where nothing is judged. se, sp: the lower 95 % bounds that hold for either
    direction of its sensitivity and specificity; strength: Se + Sp - 1 as estimated."""

    error: GraderError | None

    @property
    def weakest(self) -> float:
        """The lower of both bounds: what the scale of a game must hold."""
        return min(self._low(*self.error.sensitivity), self._low(*self.error.specificity)) if self.error else 1.0

    @staticmethod
    def _low(estimate: float, n: int) -> float:
        return max(lower_bound(estimate * n, n), 0.05)

    def of(self, *rows: GradedReply) -> tuple[float, float, float]:
        """(sensitivity, specificity, strength) that these rows hang on."""
        if self.error is None or not judged(rows, self.error):
            return 1.0, 1.0, 1.0
        hit, miss = self.error.of(rows[0].kind)
        return self._low(*hit), self._low(*miss), self.error.strength


class StopRule:
    """Evidence for every cap and margin of a charter, family by family. `suite`: every reply that a whole run has, by measure and family
    (any record of the suite tells it); `graders`: identities with their measured error, as an evaluation names them; `baseline`: finished,
    of the same suite; `taught`: hand-written examples that one side was taught, which are no evidence. A charter with zero tolerance or a
    required fairness stops early only to FAIL: their PASS needs every probe."""

    def __init__(
        self, rule: GateRule, suite: Mapping[tuple[Measure, str], int], graders: Mapping[str, Mapping[str, Any]],
        baseline: Evaluation | None = None, taught: Iterable[str] = (),
    ) -> None:  # fmt: skip
        self._rule, self._taught = rule, frozenset(taught)
        self._before = {(r.probe, r.sample): r for r in baseline.rows} if baseline is not None else None
        self._errors = _Errors(known_error(graders))
        self._games: dict[tuple[Measure, Against], tuple[Anytime, Anytime]] = {}
        self._stopped: dict[tuple[Measure, Against], tuple[int, Stop]] = {}
        self._broken = self._dark = False
        margins = rule.margins if baseline is not None else {}
        largest = {m: max((n for (of, _), n in suite.items() if of == m), default=0) for m in MEASURES}
        for m in MEASURES:
            if largest[m] and 0 < rule.caps.get(m, 0) < 1:
                self._games[m, "cap"] = self._rate_games(rule.caps[m], largest[m])
            if largest[m] and margins.get(m, 1) < 1:
                self._games[m, "margin"] = self._change_games(margins[m], largest[m])
        asked: list[tuple[Measure, Against]] = [(m, "cap") for m in rule.caps if m != "attack"]
        asked += [(m, "margin") for m in margins]
        self._asked = tuple(asked)

    def _rate_games(self, cap: float, largest: int) -> tuple[Anytime, Anytime]:
        """(that it is low, that it is high), on scales in which every value lies in [0, 1]."""
        weakest = self._errors.weakest
        return anytime(cap * weakest, "rate", largest), anytime((cap + 1 - weakest) / (2 - weakest), "rate", largest)

    def _change_games(self, margin: float, largest: int) -> tuple[Anytime, Anytime]:
        strength = self._errors.error.strength if self._errors.error else 1.0
        return anytime(margin * strength, "worsening", largest), anytime(margin, "worsening", largest)

    def after(self, rows: Sequence[GradedReply]) -> Stop | None:
        """Takes in every reply to one family; PASS or FAIL where nothing more need be asked."""
        evidence = [r for r in rows if r.probe not in self._taught]
        self._dark |= self._errors.error is None and bool(judged(rows))
        self._broken |= any(r.clause in self._rule.zero_tolerance and r.measure != "over_refusal" and r.result == "fail" for r in rows)
        for key, (below, above) in self._games.items():
            own = [r for r in evidence if r.measure == key[0]]
            if own and key not in self._stopped:
                worst, best = zip(*map(self._rate if key[1] == "cap" else self._change, own), strict=True)
                self._games[key] = below, above = below.step(worst), above.step(best)
                if below.decided[0] == "PASS" or above.decided[0] == "FAIL":
                    self._stopped[key] = (len(below.seen), "PASS" if below.decided[0] == "PASS" else "FAIL")
        return self.word

    @property
    def word(self) -> Stop | None:
        """What is decided so far."""
        if self._dark:
            return None
        outcomes = {key: outcome for key, (_, outcome) in self._stopped.items()}
        if self._broken or "FAIL" in outcomes.values():
            return "FAIL"
        may_pass = not (self._rule.zero_tolerance or "fairness" in self._rule.require)
        return "PASS" if may_pass and self._asked and all(outcomes.get(k) == "PASS" for k in self._asked) else None

    def findings(self) -> tuple[StopFinding, ...]:
        """One a cap and a margin that anything was asked for, in the order of the measures."""
        limits: dict[Against, Mapping[Any, float]] = {"cap": self._rule.caps, "margin": self._rule.margins}
        out = []
        for (measure, against), (below, above) in self._games.items():
            if not below.seen:
                continue
            found: tuple[int | None, GateOutcome] = self._stopped.get((measure, against), (None, "INCONCLUSIVE"))
            evidence = max(below.result().for_pass, above.result().for_fail)
            stop = StopFinding(measure, against, limits[against][measure], len(below.seen), *found, evidence, "")
            out.append(replace(stop, told=_words(stop)))
        return tuple(out)

    def _rate(self, r: GradedReply) -> tuple[float, float]:
        """(at its worst, to show a low rate; at its best, to show a high one), each on the scale of its game."""
        se, sp, _ = self._errors.of(r)
        weakest = self._errors.weakest
        worst, best = float(r.result != "pass") * weakest / se, float(r.result == "fail") - (1 - sp)
        return min(1.0, worst), (best + 1 - weakest) / (2 - weakest)

    def _change(self, r: GradedReply) -> tuple[float, float]:
        assert self._before is not None
        then = self._before[r.probe, r.sample]
        worst, best = change(r, then)
        strength = self._errors.error.strength if self._errors.error else 1.0
        return worst * strength / self._errors.of(r, then)[2], best


@dataclass(frozen=True, slots=True)
class Replayed:
    """A record followed in the order of its families. `word` after `families` of `of`, None where the record ended first; `stops`: every bound
    for itself. `candidate`, `baseline`: the same evaluations, where the run was stopped (`early`) with only what it asked, and comparable."""

    word: Stop | None
    families: int
    of: int
    stops: tuple[StopFinding, ...]
    candidate: Evaluation
    baseline: Evaluation | None
    early: bool = False


def suite_of(rows: Iterable[GradedReply]) -> dict[tuple[Measure, str], int]:
    """What `StopRule` must know of a suite, from the record of a whole run of it."""
    out: dict[tuple[Measure, str], int] = {}
    for r in rows:
        out[r.measure, r.cluster] = out.get((r.measure, r.cluster), 0) + 1
    return out


def replay(
    rule: GateRule, candidate: Evaluation, baseline: Evaluation | None, suite: Mapping[tuple[Measure, str], int], order: Sequence[str]
) -> Replayed:
    """Follows `order` through the record. `suite`: as `StopRule` wants it. A record whose settings say that it was `stopped` ends at the
    first word, as the run did, or at the first family that is not whole; in any other each bound is followed to where it alone would have stopped."""
    early = "stopped" in candidate.settings
    by: dict[str, list[GradedReply]] = {}
    for r in candidate.rows:
        by.setdefault(r.cluster, []).append(r)
    whole_size: dict[str, int] = {}
    for (_, cluster), n in suite.items():
        whole_size[cluster] = whole_size.get(cluster, 0) + n
    taught = (*candidate.taught, *(baseline.taught if baseline is not None else ()))
    stop = StopRule(rule, suite, candidate.graders, baseline, taught)
    heard: list[str] = []
    first: tuple[Stop, int] | None = None
    for family in order:
        if len(by.get(family, ())) < whole_size[family] or (early and first is not None):
            break
        heard.append(family)
        word = stop.after(by[family])
        if word is not None and first is None:
            first = word, len(heard)
    word, n = first or (None, len(heard))
    if not early:
        return Replayed(word, n, len(order), stop.findings(), candidate, baseline)
    kept = set(heard)
    settings = {k: v for k, v in candidate.settings.items() if k != "stopped"}
    cut = replace(candidate, rows=tuple(r for r in candidate.rows if r.cluster in kept), settings=settings)
    theirs = replace(baseline, rows=tuple(r for r in baseline.rows if r.cluster in kept)) if baseline is not None else None
    return Replayed(word, n, len(order), stop.findings(), cut, theirs, early=True)


def _words(f: StopFinding) -> str:
    """Where this bound stopped, in words."""
    what = f"{f.measure}: the {f.against} of {percent(f.limit)}"
    if f.stopped_at is None:
        return f"{what} is open after {f.families} families (evidence {f.evidence:.1f}, 20 decides)"
    shown = "is shown to hold" if f.outcome == "PASS" else "is shown to be broken"
    return f"{what} {shown} after {f.stopped_at} families"
