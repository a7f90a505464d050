"""The fake of `ChatModel` is honest: it answers from its script and records what it was asked."""

import asyncio

from trueline.charter.turns import Message
from trueline.core.chat import ChatModel, ChatReply, ChatRequest, Sampling, ScriptedChat, StreamingChat


def ask(text: str, **sampling: float) -> ChatRequest:
    return ChatRequest((Message("user", text),), Sampling(**sampling))  # type: ignore[arg-type]


def test_scripts_of_every_kind() -> None:
    async def go() -> None:
        assert (await ScriptedChat({"a": "1", "*": "2"}).reply(ask("a"))).text == "1"
        assert (await ScriptedChat({"a": "1", "*": "2"}).reply(ask("z"))).text == "2"
        line = ScriptedChat(["x", "y"])
        assert [(await line.reply(ask("q"))).text for _ in range(3)] == ["x", "y", "y"]
        assert len(line.requests) == 3
        blocked = ScriptedChat(lambda r: ChatReply("no", blocked=True))
        assert (await blocked.reply(ask("q"))).blocked

    asyncio.run(go())


def test_stream_gives_the_same_text() -> None:
    async def go() -> list[str]:
        return [d.text async for d in ScriptedChat(["one two\nthree"]).stream(ask("q"))]

    assert "".join(asyncio.run(go())) == "one two\nthree"
    assert isinstance(ScriptedChat(["x"]), ChatModel)
    assert isinstance(ScriptedChat(["x"]), StreamingChat)


def test_digest_sees_everything_that_decides_the_reply() -> None:
    base = ask("q").digest()
    assert base == ask("q").digest()
    assert len({base, ask("p").digest(), ask("q", temperature=1.0).digest(), ask("q", seed=1).digest()}) == 4
