"""The other ports: graders, rewards and white-box search. Who implements them does not matter to who calls them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from trueline.charter.probes import Probe
from trueline.charter.turns import Message
from trueline.core.chat import ChatReply
from trueline.core.records import Grade


@runtime_checkable
class Grader(Protocol):
    """Turns replies into grades. A grader that cannot tell says `unscored`, never a guess."""

    @property
    def name(self) -> str:
        """Its name, as it stands beside each grade."""

    def identity(self) -> Mapping[str, Any]:
        """JSON-able facts: version, weights digest, sensitivity and specificity where measured."""

    async def grade(self, probe: Probe, reply: ChatReply) -> Grade:
        """Grades one reply to one probe."""


@runtime_checkable
class Reward(Protocol):
    """Scores replies: higher is better. Used by reinforcement learning and best-of-n."""

    def score(self, conversations: Sequence[tuple[Message, ...]]) -> list[float]:
        """One score for each conversation (ending with the assistant's message)."""


@runtime_checkable
class GradientSearch(Protocol):
    """White-box search for a suffix that makes `target` likely; implemented in `engine`, called by red teaming."""

    def search(self, prompt: str, target: str, *, steps: int, seed: int) -> str:
        """The best suffix found within `steps`."""


@dataclass(slots=True)
class ScriptedGrader:
    """The fake of `Grader`: a function from the reply's text to a result."""

    judge: Callable[[Probe, str], Grade]
    name: str = "scripted"

    def identity(self) -> Mapping[str, Any]:
        """Its name."""
        return {"scripted": self.name}

    async def grade(self, probe: Probe, reply: ChatReply) -> Grade:
        """Asks the function."""
        return self.judge(probe, reply.text)
