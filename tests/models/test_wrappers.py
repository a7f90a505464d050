"""The wrappers round the port: cache by content, the system prompt, reasoning in streams however they are cut."""

import asyncio
import itertools
import sqlite3
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trueline.charter.turns import Message, ToolCall
from trueline.core.chat import ChatReply, ChatRequest, Sampling, ScriptedChat
from trueline.errors import DataError, ModelUnavailable
from trueline.models.cached import CachedChat
from trueline.models.patient import PatientChat
from trueline.models.reasoning import ReasoningSplitter, split_reasoning
from trueline.models.system import SystemChat
from trueline.models.wire import RateLimited

HI = ChatRequest((Message("user", "hi"),))


def test_a_cache_gives_back_the_very_reply_and_knows_models_apart(tmp_path: Path) -> None:
    rich = ChatReply("x\ud83d", "tool_calls", "why", (ToolCall("1", "f", "{}"),), "m", "fp", True, 3, 4)
    first = ScriptedChat(lambda _: rich, name="a")

    async def ask(model: ScriptedChat, request: ChatRequest = HI) -> tuple[ChatReply, int]:
        cached = CachedChat(model, tmp_path / "c.sqlite")
        try:
            return await cached.reply(request), cached.hits
        finally:
            await cached.close()

    assert asyncio.run(ask(first)) == (rich, 0)
    assert asyncio.run(ask(first)) == (rich, 1)
    assert len(first.requests) == 1
    other = ScriptedChat(["other"], name="b")
    assert asyncio.run(ask(other))[0].text == "other"
    assert asyncio.run(ask(first, ChatRequest(HI.messages, Sampling(seed=1))))[1] == 0


def test_errors_are_not_kept(tmp_path: Path) -> None:
    moods = iter([True, False])

    def script(_: ChatRequest) -> str:
        if next(moods):
            raise ModelUnavailable("away")
        return "back"

    async def go() -> str:
        cached = CachedChat(ScriptedChat(script), tmp_path / "c.sqlite")
        with pytest.raises(ModelUnavailable):
            await cached.reply(HI)
        reply = await cached.reply(HI)
        await cached.close()
        return reply.text

    assert asyncio.run(go()) == "back"


def test_a_damaged_cache_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "c.sqlite"
    path.write_bytes(b"this is no database, " * 60)
    with pytest.raises(DataError, match=r"c\.sqlite: the cache of replies cannot be used"):
        CachedChat(ScriptedChat([""]), path)
    path.unlink()

    async def go() -> None:
        cached = CachedChat(ScriptedChat(["x"]), path)
        await cached.reply(HI)
        cached.forget()
        with sqlite3.connect(path) as db:
            db.execute("UPDATE replies SET reply = '{}'")
        cached = CachedChat(ScriptedChat(["x"]), path)
        try:
            await cached.reply(HI)
        finally:
            await cached.close()

    with pytest.raises(DataError, match="cannot be used"):
        asyncio.run(go())


def test_the_systems_prompt_stands_first_and_is_added_to() -> None:
    inner = ScriptedChat(["ok"])
    shots = (Message("user", "q"), Message("assistant", "a"))
    system = SystemChat(inner, "Charter.", shots)
    asyncio.run(system.reply(ChatRequest((Message("system", "More."), Message("user", "hi")))))
    assert inner.requests[0].messages == (Message("system", "Charter.\n\nMore."), *shots, Message("user", "hi"))
    assert system.identity() != SystemChat(inner, "Charter!", shots).identity()
    asyncio.run(SystemChat(inner).reply(HI))
    assert inner.requests[1] == HI


PARTS = ("<think>", "</think>", "<thi", "nk>", "</", "<", ">", "a", " b\n", "<thinking>", "</thinking>", "é")


@given(st.lists(st.sampled_from(PARTS), max_size=9), st.lists(st.integers(0, 60), max_size=6))
def test_a_stream_splits_like_the_whole(parts: list[str], cuts: list[int]) -> None:
    text = "".join(parts)
    edges = [0, *sorted(min(c, len(text)) for c in cuts), len(text)]
    splitter = ReasoningSplitter()
    got = [splitter.feed(text[a:b]) for a, b in itertools.pairwise(edges)] + [splitter.finish()]
    shown, thought = "".join(s for s, _ in got), "".join(t for _, t in got)
    assert (shown.strip(), thought.strip()) == tuple(t.strip() for t in split_reasoning(text))


def test_a_reply_that_holds_nothing_is_not_kept(tmp_path: Path) -> None:
    """A server that answered nothing may have been mended since; a block is an answer."""
    said = iter([ChatReply(""), ChatReply("", "length", "hm"), ChatReply("", "content_filter", blocked=True)])

    async def go() -> list[bool]:
        cached = CachedChat(ScriptedChat(lambda _: next(said)), tmp_path / "c.sqlite")
        return [(await cached.reply(HI)).blocked for _ in range(4)]

    assert asyncio.run(go()) == [False, False, True, True]


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.time = 0.0

    async def sleep(self, seconds: float) -> None:
        self.time += seconds
        await asyncio.sleep(0)  # the others have their turn

    def now(self) -> float:
        return self.time


@pytest.mark.parametrize(("busy", "waited"), [(0, 0.0), (1, 0.5), (9, 60.0)])
def test_a_limited_rate_is_sat_out(busy: int, waited: float) -> None:
    clock, left = Clock(), iter(range(busy))

    def script(_: ChatRequest) -> str:
        if next(left, None) is not None:
            raise RateLimited("busy")
        return "there"

    patient = PatientChat(ScriptedChat(script), patience=1000, sleep=clock.sleep, now=clock.now)
    assert asyncio.run(patient.reply(HI)).text == "there"
    assert clock.time >= waited


def test_patience_ends_where_nobody_is_answered_and_goes_on_where_somebody_is() -> None:
    clock = Clock()

    def never(_: ChatRequest) -> str:
        raise RateLimited("busy")

    with pytest.raises(RateLimited):
        asyncio.run(PatientChat(ScriptedChat(never), patience=120, sleep=clock.sleep, now=clock.now).reply(HI))
    assert 120 < clock.time < 200

    clock, last = Clock(), ChatRequest((Message("user", "last"),))

    def others(request: ChatRequest) -> str:
        if request is last and clock.time < 500:
            raise RateLimited("busy")
        return "there"

    patient = PatientChat(ScriptedChat(others), patience=120, sleep=clock.sleep, now=clock.now)

    async def go() -> str:
        async def neighbour() -> None:
            while clock.time < 600:
                await patient.reply(HI)
                await asyncio.sleep(0)

        task = asyncio.create_task(neighbour())
        text = (await patient.reply(last)).text
        task.cancel()
        return text

    # the neighbour is answered all the time, so the last request waits longer than its patience
    assert asyncio.run(asyncio.wait_for(go(), 20)) == "there"
    assert clock.time >= 500


def test_other_errors_are_not_sat_out() -> None:
    clock = Clock()

    def away(_: ChatRequest) -> str:
        raise ModelUnavailable("away")

    with pytest.raises(ModelUnavailable):
        asyncio.run(PatientChat(ScriptedChat(away), sleep=clock.sleep, now=clock.now).reply(HI))
    assert clock.time == 0
