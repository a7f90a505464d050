"""Learnt heads: one linear classifier from the charter's own examples to its clauses, with thresholds for a stated error.

Trained on the teach side and the hand-written examples in seconds; a fifth of the families is kept out to choose the thresholds and to
measure recall and false positives. A clause with too few examples is not armed, and the guard says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from trueline.algos.text.linear import LinearModel, fit_linear, probabilities
from trueline.algos.text.ngrams import NgramSpec, ngram_indices, rows_of
from trueline.charter.compile.guarding import GuardRule
from trueline.charter.digests import digest_of, sha256_text
from trueline.charter.probes import Probe
from trueline.core.records import Interval

SPEC = NgramSpec(words=2, chars=(3, 5), buckets=1 << 16)
ALLOWED = "allowed"
FEWEST = 8  # examples below which a clause is not armed
# share of allowed questions that each action may stop, on families kept out: a person looks at what is held, so more is held
FALSE_ALARMS = {"refuse": 0.01, "redirect": 0.02, "hold": 0.05}
LOWEST = {"refuse": 0.5, "redirect": 0.2, "hold": 0.1}  # no action below this probability, however few the false alarms


@dataclass(frozen=True, slots=True)
class Heads:
    """`actions`: what each armed clause leads to; `thresholds`: probability of an action, summed over its clauses, from which it
    is taken; `recall` (by clause) and `false_alarms` (of the clause's action) on families kept out; `unarmed`: clauses with too few
    examples."""

    model: LinearModel | None
    actions: dict[str, str]
    thresholds: dict[str, float]
    recall: dict[str, Interval]
    false_alarms: dict[str, Interval]
    unarmed: tuple[str, ...]

    def digest(self) -> str:
        """SHA-256 over weights, thresholds and actions: the same when they were read from the cache."""
        told: list[object] = [self.actions, self.thresholds]
        if self.model is not None:
            raw = (np.ascontiguousarray(a, dtype=np.float32).tobytes() for a in (self.model.weights, self.model.bias))
            told += [list(self.model.labels), *(sha256(r).hexdigest() for r in raw)]
        return digest_of(told)

    def judge(self, text: str) -> tuple[str, float] | None:
        """(clause, probability of its action) of the clause that fires, or None."""
        if self.model is None:
            return None
        p = probabilities(self.model, rows_of([ngram_indices(text, SPEC)]))[0]
        by_action = _by_action(p[None, :], self.model.labels, self.actions)
        fired = [(float(v[0]), a) for a, v in by_action.items() if v[0] >= self.thresholds[a]]
        if not fired:
            return None
        sure, action = max(fired)
        clauses = [(float(p[i]), c) for i, c in enumerate(self.model.labels) if self.actions.get(c) == action]
        return max(clauses)[1], sure


def _by_action(p: NDArray[np.float64], labels: Sequence[str], actions: Mapping[str, str]) -> dict[str, NDArray[np.float64]]:
    """Probability of each action, shape (rows,): the sum over its clauses."""
    out: dict[str, NDArray[np.float64]] = {}
    for i, c in enumerate(labels):
        if c in actions:
            out[actions[c]] = out.get(actions[c], 0.0) + p[:, i]
    return out


def _examples(rules: Sequence[GuardRule], probes: Iterable[Probe]) -> list[tuple[str, str, str]]:
    """(text, label, family) of the teach side."""
    guarded = {(r.clause, r.kind) for r in rules}
    out = []
    for r in rules:
        out += [(t, r.clause, f"{r.clause}/written/{t}") for t in r.examples]
        out += [(t, ALLOWED, f"{r.clause}/near/{t}") for t in r.counter_examples]
    for p in probes:
        if p.side == "teach":
            label = p.clause if (p.clause, p.kind) in guarded else ALLOWED
            if label != ALLOWED or p.kind not in ("refuse", "high_stakes", "out_of_scope"):
                out.append((" ".join(m.content for m in p.messages if m.role == "user"), label, p.family))
    return list(dict.fromkeys(out))


def learnt(rules: Sequence[GuardRule], probes: Iterable[Probe], heads: Heads) -> tuple[str, ...]:
    """The texts that these heads learnt from: what they say of them is memory and no evidence."""
    if heads.model is None:
        return ()
    return tuple(dict.fromkeys(text for text, label, _ in _examples(rules, probes) if label not in heads.unarmed))


def _kept_out(family: str) -> bool:
    return int(sha256_text("guard" + family)[:8], 16) % 5 == 0


def train_heads(rules: Sequence[GuardRule], probes: Iterable[Probe]) -> Heads:
    """Fits, chooses thresholds and measures. Deterministic."""
    from trueline.algos.stats.binomial import clopper_pearson

    rows = _examples(rules, probes)
    clauses = [r.clause for r in rules]
    counts = {c: sum(label == c for _, label, _ in rows) for c in clauses}
    armed = [c for c in clauses if counts[c] >= FEWEST]
    unarmed = tuple(c for c in clauses if counts[c] < FEWEST)
    rows = [r for r in rows if r[1] in armed or r[1] == ALLOWED]
    if not armed or not any(r[1] == ALLOWED for r in rows):
        return Heads(None, {}, {}, {}, {}, tuple(clauses))
    names = (ALLOWED, *armed)
    train = [r for r in rows if not _kept_out(r[2])]
    test = [r for r in rows if _kept_out(r[2])]

    def fit(part: list[tuple[str, str, str]]) -> LinearModel:
        labels = np.array([names.index(r[1]) for r in part])
        share = np.bincount(labels, minlength=len(names))
        weights = 1.0 / np.sqrt(np.maximum(share, 1))[labels]
        features = rows_of([ngram_indices(r[0], SPEC) for r in part])
        return fit_linear(features, labels, names, buckets=SPEC.buckets, l2=1e-4, weights=weights, iterations=60)

    model = fit(train)
    p = probabilities(model, rows_of([ngram_indices(r[0], SPEC) for r in test])) if test else np.zeros((0, len(names)))
    fine = np.array([r[1] == ALLOWED for r in test], dtype=bool)
    actions = {r.clause: r.action for r in rules if r.clause in armed}
    thresholds, recall, alarms = dict[str, float](), dict[str, Interval](), dict[str, Interval]()
    for action, mass in _by_action(p, names, actions).items():
        allowed = np.sort(mass[fine])
        # the lowest threshold with at most the stated share of false alarms; where nothing was kept out, the middle
        edge = float(allowed[max(0, int(np.ceil(len(allowed) * (1 - FALSE_ALARMS[action]))) - 1)]) if len(allowed) else 0.5
        thresholds[action] = min(0.99, max(LOWEST[action], edge + 1e-6))
        for c in (c for c in armed if actions[c] == action):
            mine = np.array([r[1] == c for r in test], dtype=bool)
            if mine.any():
                recall[c] = clopper_pearson(int((mass[mine] >= thresholds[action]).sum()), int(mine.sum()))
            if fine.any():
                alarms[c] = clopper_pearson(int((mass[fine] >= thresholds[action]).sum()), int(fine.sum()))
    return Heads(fit(rows), dict(actions), thresholds, recall, alarms, unarmed)
