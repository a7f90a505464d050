"""The Anthropic adapter against a real HTTP server: translation both ways, thinking, refusals, streams."""

import asyncio
from typing import Any

import pytest

from tests.models.scripted_server import Answer, ScriptedServer
from trueline.charter.turns import Message, ToolCall
from trueline.core.chat import ChatDelta, ChatReply, ChatRequest, Sampling
from trueline.errors import ModelError
from trueline.models.anthropic_chat import AnthropicChat

TOOL = {"type": "function", "function": {"name": "pay", "description": "Pays.", "parameters": {"type": "object"}}}
ASK = ChatRequest(
    (
        Message("system", "Be brief."),
        Message("user", "Pay."),
        Message("assistant", "", (ToolCall("t1", "pay", '{"n": 1}'),)),
        Message("tool", "done", tool_call_id="t1"),
    ),
    Sampling(max_tokens=9, stop=("END",)),
    (TOOL,),
)


def talk(answer: Answer, *, stream: bool = False, url: str = "") -> tuple[Any, Any]:
    """(reply or deltas, the request that arrived)."""

    async def go(base: str) -> ChatReply | list[ChatDelta]:
        chat = AnthropicChat("claude", base + url, key="sk-ant-1", tries=1)
        try:
            return [d async for d in chat.stream(ASK)] if stream else await chat.reply(ASK)
        finally:
            await chat.close()

    with ScriptedServer([answer]) as server:
        return asyncio.run(go(server.url)), server.asked[0]


def test_reply_and_translation() -> None:
    blocks = [
        {"type": "thinking", "thinking": "hm"},
        {"type": "text", "text": "Done."},
        {"type": "tool_use", "id": "t2", "name": "pay", "input": {"n": 2}},
    ]
    body = {"model": "claude-1", "content": blocks, "stop_reason": "tool_use", "usage": {"input_tokens": 4, "output_tokens": 6}}
    reply, (path, headers, sent) = talk(Answer(body), url="/v1")
    assert path == "/v1/messages"
    assert headers["x-api-key"] == "sk-ant-1"
    assert (reply.text, reply.reasoning, reply.finish_reason) == ("Done.", "hm", "tool_calls")
    assert reply.tool_calls == (ToolCall("t2", "pay", '{"n":2}'),)
    assert (reply.input_tokens, reply.output_tokens) == (4, 6)
    assert sent["system"] == "Be brief."
    assert sent["stop_sequences"] == ["END"]
    assert sent["tools"] == [{"name": "pay", "description": "Pays.", "input_schema": {"type": "object"}}]
    assert sent["messages"] == [
        {"role": "user", "content": "Pay."},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "pay", "input": {"n": 1}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "done"}]},
    ]


def test_a_refusal_is_a_block() -> None:
    reply, _ = talk(Answer({"content": [], "stop_reason": "refusal"}))
    assert reply.blocked
    assert reply.finish_reason == "content_filter"


@pytest.mark.parametrize("body", ["oops", {}, {"content": "text"}, {"type": "error", "error": {"message": "x"}}])
def test_malformed_answers_are_model_errors(body: Any) -> None:
    with pytest.raises(ModelError):
        talk(Answer(body))


def test_a_stream() -> None:
    events = [
        {"type": "message_start", "message": {"usage": {"input_tokens": 4}}},
        {"type": "ping"},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "hm"}},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "Do"}},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "ne."}},
        {"type": "content_block_start", "index": 2, "content_block": {"type": "tool_use", "id": "t2", "name": "pay"}},
        {"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": '{"n"'}},
        {"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": ": 2}"}},
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 6}},
        {"type": "message_stop"},
    ]
    got, _ = talk(Answer(events), stream=True)
    assert "".join(d.text for d in got) == "Done."
    assert "".join(d.reasoning for d in got) == "hm"
    last = got[-1]
    assert last.tool_calls == (ToolCall("t2", "pay", '{"n": 2}'),)
    assert (last.finish_reason, last.input_tokens, last.output_tokens) == ("tool_calls", 4, 6)


@pytest.mark.parametrize("events", [[{"type": "message_stop"}], [{"type": "error", "error": {}}]])
def test_a_stream_without_an_end_is_an_error(events: list[Any]) -> None:
    with pytest.raises(ModelError):
        talk(Answer(events), stream=True)


@pytest.mark.parametrize("stream", [False, True])
def test_a_block_that_comes_as_an_error_is_a_reply_that_says_blocked(stream: bool) -> None:
    told = {"type": "error", "error": {"type": "invalid_request_error", "message": "Output blocked by content filtering policy"}}
    found, _ = talk(Answer(told, 400), stream=stream)
    if stream:
        assert [d.finish_reason for d in found] == ["content_filter"]
    else:
        assert (found.text, found.blocked, found.finish_reason) == ("", True, "content_filter")


def test_another_refused_request_stays_an_error() -> None:
    with pytest.raises(ModelError, match="too long"):
        talk(Answer({"error": {"type": "invalid_request_error", "message": "prompt is too long"}}, 400))
