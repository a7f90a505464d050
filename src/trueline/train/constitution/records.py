"""What Constitutional AI keeps of everything it asked: frozen, and as plain data for the files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from trueline.charter.digests import digest_of
from trueline.charter.turns import Message


@dataclass(frozen=True)
class RedTeamPrompt:
    """A conversation that invites a breach. `clause`: the principle that it is meant to break, None where nobody said."""

    messages: tuple[Message, ...]
    clause: str | None = None

    @cached_property
    def key(self) -> str:
        """Content address of the conversation."""
        return digest_of([m.to_dict() for m in self.messages])

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {"key": self.key, "messages": [m.to_dict() for m in self.messages], "clause": self.clause}


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model said. cut: it was stopped at its longest; refused: why the request was not taken ("" if it was); tokens as the
    model counts them (0 where it does not say)."""

    text: str
    cut: bool = False
    refused: str = ""
    input_tokens: int = 0
    output_tokens: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)

    @classmethod
    def from_dict(cls, row: Mapping[str, Any]) -> Answer:
        """Reads `to_dict`; further keys are passed over."""
        return cls(row["text"], row["cut"], row["refused"], row["input_tokens"], row["output_tokens"])


@dataclass(frozen=True, slots=True)
class Round:
    """One critique and revision: the principle's id, whether it is the prompt's own, both requests as they were asked (after the worked
    cases) and both answers."""

    principle: str
    own: bool
    critique_request: str
    critique: str
    revision_request: str
    revision: str
    cut: bool


@dataclass(frozen=True, slots=True)
class Chain:
    """A prompt, the first reply, and the rounds. `stopped`: why it ended early ("" if it did not)."""

    prompt: RedTeamPrompt
    reply: str
    rounds: tuple[Round, ...]
    stopped: str = ""

    @property
    def revision(self) -> str:
        """The last revision; empty where there is none."""
        return self.rounds[-1].revision if self.rounds else ""

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {"prompt": self.prompt.to_dict(), "reply": self.reply, "rounds": [asdict(r) for r in self.rounds], "stopped": self.stopped}


@dataclass(frozen=True, slots=True)
class Choice:
    """The answer to one (A)-or-(B) question. first: probability of (A), None where it could not be told (unscored); counted: answers or
    log-probabilities it rests on; unparsed: answers that were neither letter."""

    first: float | None
    counted: int
    unparsed: int = 0


@dataclass(frozen=True, slots=True)
class Pair:
    """Two sampled replies to one prompt, and the name of the model that wrote each."""

    prompt: RedTeamPrompt
    one: str
    two: str
    writers: tuple[str, str] = ("", "")


@dataclass(frozen=True, slots=True)
class Label:
    """The AI label of a pair: principle; both requests, (A) being `one` in the first and `two` in the second; thoughts before each answer
    (chain of thought); choices in both orders; p: probability that `one` is better, averaged over the orders and clamped where that was
    asked, None where an order is unscored; raw: p before the clamp."""

    pair: Pair
    principle: str
    own: bool
    requests: tuple[str, str]
    thoughts: tuple[str, str]
    choices: tuple[Choice, Choice]
    raw: float | None
    p: float | None

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "prompt": self.pair.prompt.to_dict(), "one": self.pair.one, "two": self.pair.two, "writers": list(self.pair.writers), "principle": self.principle, "own": self.own,
            "orders": ["one is (A)", "two is (A)"], "requests": list(self.requests), "thoughts": list(self.thoughts),
            "choices": [asdict(c) for c in self.choices], "raw": self.raw, "p": self.p,
        }  # fmt: skip
