"""Calibration by log-probabilities: by hand, and on a scripted model that says how likely each answer is."""

import asyncio
import math
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from trueline.charter.parse import load_charter
from trueline.charter.shipped import charter_path
from trueline.charter.turns import Message
from trueline.core.chat import ChatReply, ChatRequest, ScriptedChat
from trueline.errors import DataError, ModelError
from trueline.evals.calibration import calibrated, questions, scored
from trueline.models.system import SystemChat

CHARTER = load_charter(charter_path("bundled:harbor_bank")).charter


class Sure:
    """Gives the first option the probability `p`, the others the rest."""

    name = "sure"

    def __init__(self, p: float) -> None:
        self.p = p
        self.seen: list[Sequence[Message]] = []

    def identity(self) -> Mapping[str, Any]:
        return {}

    async def reply(self, request: ChatRequest) -> ChatReply:
        return ChatReply("")

    async def score(self, messages: Sequence[Message], options: Sequence[str]) -> tuple[float, ...]:
        self.seen.append(messages)
        return tuple(math.log(self.p if i == 0 else (1 - self.p) / (len(options) - 1)) - 50 for i in range(len(options)))

    async def close(self) -> None:
        pass


def test_only_the_fact_differs_between_the_options() -> None:
    asked = questions(CHARTER)
    assert len({q.clause for q in asked}) >= 15
    for q in asked:
        item = next(k for k in CHARTER.knowledge if k.id == q.clause)
        assert [any(e.lower() in o.lower() for e in item.expected) for o in q.options] == [True] + [False] * (len(q.options) - 1)


def test_ece_by_hand() -> None:
    # ten questions at confidence 0.8 of which 5 are right: |0.5 - 0.8| = 0.3 in one bin
    rows = [(0.8, 0.2)] * 5 + [(0.2, 0.8)] * 5
    found = calibrated(rows, bins=1)
    assert found.ece == pytest.approx(0.3)
    assert (found.n, found.accuracy, found.confidence) == (10, 0.5, pytest.approx(0.8))
    assert found.floor == pytest.approx(math.sqrt(2 * 1 * 0.25 / (math.pi * 10)))
    with pytest.raises(DataError, match="insufficient"):
        calibrated([])


def test_a_model_behind_its_prompt_is_scored_and_one_without_probabilities_is_not() -> None:
    model = Sure(0.9)
    behind = SystemChat(model, "the prompt")
    found = asyncio.run(scored(behind, questions(CHARTER)[:4]))
    assert all(p[0] == pytest.approx(0.9) and sum(p) == pytest.approx(1) for p in found)
    assert model.seen[0][0] == Message("system", "the prompt")
    assert calibrated(found, 1).ece == pytest.approx(0.1)
    with pytest.raises(ModelError, match="log-probabilities"):
        asyncio.run(scored(SystemChat(ScriptedChat({"*": "x"}), "p"), questions(CHARTER)[:1]))


def test_a_tie_is_no_preference_for_the_right_option() -> None:
    found = calibrated([(0.5, 0.5), (0.25, 0.25, 0.25, 0.25)], bins=1)
    assert found.accuracy == 0.0
    assert calibrated([(0.6, 0.4), (0.5, 0.5)], bins=1).accuracy == 0.5
