"""Requests leave one by one as they are ready; grading waits for them, and for nothing once the last one is on its way."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from tests.evals.test_journal import GRADER, probes
from trueline.charter.probes import Probe
from trueline.core.chat import ChatReply, ChatRequest, Sampling
from trueline.core.records import Grade
from trueline.evals.runner import evaluate
from trueline.evals.suites import freeze

seen: list[str] = []


class Slow:
    """A model that needs turns of the event loop to send (as a client that connects) and answers `after` turns later, each one a bit later."""

    name = "slow"

    def __init__(self, after: int) -> None:
        self._after, self._asked = after, 0

    def identity(self) -> Mapping[str, Any]:
        """A name."""
        return {"slow": self._after}

    async def reply(self, request: ChatRequest) -> ChatReply:
        """Its turn."""
        me, self._asked = self._asked, self._asked + 1
        seen.append(f"made {me}")
        await asyncio.sleep(0)
        seen.append(f"sent {me}")
        for _ in range(self._after * (me + 1)):
            await asyncio.sleep(0)
        seen.append(f"came {me}")
        return ChatReply("a")

    async def close(self) -> None:
        """Nothing to free."""


class Noting:
    """A grader that notes when it begins."""

    name = GRADER.name

    def identity(self) -> Mapping[str, Any]:
        """A name."""
        return {"noting": 1}

    async def grade(self, probe: Probe, reply: ChatReply) -> Grade:
        """Passes."""
        seen.append("graded")
        return await GRADER.grade(probe, reply)


def order(n: int, concurrency: int, after: int) -> list[str]:
    seen.clear()
    suite = freeze(probes(n))
    found = asyncio.run(evaluate(Slow(after), suite, Noting(), charter="c", sampling=Sampling(), concurrency=concurrency))
    assert len(found.rows) == seen.count("graded") == n
    return list(seen)


def test_the_first_request_does_not_wait_for_the_last_of_its_burst() -> None:
    told = order(12, 12, 40)
    assert told.index("sent 0") < told.index("made 1")
    assert told.index("sent 10") < told.index("made 11")


def test_while_requests_are_to_be_sent_grading_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trueline.evals.runner.PAUSE", 0.2)  # seconds; the replies come within milliseconds
    told = order(40, 4, 1)
    assert "graded" not in told[: told.index("sent 39")]


def test_once_the_last_request_is_sent_replies_are_graded_as_they_come() -> None:
    told = order(12, 12, 40)
    assert told[: told.index("came 11")].count("graded") >= 9
