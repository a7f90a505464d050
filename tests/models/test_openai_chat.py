"""The OpenAI-compatible adapter against a real HTTP server that misbehaves in every way seen in the field."""

import asyncio
import contextlib
import gc
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.models.scripted_server import Answer, ScriptedServer, chunk, completion
from trueline.charter.turns import Message, ToolCall
from trueline.core.chat import ChatDelta, ChatReply, ChatRequest, Sampling
from trueline.errors import ModelError, ModelUnavailable
from trueline.models.openai_chat import OpenAIChat
from trueline.models.wire import Wire

ASK = ChatRequest((Message("system", "Be brief."), Message("user", "Hello")), Sampling(max_tokens=9, seed=3))


def talk(server: ScriptedServer, act: Callable[[OpenAIChat], Awaitable[Any]], **options: Any) -> Any:
    async def go() -> Any:
        chat = OpenAIChat("m", f"{server.url}/v1", **options)
        try:
            return await act(chat)
        finally:
            await chat.close()

    return asyncio.run(go())


def one(answers: list[Answer], **options: Any) -> ChatReply:
    with ScriptedServer(answers) as server:
        return talk(server, lambda c: c.reply(ASK), **options)


def pieces(answers: list[Answer], **options: Any) -> list[ChatDelta]:
    async def gather(chat: OpenAIChat) -> list[ChatDelta]:
        return [d async for d in chat.stream(ASK)]

    with ScriptedServer(answers) as server:
        return talk(server, gather, **options)


def test_a_plain_reply_and_what_was_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-1")
    with ScriptedServer([completion("Hi.")]) as server:
        reply = talk(server, lambda c: c.reply(ASK))
        path, headers, body = server.asked[0]
    assert reply == ChatReply("Hi.", model="m-1", fingerprint="fp_7", input_tokens=3, output_tokens=2)
    assert path == "/v1/chat/completions"
    assert headers["authorization"] == "Bearer sk-secret-1"
    assert body["messages"] == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}]
    assert (body["max_tokens"], body["seed"], body["temperature"]) == (9, 3, 0.0)
    assert "stop" not in body
    assert "top_p" not in body


def test_the_key_never_stands_in_name_identity_or_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-1")
    refused = Answer({"error": {"message": "Incorrect API key provided: sk-secret-1"}}, 401)
    with ScriptedServer([refused]) as server, pytest.raises(ModelError) as caught:
        talk(server, lambda c: c.reply(ASK))
    assert "Incorrect API key provided: ***" in str(caught.value)
    chat = OpenAIChat("m", "http://x/v1")
    assert "sk-secret-1" not in f"{caught.value} {chat.name} {chat.identity()}"


KEY = "sk-secret-0123456789abcdef"


@pytest.mark.parametrize(
    "answer",
    [
        Answer({"error": {"message": f"{'x' * 140} {KEY}"}}, 401),
        Answer(f"{'x' * 140} {KEY}", 401),
        Answer({"error": {"message": "no", "code": f"bad {KEY}", "param": KEY}}, 401),
        Answer(f"<p>{'x' * 40} {KEY}"),
    ],
)
def test_no_part_of_the_key_is_left_where_a_message_is_cut(answer: Answer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Wire, "_wait", lambda *_: 0.0)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with pytest.raises(ModelError) as caught:
        one([answer])
    assert KEY[:8] not in f"{caught.value} {vars(caught.value)}"


@pytest.mark.parametrize(
    ("message", "reasoning"),
    [
        ({"reasoning_content": "I ponder"}, "I ponder"),
        ({"reasoning": "I ponder"}, "I ponder"),
        ({"content": "<think>I ponder</think>\n\nHi."}, "I ponder"),
        ({"content": [{"type": "text", "text": "Hi."}]}, ""),
    ],
)
def test_reasoning_is_split_off(message: dict[str, Any], reasoning: str) -> None:
    text = message.pop("content", "Hi.")
    reply = one([completion(text, **message)])
    assert (reply.text, reply.reasoning) == ("Hi.", reasoning)


def test_a_block_is_a_reply_whether_it_comes_as_finish_reason_or_as_an_error() -> None:
    first = one([completion("", "content_filter")])
    second = one([Answer({"error": {"code": "content_filter", "message": "filtered"}}, 400)])
    assert first.blocked
    assert second.blocked
    assert second.text == ""
    assert [d.finish_reason for d in pieces([Answer({"error": {"code": "content_filter"}}, 400)])] == ["content_filter"]


def test_tool_calls_keep_the_models_own_json() -> None:
    calls = [{"id": "c1", "type": "function", "function": {"name": "pay", "arguments": '{"to": 1 }'}}, {"junk": 1}]
    reply = one([completion("", "tool_calls", tool_calls=calls)])
    assert reply.tool_calls == (ToolCall("c1", "pay", '{"to": 1 }'),)


@pytest.mark.parametrize("status", [408, 409, 429, 500, 503, 529])
def test_transient_faults_are_asked_again(status: int) -> None:
    with ScriptedServer([Answer("busy", status, {"retry-after": "0.01"}), completion("Hi.")]) as server:
        assert talk(server, lambda c: c.reply(ASK)).text == "Hi."
        assert len(server.asked) == 2


def test_retry_after_holds_every_request_of_the_client_back() -> None:
    busy = Answer("slow down", 429, {"retry-after": "0.4"})

    async def both(chat: OpenAIChat) -> float:
        loop = asyncio.get_running_loop()
        first = asyncio.create_task(chat.reply(ASK))
        await asyncio.sleep(0.2)
        began = loop.time()
        await chat.reply(ASK)  # was told nothing itself
        waited = loop.time() - began
        await first
        return waited

    with ScriptedServer([busy, completion("Hi.")]) as server:
        assert talk(server, both) > 0.1


def test_it_gives_up_in_words() -> None:
    with ScriptedServer([Answer("down", 503, {"retry-after": "0"})]) as server, pytest.raises(ModelUnavailable, match="after 3 tries") as e:
        talk(server, lambda c: c.reply(ASK), tries=3)
    assert "HTTP 503" in str(e.value)
    assert e.value.exit_code == 69


def test_nobody_listens() -> None:
    with ScriptedServer([completion("x")]) as server:
        pass
    with pytest.raises(ModelUnavailable, match="no connection"):
        talk(server, lambda c: c.reply(ASK), tries=1)


def test_a_plain_no_is_not_asked_again() -> None:
    with ScriptedServer([Answer({"error": {"message": "no such model"}}, 404)]) as server:
        with pytest.raises(ModelError, match="no such model"):
            talk(server, lambda c: c.reply(ASK))
        assert len(server.asked) == 1


@pytest.mark.parametrize(
    "body",
    [
        "<html>hello</html>", "[]", "{}", {"choices": []}, {"choices": "no"}, {"choices": [None]}, {"choices": [{"message": None}]},
        {"choices": [{"message": "hi"}]}, {"error": {"message": "boom"}},
    ],
)  # fmt: skip
def test_malformed_answers_are_model_errors(body: Any) -> None:
    with pytest.raises(ModelError) as caught:
        one([Answer(body)], tries=1)
    assert "\n" not in str(caught.value)


def test_odd_usage_and_missing_fields_do_no_harm() -> None:
    reply = one([Answer({"choices": [{"message": {"content": None}}], "usage": [1]})])
    assert (reply.text, reply.input_tokens, reply.model) == ("", 0, "m")


def test_a_dialect_is_learnt_once_and_changes_no_meaning() -> None:
    told = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
    newer = Answer({"error": {"message": told, "param": "max_tokens", "code": "unsupported_parameter"}}, 400)
    seedless = Answer({"detail": "Extra inputs are not permitted: seed"}, 422)

    async def twice(chat: OpenAIChat) -> str:
        return (await chat.reply(ASK)).text + (await chat.reply(ASK)).text

    with ScriptedServer([newer, seedless, completion("Hi.")]) as server:
        assert talk(server, twice) == "Hi.Hi."
        bodies = [b for _, _, b in server.asked]
    assert len(bodies) == 4
    assert bodies[-1]["max_completion_tokens"] == 9
    assert not {"max_tokens", "seed"} & set(bodies[-1])


def test_a_setting_that_matters_is_never_dropped() -> None:
    told = Answer({"error": {"message": "Unsupported value: 'temperature' does not support 0", "param": "temperature"}}, 400)
    with pytest.raises(ModelError, match="--temperature 1"):
        one([told])


def test_a_stream_with_thought_tools_and_counts() -> None:
    events = [
        chunk(role="assistant"),
        chunk(content="<thi"), chunk(content="nk>hm"), chunk(content="m</th"), chunk(content="ink>\n\nHel"), chunk(content="lo"),
        chunk(tool_calls=[{"index": 1, "id": "b", "function": {"name": "g", "arguments": "{}"}}]),
        chunk(tool_calls=[{"index": 0, "id": "a", "function": {"name": "f", "arguments": '{"x"'}}]),
        chunk(tool_calls=[{"index": 0, "function": {"arguments": ": 1}"}}]),
        chunk("tool_calls"), {"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 4}}, None,
    ]  # fmt: skip
    got = pieces([Answer(events)])
    assert "".join(d.text for d in got) == "Hello"
    assert "".join(d.reasoning for d in got) == "hmm"
    assert got[-1].tool_calls == (ToolCall("a", "f", '{"x": 1}'), ToolCall("b", "g", "{}"))
    assert (got[-1].finish_reason, got[-1].input_tokens, got[-1].output_tokens) == ("tool_calls", 5, 4)


def test_a_stream_is_asked_again_before_it_began_and_never_after() -> None:
    good = Answer([chunk(content="Hi."), chunk("stop"), None])
    assert pieces([Answer("busy", 429, {"retry-after": "0.01"}), good])[0].text == "Hi."
    with ScriptedServer([Answer([chunk(content="Hi.")], cut=True), good]) as server:

        async def gather(chat: OpenAIChat) -> None:
            async for _ in chat.stream(ASK):
                pass

        with pytest.raises(ModelUnavailable, match="broke off"):
            talk(server, gather)
        assert len(server.asked) == 1


@pytest.mark.parametrize(
    "events",
    [
        [chunk(content="Hi."), None],
        [{"error": {"message": "x"}}],
        ["junk"],
        [chunk(content="x"), {"choices": 5}, None],
        [chunk(tool_calls=5)],
    ],
)
def test_a_stream_that_does_not_finish_is_an_error(events: list[Any]) -> None:
    with pytest.raises(ModelError):
        pieces([Answer(events)], tries=1)


@pytest.mark.parametrize("body", ["[" * 100_000, '{"choices": [{"message": {"content": "x"}}], "n": ' + "9" * 6000 + "}", "<html>", ""])
def test_an_answer_that_cannot_be_read_is_one_line(body: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trueline.models.wire.Wire._wait", _quick(Wire._wait))
    with pytest.raises(ModelError, match="no JSON") as caught:
        one([Answer(body)])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("wait", ["\u00b2", "soon", "inf", "nan", "-3", "Wed, 99 Foo 2026"])
def test_a_strange_retry_after_is_no_reason_to_fail(wait: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trueline.models.wire.Wire._wait", _quick(Wire._wait))
    assert one([Answer("slow down", 429, {"retry-after": wait}), completion("Hi.")]).text == "Hi."


def _quick(wait: Callable[..., float]) -> Callable[..., float]:
    """The wait is worked out as ever, and not sat out."""

    def shortened(*args: Any) -> float:
        assert 0 <= wait(*args) <= 60
        args[0]._not_before = 0.0
        return 0.001

    return shortened


@pytest.mark.parametrize("status", [500, 507, 520, 524, 529])
def test_every_server_error_that_may_pass_is_waited_out(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trueline.models.wire.Wire._wait", _quick(Wire._wait))
    assert one([Answer("<html>down</html>", status), completion("Hi.")]).text == "Hi."


def test_half_a_character_at_the_cut_of_a_reply_is_replaced() -> None:
    body = '{"choices": [{"finish_reason": "length", "message": {"content": "Sure \\ud83d"}}]}'
    assert one([Answer(body)]).text == "Sure \ufffd"
    whole = '{"choices": [{"finish_reason": "stop", "message": {"content": "Sure \\ud83d\\ude00"}}]}'
    assert one([Answer(whole)]).text == "Sure \U0001f600"


def test_an_error_sent_as_a_success_is_told() -> None:
    with pytest.raises(ModelError, match="no credits left"):
        one([Answer({"error": {"message": "no credits left", "code": 402}})])


@pytest.mark.parametrize(
    "choice",
    [
        {"finish_reason": "content_filter", "content_filter_results": {"hate": {"filtered": True}}},
        {"finish_reason": "content_filter", "message": None},
        {"finish_reason": "content_filter: SAFETY", "message": {"role": "assistant"}},
    ],
)
def test_a_filter_that_leaves_no_message_is_a_block(choice: dict[str, Any]) -> None:
    reply = one([Answer({"choices": [choice]})])
    assert (reply.text, reply.finish_reason, reply.blocked) == ("", "content_filter", True)


@pytest.mark.parametrize(
    "told",
    ["System role not supported", "Unsupported value: 'messages[0].role' does not support 'system' with this model.",
     "Conversation roles must alternate user/assistant/user/assistant/..."],
)  # fmt: skip
def test_a_server_without_a_system_role_gets_the_prompt_in_the_first_turn_and_says_so(told: str) -> None:
    async def twice(chat: OpenAIChat) -> tuple[ChatReply, ChatReply, tuple[str, ...]]:
        return await chat.reply(ASK), await chat.reply(ASK), chat.notes

    with ScriptedServer([Answer({"error": {"message": told}}, 400), completion("Hi.")]) as server:
        first, second, notes = talk(server, twice)
        sent = [body["messages"] for _, _, body in server.asked]
    assert (first.text, second.text) == ("Hi.", "Hi.")
    assert sent[1] == sent[2] == [{"role": "user", "content": "Be brief.\n\nHello"}], "learnt once, not asked wrongly again"
    assert "no system message" in notes[0]


def test_an_error_about_something_else_does_not_move_the_prompt() -> None:
    with pytest.raises(ModelError, match="context"), ScriptedServer([Answer({"error": {"message": "context too long"}}, 400)]) as server:
        talk(server, lambda c: c.reply(ASK))


def test_a_client_of_one_loop_after_the_other_leaves_no_session_open(caplog: pytest.LogCaptureFixture) -> None:
    gc.collect()  # what a test before it left is not this one's
    caplog.clear()
    with ScriptedServer([completion("Hi.")]) as server:
        chat = OpenAIChat("m", f"{server.url}/v1")
        for _ in range(3):
            assert asyncio.run(chat.reply(ASK)).text == "Hi."
        asyncio.run(chat.close())
        del chat
        gc.collect()
    assert "Unclosed" not in caplog.text


def test_a_stream_of_nothing_but_comments_ends() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            while True:
                writer.write(b": keepalive\n\n")
                await writer.drain()
                await asyncio.sleep(0.02)

    async def go() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        wire = Wire(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", {}, timeout=0.2)
        try:
            async with asyncio.timeout(5):
                async for _ in wire.events("/x", {}):
                    pass
        finally:
            await wire.close()
            server.close()

    with pytest.raises(ModelUnavailable, match=r"broke off the stream \(no data within 0\.2 s\)"):
        asyncio.run(go())
