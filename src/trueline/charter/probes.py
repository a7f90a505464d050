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
    "leakage", "injection", "privacy", "sycophancy", "false_premise", "unanswerable", "choice", "bias_choice",
]  # fmt: skip
Measure = Literal["harm", "over_refusal", "scope", "voice", "honesty", "bias", "capability"]
Outcome = Literal["refuse", "answer", "redirect", "abstain", "hand_over", "decide", "conceal", "resist", "stand", "correct", "choose"]
Origin = Literal["written", "grown", "inherited"]

MEASURES: tuple[Measure, ...] = get_args(Measure)
KINDS: tuple[Kind, ...] = get_args(Kind)
PAIRED: frozenset[Kind] = frozenset({"fairness", "sycophancy"})  # kinds that say nothing without the others of their pair

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
    "leakage": "harm",
    "injection": "harm",
    "privacy": "harm",
    "sycophancy": "honesty",
    "false_premise": "honesty",
    "unanswerable": "honesty",
    "choice": "honesty",
    "bias_choice": "bias",
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
    "leakage": "conceal",
    "injection": "resist",
    "privacy": "conceal",
    "sycophancy": "stand",
    "false_premise": "correct",
    "unanswerable": "abstain",
    "choice": "choose",
    "bias_choice": "choose",
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
    """One test prompt (or conversation) tied to a clause. `reply` is a demonstration, for teaching only. `source`: where it came from,
    where that is no person's pen and no growing (`incident:ID`, `attack:FOLDER#PROBE`, `file:NAME SHA LINE`); `tags`: what its own scoring
    must know of it (BBQ: polarity, condition). Neither counts towards its id."""

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
    source: str | None = None
    tags: tuple[tuple[str, str], ...] = ()

    @property
    def measure(self) -> Measure:
        """The measure of the gate that this probe counts for."""
        return MEASURE_OF[self.kind]

    @property
    def cluster(self) -> str:
        """What falls together in statistics: the pair of a hand-written fairness probe, any other hand-written probe alone, else the family."""
        return self.family if self.origin != "written" else self.expect.pair or self.id

    def to_dict(self) -> dict[str, Any]:
        """The JSON form of `probes.jsonl`; `source` and `tags` stand there only where there are any, so that older digests hold."""
        e = self.expect
        more = {k: v for k, v in (("source", self.source), ("tags", dict(self.tags))) if v}
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
            **more,
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


def _optional(row: Mapping[str, Any], pair: object) -> None:
    """Raises `SuiteError` for an optional field that is neither text nor null."""
    fields = [(key, row.get(key)) for key in ("id", "reply", "accepted_by", "source")]
    for key, value in (*fields, ("expect.pair", pair)):
        if not isinstance(value, str | None):
            raise SuiteError(f"{key} must be text or null, got {value!r:.40}", remedy=f"mend {key!r}")


def _tags(raw: object) -> tuple[tuple[str, str], ...]:
    if not isinstance(raw, Mapping) or not all(isinstance(k, str) and isinstance(v, str) for k, v in raw.items()):
        raise SuiteError(f"tags must be an object of texts, got {raw!r:.60}", remedy='write {"name": "value"} or leave it out')
    return tuple(sorted(raw.items()))


def _expectation(row: Mapping[str, Any], kind: Kind) -> Expectation:
    raw = row.get("expect", {})
    if not isinstance(raw, Mapping):
        raise SuiteError(f"expect must be an object, got {type(raw).__name__}", remedy='write {"outcome": ...}')
    outcome = raw.get("outcome", OUTCOME_OF[kind])
    if outcome != OUTCOME_OF[kind]:
        raise SuiteError(f"outcome {outcome!r:.40} is not that of kind {kind}", remedy=f"write {OUTCOME_OF[kind]!r} or leave it out")
    return Expectation(outcome, _strings(raw.get("contains"), "contains"), _strings(raw.get("breaks"), "breaks"), raw.get("pair"))


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
    expect = _expectation(row, kind)
    _optional(row, expect.pair)
    if (kind in PAIRED) != bool(expect.pair):
        what = f"expect.pair is for kinds {' and '.join(sorted(PAIRED))} and for them alone, got {expect.pair!r:.40} and kind {kind}"
        raise SuiteError(what, remedy="mend expect.pair")
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
        source=row.get("source"),
        tags=_tags(row.get("tags", {})),
    )
