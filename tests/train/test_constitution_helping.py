"""The helpful rows by the model itself: as many as are wanted, what is unfit left out under its reason, nothing asked twice."""

import asyncio
from pathlib import Path

import pytest

from trueline.charter.turns import Message
from trueline.core.chat import ChatReply, ChatRequest, ScriptedChat
from trueline.train.constitution.asking import Asker, Journal
from trueline.train.constitution.estimating import replying_cost
from trueline.train.constitution.helping import Judge, OwnReply, counts, own_replies
from trueline.train.constitution.records import RedTeamPrompt
from trueline.train.constitution.revising import ReviseSettings

PROMPTS = [RedTeamPrompt((Message("user", f"What is fee {i}?"),)) for i in range(10)]


def said(request: ChatRequest) -> ChatReply:
    number = int(request.messages[-1].content.split()[-1].rstrip("?"))
    text = "" if number == 1 else f"It is {number} euros."
    return ChatReply(text, finish_reason="length" if number == 3 else "stop", blocked=number == 4)


async def no_twos(prompt: RedTeamPrompt, reply: str) -> str:
    return "the grader fails it" if "2" in reply else ""


def go(tmp_path: Path, wanted: int, judge: Judge | None = no_twos) -> tuple[list[OwnReply], ScriptedChat]:
    chat = ScriptedChat(said, "start")
    with Journal(tmp_path / "j.jsonl") as journal:
        return asyncio.run(own_replies(Asker(chat, journal), PROMPTS, wanted, judge, ReviseSettings(system="Be brief."))), chat


def test_it_asks_until_enough_are_fit(tmp_path: Path) -> None:
    # 3 wanted: 0, 1, 2 are asked, of which 0 is fit; then 3 and 4, none; then 5 and 6
    found, chat = go(tmp_path, 3)
    assert [r.dropped for r in found] == ["", "empty", "the grader fails it", "cut off at its longest", "a request was not taken", "", ""]
    assert counts(found) == {
        "of": 7, "kept": 3,
        "reasons": {"a request was not taken": 1, "cut off at its longest": 1, "empty": 1, "the grader fails it": 1},
    }  # fmt: skip
    assert all(r.messages[0] == Message("system", "Be brief.") for r in chat.requests)
    again, asked = go(tmp_path, 3)
    assert (again, len(asked.requests)) == (found, 0), "the second time all came from the journal"


@pytest.mark.parametrize(("wanted", "asked"), [(0, 0), (100, 10)])
def test_it_asks_nothing_that_is_not_needed_and_ends_where_none_is_left(tmp_path: Path, wanted: int, asked: int) -> None:
    found, chat = go(tmp_path, wanted)
    assert len(found) == len(chat.requests) == asked


def test_without_a_judge_nothing_is_graded(tmp_path: Path) -> None:
    assert [r.dropped for r in go(tmp_path, 2, None)[0]] == ["", "empty", ""]


def test_the_estimate_is_an_upper_bound(tmp_path: Path) -> None:
    found, chat = go(tmp_path, 100)
    cost = replying_cost([p.messages for p in PROMPTS], ReviseSettings(system="Be brief.", tokens=4), lambda t: len(t.split()))
    assert (cost.writer, cost.critic, cost.output_tokens) == (len(found), 0, 40)
    assert cost.input_tokens == sum(len(m.content.split()) for r in chat.requests for m in r.messages)
