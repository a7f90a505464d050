"""Frozen records: what happened, in forms that serialise. Behaviour lives elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from trueline.charter.turns import Message

Result = Literal["pass", "fail", "unscored"]
ReplyClass = Literal["complied", "refused", "redirected", "unscored"]
Action = Literal["allow", "redact", "refuse", "redirect", "hold"]
Layer = Literal["model", "input guard", "output guard", "held for a person"]
GateOutcome = Literal["PASS", "FAIL", "INCONCLUSIVE", "INVALID"]
GATE_EXIT: Mapping[GateOutcome, int] = {"PASS": 0, "FAIL": 1, "INCONCLUSIVE": 2, "INVALID": 3}


@dataclass(frozen=True, slots=True)
class Grade:
    """The grade of one reply. `grader` names who graded; `seen` what it saw (complied, refused, right fact, ...);
    `confidence` in [0, 1] or None where the check is exact."""

    result: Result
    grader: str
    seen: str = ""
    reason: str = ""
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """What a detector found: `start` and `end` are character offsets into the original text."""

    detector: str
    clause: str
    start: int
    end: int
    score: float
    note: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the guard decides about one text, and why."""

    action: Action
    clause: str | None = None
    reason: str = ""
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class Preference:
    """Two replies to one prompt, the better first. `margin` by how much (0 = unknown); `weight` of the pair in the
    loss; `source` says where it came from (person, comparison, edit, grader, file)."""

    prompt: tuple[Message, ...]
    chosen: str
    rejected: str
    margin: float = 0.0
    weight: float = 1.0
    clause: str | None = None
    source: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The standard conversational preference row: `prompt`, `chosen`, `rejected` as message lists."""
        return {
            "prompt": [m.to_dict() for m in self.prompt],
            "chosen": [{"role": "assistant", "content": self.chosen}],
            "rejected": [{"role": "assistant", "content": self.rejected}],
            "margin": self.margin,
            "weight": self.weight,
            "clause": self.clause,
            "source": self.source,
        }


@dataclass(frozen=True, slots=True)
class Rating:
    """A human judgement of replies. `kind` comparison: `value` is the index of the better reply, or -1 for a tie;
    edit: `text` is the edited reply; likert: `value` 1..5. `sides` is the order in which they were shown."""

    id: str
    kind: Literal["comparison", "likert", "ranking", "edit"]
    rater: str
    prompt: tuple[Message, ...]
    replies: tuple[str, ...]
    value: float | None
    text: str | None
    sides: tuple[int, ...]
    created: str
    seconds: float | None = None
    clause: str | None = None


@dataclass(frozen=True, slots=True)
class Incident:
    """Something that went wrong, tied to a clause."""

    id: str
    kind: Literal["report", "catch", "override", "attack"]
    clause: str
    prompt: tuple[Message, ...]
    reply: str
    created: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its interval, as fractions; `n` is how many counted. `low`/`high` at `level` (two-sided 0.95
    unless said)."""

    estimate: float
    low: float
    high: float
    n: int
    level: float = 0.95
