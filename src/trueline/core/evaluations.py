"""The record of an evaluation: one graded reply a row, and the digests that say what was measured how."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from trueline.charter.probes import Kind, Measure, Origin
from trueline.core.records import Action, Layer, Result

ATTACK_MARK = "~"  # stands between a probe's id and the name of the attack


def attack_of(probe: str) -> str:
    """The name of the attack in an attacked probe's id, "" in any other."""
    return probe.rpartition(ATTACK_MARK)[2] if ATTACK_MARK in probe else ""


@dataclass(frozen=True, slots=True)
class GradedReply:
    """One reply to one probe. `sample` counts repeated samples of the same probe from 0 (they form a cluster);
    `blocked`: the provider's own filter answered; `pair` as in the probe's expectation; `version`: the model and fingerprint that the
    server named with this reply. `decided`: the layer whose word the reply is; `action`: the verdict of the guard that counted, and
    `decided_clause` the clause that it acted for (which need not be the probe's). `seconds`: how long the target took for this reply when it
    was asked (waits for a rate limit left out); `input_tokens`, `output_tokens` as the target counted them; 0 where nobody knows."""

    probe: str
    clause: str
    kind: Kind
    measure: Measure
    family: str
    origin: Origin
    sample: int
    reply: str
    result: Result
    seen: str = ""
    reason: str = ""
    grader: str = ""
    pair: str | None = None
    blocked: bool = False
    version: str = ""
    decided: Layer = "model"
    action: Action = "allow"
    decided_clause: str = ""
    seconds: float = field(default=0.0, compare=False)
    input_tokens: int = 0
    output_tokens: int = 0

    @property
    def from_model(self) -> bool:
        """Whether the model's own words were shown, be it with parts redacted."""
        return self.action in ("allow", "redact")

    @property
    def cluster(self) -> str:
        """What falls together in statistics: the pair of a hand-written fairness probe, any other hand-written probe alone, else the family."""
        return self.family if self.origin != "written" else self.pair or self.probe

    def to_dict(self) -> dict[str, Any]:
        """JSON form, one line of `replies.jsonl`."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a run of a suite on a target found. Two evaluations may be compared only when `charter`, `suite`,
    `settings` and `graders` agree (gate: INVALID otherwise); the seed of the sampling, which stands among the settings, may differ.

    charter, suite: SHA-256. settings: sampling, samples a probe, prompt handling - everything but the target.
    identity: JSON-able facts that decide the target's replies. graders: identity of each grader by name, with
    `sensitivity` and `specificity` ({"estimate", "low", "high", "n"}) where they were measured.
    `complete` is false while probes are missing (an interrupted run). `contaminated`: grown probes that were trained on, which makes the
    gate INVALID; `taught`: hand-written ones that were trained on or shown, which the gate leaves out. `looks`: how many prompts were judged on
    held-out probes before this target's was chosen among them (`tune-prompt`); the gate shares its 5 % out over them."""

    target: str
    identity: Mapping[str, Any]
    charter: str
    suite: str
    settings: Mapping[str, Any]
    graders: Mapping[str, Mapping[str, Any]]
    rows: tuple[GradedReply, ...]
    created: str
    seconds: float
    complete: bool = True
    contaminated: tuple[str, ...] = ()
    taught: tuple[str, ...] = ()
    looks: int = 1

    def versions(self) -> dict[str, int]:
        """How many replies each version gave that the server named: more than one is a model that changed while it was measured."""
        return dict(Counter(r.version for r in self.rows if r.version))

    def manifest(self) -> dict[str, Any]:
        """Everything but the rows: the JSON of `evaluation.json`."""
        return {
            "trueline_evaluation": 1,
            "target": self.target,
            "identity": dict(self.identity),
            "charter": self.charter,
            "suite": self.suite,
            "settings": dict(self.settings),
            "graders": {k: dict(v) for k, v in self.graders.items()},
            "created": self.created,
            "seconds": self.seconds,
            "complete": self.complete,
            "contaminated": list(self.contaminated),
            "taught": list(self.taught),
            "looks": self.looks,
            "versions": self.versions(),
            "n": len(self.rows),
        }
