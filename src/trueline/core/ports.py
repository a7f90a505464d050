"""The other ports: graders, rewards and white-box search. Who implements them does not matter to who calls them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from trueline.charter.probes import Probe
from trueline.charter.turns import Message
from trueline.core.chat import ChatReply
from trueline.core.records import Grade
from trueline.errors import DataError


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


@dataclass(frozen=True, slots=True)
class SuffixFound:
    """What a gradient search found. `suffix` is appended to the last user turn exactly as it stands (`with_suffix`); `loss` its mean negative
    log-probability (nats) of a target token; `steps` how many were made; `forward_tokens` all tokens that were run, a backward pass counted
    as two runs; `losses` that of the suffix in hand before the first step and after each."""

    suffix: str
    loss: float
    steps: int
    forward_tokens: int
    losses: tuple[float, ...]


def with_suffix(messages: Sequence[Message], suffix: str) -> tuple[Message, ...]:
    """The conversation with `suffix` at the end of its last user turn, nothing put between. Raises `DataError` where no user speaks."""
    at = max((i for i, m in enumerate(messages) if m.role == "user"), default=None)
    if at is None:
        what = f"a suffix needs a user turn to stand in, got {', '.join(m.role for m in messages[:6]) or 'no message'}"
        raise DataError(what, remedy="give a conversation with a user's message")
    return (*messages[:at], replace(messages[at], content=messages[at].content + suffix), *messages[at + 1 :])


@runtime_checkable
class GradientSearch(Protocol):
    """White-box search for a suffix that makes `target` likely; implemented in `engine`, called by red teaming."""

    def search(
        self,
        messages: tuple[Message, ...],
        target: str,
        *,
        steps: int,
        seed: int,
        done: Callable[[str], bool] | None = None,
        state: Path | None = None,
    ) -> SuffixFound:
        """The best suffix for the last user turn of `messages` within `steps`, judged by the likelihood of `target`, the opening of a reply.
        `done(suffix)` says whether the real reply breaks already, which ends the search with that suffix. `state`: a file from which an
        interrupted search goes on, with the same result. Raises `ModelError` where the model cannot be searched."""


@dataclass(slots=True)
class ScriptedSearch:
    """The fake of `GradientSearch`: tries `suffixes` in order, one a step, the n-th with loss 1/n. `asked` records the targets."""

    suffixes: Sequence[str]
    asked: list[str] = field(default_factory=list)

    def search(
        self,
        messages: tuple[Message, ...],
        target: str,
        *,
        steps: int,
        seed: int,
        done: Callable[[str], bool] | None = None,
        state: Path | None = None,
    ) -> SuffixFound:
        """The first of the first `steps` suffixes for which `done` is true, else the last of them."""
        self.asked.append(target)
        tried = list(self.suffixes[:steps]) or [""]
        at = next((i for i, s in enumerate(tried, 1) if done is not None and done(s)), len(tried))
        return SuffixFound(tried[at - 1], 1 / at, at, 0, tuple(1 / n for n in range(1, at + 1)))


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
