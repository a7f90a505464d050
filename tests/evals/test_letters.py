"""Confidence by letters: by hand, with every option at every letter, over HTTP, and after a kill."""

import asyncio
import json
import math
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.scripted_upstream import Upstream
from tests.models.scripted_server import Answer, ScriptedServer
from trueline.charter.parse import load_charter
from trueline.charter.shipped import charter_path
from trueline.charter.turns import Message
from trueline.cli.calibration import KEPT, measured
from trueline.cli.project import Project
from trueline.core.chat import ChatReply, ChatRequest
from trueline.errors import ModelError, TargetError
from trueline.evals.budget import BudgetSpent, Caps
from trueline.evals.calibration import Question, questions
from trueline.evals.letters import ASKED, chosen, lettered, on_letters
from trueline.evals.pacing import Limits
from trueline.models.openai_chat import OpenAIChat
from trueline.models.system import SystemChat

LOADED = load_charter(charter_path("bundled:harbor_bank"))
QUESTION = Question("k", (Message("user", "How long?"),), ("one day", "two days", "ten days"))


class Knows:
    """Gives `p` to the letter that stands before `text`, the rest to a word; `first` more to the letter A whatever stands there."""

    name = "knows"

    def __init__(self, text: str, p: float, first: float = 0.0) -> None:
        self.text, self.p, self.first = text, p, first

    def identity(self) -> Mapping[str, Any]:
        return {}

    async def reply(self, request: ChatRequest) -> ChatReply:
        return ChatReply("")

    async def first_token(self, request: ChatRequest) -> Mapping[str, float]:
        letters = {row[0]: row[3:] for row in request.messages[-1].content.splitlines() if row[1:3] == ") "}
        weights = {k: (self.p if v == self.text else (1 - self.p) / (len(letters) - 1)) * (1 - self.first) for k, v in letters.items()}
        weights["A"] += self.first
        return {f" {k}": math.log(w) for k, w in weights.items() if w}

    async def close(self) -> None:
        pass


def ask(url: str, act: Callable[[OpenAIChat], Coroutine[Any, Any, Any]]) -> Any:
    async def go() -> Any:
        model = OpenAIChat("m", url)
        try:
            return await act(model)
        finally:
            await model.close()

    return asyncio.run(go())


def test_every_option_stands_at_every_letter() -> None:
    seen = [lettered(QUESTION, t)[0].content for t in range(3)]
    assert seen[0] == f"How long?\n\nA) one day\nB) two days\nC) ten days\n\n{ASKED}"
    assert {s.splitlines()[2] for s in seen} == {"A) one day", "A) two days", "A) ten days"}


def test_tokens_that_are_a_letter() -> None:
    found = on_letters({"A": math.log(0.5), " A": math.log(0.1), "(B": math.log(0.2), "An": math.log(0.1), "D": math.log(0.1)}, 3)
    assert found == pytest.approx([0.6, 0.2, 0.0])


@pytest.mark.parametrize("p", [0.9, 0.4])
def test_what_it_knows_is_found_wherever_it_stands(p: float) -> None:
    assert asyncio.run(chosen(Knows("two days", p), QUESTION)) == pytest.approx([(1 - p) / 2, p, (1 - p) / 2])


def test_a_liking_for_a_letter_falls_out() -> None:
    only = asyncio.run(chosen(Knows("two days", 1 / 3, first=0.8), QUESTION))
    assert only == pytest.approx([1 / 3] * 3)


def test_a_model_that_would_not_answer_with_a_letter_is_not_read() -> None:
    with Upstream({"*": {"text": "It is", "begins": {"It": 0.8, "A": 0.1, "B": 0.1}}}) as up:
        assert ask(up.url, lambda m: chosen(m, QUESTION)) is None


def test_a_served_model_is_measured_behind_its_prompt_and_asked_nothing_twice(tmp_path: Path) -> None:
    n = len(questions(LOADED.charter))
    with Upstream({"*": {"text": "A", "begins": {"A": 0.7, " B": 0.2, "The": 0.1}}}) as up:
        model = SystemChat(OpenAIChat("m", up.url), "the prompt")
        found = measured(Project(LOADED, ()), model, tmp_path)["calibration"]
        assert (found["form"], found["n"], found["unread"]) == ("letters", n, 0)
        assert found["confidence"] == pytest.approx(
            sum(1 / len(q.options) for q in questions(LOADED.charter)) / n
        )  # it likes A, and knows nothing
        assert found["accuracy"] == 0.0
        asked = up.asked
        assert {(b["max_tokens"], b["logprobs"], b["top_logprobs"], b["messages"][0]["content"]) for b in asked} == {
            (1, True, 20, "the prompt")
        }
        kept = (tmp_path / KEPT).read_text()
        (tmp_path / KEPT).write_text(kept[:-20])  # torn by a kill
        again = SystemChat(OpenAIChat("m", up.url), "the prompt")
        assert measured(Project(LOADED, ()), again, tmp_path)["calibration"] == found
        assert len(up.asked) - len(asked) == len(json.loads(kept.splitlines()[-1])["p"])  # the torn one alone


def test_a_server_that_names_none_is_said_so(tmp_path: Path) -> None:
    with Upstream({"*": "A"}) as up, pytest.raises(ModelError, match="names no log-probabilities"):
        measured(Project(LOADED, ()), SystemChat(OpenAIChat("m", up.url)), tmp_path)
    with Upstream({"*": {"text": "No", "begins": {"No": 1.0}}}) as up, pytest.raises(TargetError, match="with a letter"):
        measured(Project(LOADED, ()), SystemChat(OpenAIChat("m", up.url)), tmp_path)


def test_what_is_stopped_or_empty_is_not_read(tmp_path: Path) -> None:
    """One question that a filter stops must not take the suite with it."""
    stopped = {"choices": [{"message": {}, "finish_reason": "content_filter"}]}
    empty = {"choices": [{"message": {"content": ""}, "finish_reason": "stop", "logprobs": {"content": []}}]}
    for answer in (Answer(stopped), Answer(empty), Answer({"error": {"code": "content_filter", "message": "blocked"}}, status=400)):
        with ScriptedServer([answer]) as server:
            assert ask(f"{server.url}/v1", lambda m: chosen(m, QUESTION)) is None
    refused = Answer({"error": {"message": "logprobs are not supported with this model"}}, status=400)
    with ScriptedServer([refused]) as server, pytest.raises(ModelError, match="leave --calibration out"):
        ask(f"{server.url}/v1", lambda m: chosen(m, QUESTION))


@pytest.mark.parametrize("log", [10**400, "1", True, float("nan"), 5.0])
def test_what_is_no_log_probability_is_left_out(log: object) -> None:
    top = [{"token": "A", "logprob": log}, {"token": "B", "logprob": 1e-7}]
    answer = {
        "choices": [{"message": {"content": "B"}, "finish_reason": "stop", "logprobs": {"content": [{"token": "B", "top_logprobs": top}]}}]
    }
    with ScriptedServer([Answer(answer)]) as server:
        found = ask(f"{server.url}/v1", lambda m: m.first_token(ChatRequest(QUESTION.messages)))
    assert found == {"B": 0.0}  # rounded above 0: a certainty


def test_calibration_keeps_to_the_limits(tmp_path: Path) -> None:
    with Upstream({"*": {"text": "A", "begins": {"A": 1.0}}}) as up:
        model = SystemChat(OpenAIChat("m", up.url))
        with pytest.raises(BudgetSpent):
            measured(Project(LOADED, ()), model, tmp_path, Limits(4, caps=Caps(requests=10)))
        assert len(up.asked) == 10
