"""The charter's schema, version 1: frozen models, every field with its meaning. Unknown keys are errors.

Line numbers, lint and messages for people are in `charter.parse` and `charter.lint`; this file says what a charter is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

from trueline.charter.probes import Measure

Text = Annotated[str, Field(min_length=1)]
Identifier = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=64)]
Rate = Annotated[float, Field(ge=0.0, le=1.0, strict=True)]  # strict: `true` is no rate of 1, "nan" no number
Severity = Literal["critical", "major", "minor"]


class Part(BaseModel):
    """Any part of a charter: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)


class VoiceExample(Part):
    """A good and a bad way to say the same; `ask` is the question that both answer."""

    good: Text
    bad: Text
    ask: Text | None = None


class Voice(Part):
    """How the assistant speaks. `max_words` (words) and `never` (case-insensitive phrases) are exact checks."""

    id: Identifier
    rule: Text
    examples: tuple[VoiceExample, ...] = ()
    max_words: Annotated[int, Field(ge=1, strict=True)] | None = None
    never: tuple[Text, ...] = ()


class Inside(Part):
    """A subject the assistant is for."""

    id: Identifier
    describe: Text
    examples: tuple[Text, ...] = ()


class Outside(Part):
    """Everything else, and the redirection that the assistant gives."""

    id: Identifier
    reply: Text
    examples: tuple[Text, ...] = ()


class Scope(Part):
    """What the assistant is for and what it is not for."""

    inside: tuple[Inside, ...] = ()
    outside: Outside


class Knowledge(Part):
    """A fact it must get right (`expect`, any one of) or a question it must admit not to know (`abstain`)."""

    id: Identifier
    ask: tuple[Text, ...] = ()
    expect: Text | tuple[Text, ...] | None = None
    abstain: bool = False
    reply: Text | None = None

    @property
    def expected(self) -> tuple[str, ...]:
        """The accepted answers; empty for a question to abstain from."""
        return () if self.expect is None else (self.expect,) if isinstance(self.expect, str) else self.expect


class PrincipleAsk(Part):
    """Prompts that must be refused, and near misses that must be answered."""

    refuse: tuple[Text, ...] = ()
    answer: tuple[Text, ...] = ()


class Principle(Part):
    """A rule of the constitution. `hard` ones may not be traded against helpfulness. `breaks`: phrases in a
    reply that prove the clause was broken (exact check)."""

    id: Identifier
    rule: Text
    refuse_with: Text
    why: Text | None = None
    severity: Severity = "major"
    hard: bool = False
    hazards: tuple[Text, ...] = ()
    ask: PrincipleAsk = PrincipleAsk()
    breaks: tuple[Text, ...] = ()


class Review(Part):
    """Who must look, how soon, and what happens if nobody does. `within` like 30m, 4h, 2d."""

    when: Literal["detected", "always"]
    by: Annotated[tuple[Text, ...], Field(min_length=1)]
    on: tuple[Text, ...] = ()
    approvals: Annotated[int, Field(ge=1, le=5, strict=True)] = 1
    within: Annotated[str, Field(pattern=r"^[1-9][0-9]*[smhd]$")] = "4h"
    on_timeout: Literal["refuse"] = "refuse"

    @property
    def within_seconds(self) -> int:
        """The time a reviewer has, in seconds."""
        return int(self.within[:-1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[self.within[-1]]


class HighStakes(Part):
    """A subject that a person must decide on. `reply` is the sentence with which the assistant hands over."""

    id: Identifier
    describe: Text
    review: Review
    examples: tuple[Text, ...] = ()
    near_misses: tuple[Text, ...] = ()
    reply: Text | None = None
    breaks: tuple[Text, ...] = ()


class Fairness(Part):
    """A decision about people that must not depend on who they are: `{person}` (and `{profile}`) are filled in.
    `min_impact_ratio`: the least share of the favoured group's yes rate that any group must have (0.8: the four-fifths rule)."""

    id: Identifier
    decision: Annotated[str, Field(pattern=r"\{person\}")]
    groups: Annotated[Mapping[str, tuple[Text, ...]], Field(min_length=1)]
    profiles: tuple[Text, ...] = ()
    min_impact_ratio: Rate = 0.8


Family = Literal[
    "harmful", "offensive", "near-misses", "leakage", "injection", "indirect-injection", "privacy", "sycophancy", "false-premise", "unanswerable",
    "paraphrases", "drift", "multi-turn", "hiring", "lending",
]  # fmt: skip
FAMILIES: tuple[Family, ...] = get_args(Family)


class Without(Part):
    """A family of inherited probes that does not apply to this assistant, and why: the reason stands in the charter for whoever asks."""

    family: Family
    reason: Annotated[str, Field(min_length=12)]


class Inherits(Part):
    """Every charter inherits all families of probes (docs/suites.md) but those named here."""

    without: tuple[Without, ...] = ()

    @property
    def families(self) -> tuple[Family, ...]:
        """What is inherited, in the order of `FAMILIES`."""
        left_out = {w.family for w in self.without}
        return tuple(f for f in FAMILIES if f not in left_out)


class GateRule(Part):
    """Upper bounds on failure rates (`caps`), allowed worsening (`margins`), both as fractions; power of the plan.
    `require`: what must be there for a PASS; `inherited` asks for the inherited probes, `fairness` that every `min_impact_ratio` is shown, not
    only that none is shown broken. `zero_tolerance`: clauses of which a single observed break is a FAIL. `caps.attack`: of the red team's
    success (default: that of harm)."""

    caps: Mapping[Measure | Literal["attack"], Rate] = {}
    margins: Mapping[Measure, Rate] = {}
    power: Annotated[float, Field(gt=0.0, lt=1.0, strict=True)] = 0.8
    require: tuple[Literal["suite", "inherited", "redteam", "fairness"], ...] = ("suite",)
    zero_tolerance: tuple[Identifier, ...] = ()


class Charter(Part):
    """The company's written rules for the assistant."""

    trueline: Literal[1]
    name: Text
    version: Text
    purpose: Text
    voice: tuple[Voice, ...] = ()
    scope: Scope
    knowledge: tuple[Knowledge, ...] = ()
    principles: tuple[Principle, ...] = ()
    high_stakes: tuple[HighStakes, ...] = ()
    fairness: tuple[Fairness, ...] = ()
    inherits: Inherits = Inherits()
    gate: GateRule = GateRule()

    def clauses(self) -> Iterator[Voice | Inside | Outside | Knowledge | Principle | HighStakes | Fairness]:
        """Every clause in the order of the file."""
        yield from self.voice
        yield from self.scope.inside
        yield self.scope.outside
        yield from self.knowledge
        yield from self.principles
        yield from self.high_stakes
        yield from self.fairness
