"""Probes: what the charter compiles to for testing, and what `probes grow` adds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from trueline.charter.digests import canonical_json, sha256_text
from trueline.charter.splits import Side
from trueline.charter.turns import Message, messages_from
from trueline.errors import DataError, SuiteError

Kind = Literal[
    "refuse", "near_miss", "in_scope", "out_of_scope", "voice", "knowledge", "abstain",
    "high_stakes", "high_stakes_near_miss", "fairness",
]  # fmt: skip
Measure = Literal["harm", "over_refusal", "scope", "voice", "honesty", "bias", "capability"]
Outcome = Literal["refuse", "answer", "redirect", "abstain", "hand_over", "decide"]
Origin = Literal["written", "grown"]

MEASURES: tuple[Measure, ...] = get_args(Measure)
KINDS: tuple[Kind, ...] = get_args(Kind)

MEASURE_OF: Mapping[Kind, Measure] = {
    "refuse": "harm",
    "near_miss": "over_refusal",
    "in_scope": "scope",
    "out_of_scope": "scope",
    "voice": "voice",
    "knowledge": "capability",
    "abstain": "honesty",
    "high_stakes": "harm",
    "high_stakes_near_miss": "over_refusal",
    "fairness": "bias",
}
OUTCOME_OF: Mapping[Kind, Outcome] = {
    "refuse": "refuse",
    "near_miss": "answer",
    "in_scope": "answer",
    "out_of_scope": "redirect",
    "voice": "answer",
    "knowledge": "answer",
    "abstain": "abstain",
    "high_stakes": "hand_over",
    "high_stakes_near_miss": "answer",
    "fairness": "decide",
}


@dataclass(frozen=True, slots=True)
class Expectation:
    """What must happen. `contains`: any one of these must stand in the reply (case-insensitive);
    `breaks`: none of these may; `pair`: probes with the same pair must get the same decision."""

    outcome: Outcome
    contains: tuple[str, ...] = ()
    breaks: tuple[str, ...] = ()
    pair: str | None = None


@dataclass(frozen=True, slots=True)
class Probe:
    """One test prompt (or conversation) tied to a clause. `reply` is a demonstration, for teaching only."""

    id: str
    clause: str
    kind: Kind
    messages: tuple[Message, ...]
    family: str
    side: Side
    origin: Origin
    expect: Expectation
    reply: str | None = None
    accepted_by: str | None = None

    @property
    def measure(self) -> Measure:
        """The measure of the gate that this probe counts for."""
        return MEASURE_OF[self.kind]

    @property
    def cluster(self) -> str:
        """What falls together in statistics: the family of a grown probe, the pair of a hand-written fairness probe, else the probe."""
        return self.family if self.origin == "grown" else self.expect.pair or self.id

    def to_dict(self) -> dict[str, Any]:
        """The JSON form of `probes.jsonl`."""
        e = self.expect
        return {
            "id": self.id,
            "clause": self.clause,
            "kind": self.kind,
            "messages": [m.to_dict() for m in self.messages],
            "family": self.family,
            "side": self.side,
            "origin": self.origin,
            "expect": {"outcome": e.outcome, "contains": list(e.contains), "breaks": list(e.breaks), "pair": e.pair},
            "reply": self.reply,
            "accepted_by": self.accepted_by,
        }


def probe_id(clause: str, kind: Kind, family: str, messages: tuple[Message, ...]) -> str:
    """The name of a probe: its content decides, so the same probe has the same name everywhere."""
    body = family + "|" + canonical_json([m.to_dict() for m in messages])
    return f"{clause}/{kind}/{sha256_text(body)[:12]}"


def _strings(raw: object, what: str) -> tuple[str, ...]:
    if raw is None:
        return ()
    if not isinstance(raw, list) or not all(isinstance(s, str) and s for s in raw):
        raise DataError(f"{what} must be a list of non-empty strings, got {raw!r:.60}", remedy="mend the list")
    return tuple(raw)


def _choices(row: Mapping[str, Any]) -> Iterator[tuple[str, tuple[str, ...]]]:
    yield "kind", KINDS
    yield "side", get_args(Side)
    yield "origin", get_args(Origin)


def probe_from(row: object) -> Probe:
    """Reads the JSON form. Raises `SuiteError` that names the field."""
    if not isinstance(row, Mapping):
        raise SuiteError(f"a probe must be an object, got {type(row).__name__}", remedy="write one JSON object a line")
    for key in ("clause", "kind", "messages", "family", "side", "origin"):
        if key not in row:
            raise SuiteError(f"a probe lacks {key!r}", remedy=f"add {key!r}")
    for key, allowed in _choices(row):
        if row[key] not in allowed:
            raise SuiteError(f"{key} {row[key]!r} is not one of {', '.join(allowed)}", remedy=f"mend {key!r}")
    for key in ("clause", "family"):
        if not isinstance(row[key], str) or not row[key]:
            raise SuiteError(f"{key} must be a non-empty string, got {row[key]!r:.60}", remedy=f"mend {key!r}")
    kind: Kind = row["kind"]
    raw = row.get("expect", {})
    if not isinstance(raw, Mapping):
        raise SuiteError(f"expect must be an object, got {type(raw).__name__}", remedy='write {"outcome": ...}')
    outcome = raw.get("outcome", OUTCOME_OF[kind])
    if outcome != OUTCOME_OF[kind]:
        raise SuiteError(f"outcome {outcome!r:.40} is not that of kind {kind}", remedy=f"write {OUTCOME_OF[kind]!r} or leave it out")
    expect = Expectation(outcome, _strings(raw.get("contains"), "contains"), _strings(raw.get("breaks"), "breaks"), raw.get("pair"))
    for key, value in (
        ("id", row.get("id")),
        ("reply", row.get("reply")),
        ("accepted_by", row.get("accepted_by")),
        ("expect.pair", expect.pair),
    ):
        if not isinstance(value, str | None):
            raise SuiteError(f"{key} must be text or null, got {value!r:.40}", remedy=f"mend {key!r}")
    if (kind == "fairness") != bool(expect.pair):
        raise SuiteError(
            f"expect.pair is for kind fairness and for it alone, got {expect.pair!r:.40} and kind {kind}", remedy="mend expect.pair"
        )
    messages = messages_from(row["messages"])
    if messages[-1].role != "user" or not messages[-1].content.strip():
        raise SuiteError("a probe must end with something that a user says", remedy="end `messages` with a user's message that has words")
    return Probe(
        id=row.get("id") or probe_id(row["clause"], kind, row["family"], messages),
        clause=row["clause"],
        kind=kind,
        messages=messages,
        family=row["family"],
        side=row["side"],
        origin=row["origin"],
        expect=expect,
        reply=row.get("reply"),
        accepted_by=row.get("accepted_by"),
    )
