"""Whoever tries to break the gateway: odd requests, an upstream that talks nonsense, clients that go away, and every way round a hold."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from tests.gateway.scripted_upstream import Upstream
from tests.gateway.serving import ADVISER, PATIENCE, Gateway, gateway, guard, rule
from trueline.charter.compile.guarding import GuardRule
from trueline.core.chat import ChatRequest, ScriptedChat
from trueline.core.clock import FixedClock
from trueline.errors import StoreError
from trueline.guard.build import Guard
from trueline.guard.heads import Heads
from trueline.models.system import SystemChat
from trueline.store import exchanges, holds, log
from trueline.store.database import open_store
from trueline.store.exchanges import Exchange, State

SCRIPT: dict[str, Any] = {
    "escaped": {"tool_calls": [["find_branch", '{"city": "\\u0053TOLEN"}']]},
    "escaped key": {"tool_calls": [["find_branch", '{"\\u0053TOLEN": [{"x": 1}]}']]},
    "escaped hold": {"tool_calls": [["find_branch", '{"a": ["b", {"c": "IN\\u0056EST"}]}']]},
    "name": {"tool_calls": [["STOLEN", "{}"]]},
    "broken arguments": {"tool_calls": [["find_branch", '{"city": "Por']]},
    "ADVICE": "the secret draft of the advice",
    "drip": {"text": "One sentence. " * 40, "pause": 0.05},
    "ADVICE drip": {"text": "the secret draft " * 20, "pause": 0.05},
    "*": "Anything.",
}
TOOLS: Any = [{"type": "function", "function": {"name": "find_branch", "parameters": {"type": "object"}}}]


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream(dict(SCRIPT)) as u:
        yield u


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[Gateway]:
    with gateway(tmp_path_factory.mktemp("hostile"), upstream.url) as g:
        yield g


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """No test here may leave a traceback of the gateway's own in the log."""
    caplog.set_level(logging.DEBUG, "trueline.gateway")
    yield
    told = [r for r in caplog.records if r.name == "trueline.gateway" and r.exc_info and "something else" not in str(r.exc_info[1])]
    assert not told


def ask(g: Gateway, text: str, **more: Any) -> Any:
    return g.client().chat.completions.create(model="bank", messages=[{"role": "user", "content": text}], **more)


def until(found: Any) -> None:
    end = time.monotonic() + PATIENCE
    while not found():
        assert time.monotonic() < end
        time.sleep(0.05)


USER = '"messages": [{"role": "user", "content": "x"}]'


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ('{"seed": ' + "1" * 5000 + f", {USER}}}", "no JSON"),
        ('{"seed": ' + "9" * 40 + f", {USER}}}", "64 bits"),
        ("[" * 100_000, "no JSON"),
        ('{"messages": [{"role": "user", "content": "\\ud800"}]}', "half a character"),
        ('{"tools": [{"function": {"name": "\\udfff"}}], ' + USER + "}", "half a character"),
        ('{"tools": [{"a": NaN}], ' + USER + "}", "NaN"),
        ('{"temperature": Infinity, ' + USER + "}", "NaN"),
        ('{"messages": [{"role": "user", "content": "a\\u0000b"}]}', "NUL"),
        ('{"messages": [{"role": "assistant", "content": "", "tool_calls": 5}]}', "tool_calls"),
        ('{"messages": [{"role": "assistant", "content": "", "tool_calls": "x"}]}', "tool_calls"),
        ('{"messages": [{"role": "tool", "content": "x", "tool_call_id": {"a": 1}}]}', "tool_call_id"),
        ('{"messages": [{"role": "user", "content": [{"type": "text", "text": {"a": 1}}]}]}', "text"),
        ('{"stream": "true", ' + USER + "}", "stream"),
        ('{"max_tokens": 0, ' + USER + "}", "max_tokens"),
        ('{"max_completion_tokens": 0, "max_tokens": 9, ' + USER + "}", "max_tokens"),
        ('{"max_tokens": 1.5, ' + USER + "}", "max_tokens"),
        ('{"n": 2, ' + USER + "}", "n=2"),
        ('{"n": 2, "stream": true, ' + USER + "}", "n=2"),
    ],
)
def test_odd_requests_are_refused_in_words(running: Gateway, upstream: Upstream, body: str, says: str) -> None:
    before = len(upstream.asked)
    got = httpx.post(running.url + "/chat/completions", content=body.encode(), timeout=PATIENCE)
    assert (got.status_code, got.json()["error"]["type"]) == (400, "invalid_request_error")
    assert says in got.json()["error"]["message"]
    assert len(upstream.asked) == before


def test_a_backslash_of_the_text_itself_is_no_nul(running: Gateway) -> None:
    assert ask(running, "what does \\u0000 mean?").choices[0].message.content == "Anything."


@pytest.mark.parametrize("path", ["/v1/nothing", "/v1/responses", "/v1/chat/completions/"])
def test_unknown_addresses_answer_in_the_form_of_the_api(running: Gateway, path: str) -> None:
    got = httpx.post(running.url.removesuffix("/v1") + path, json={}, timeout=PATIENCE, follow_redirects=False)
    assert got.status_code in (404, 405, 307)
    assert got.status_code == 307 or got.json()["error"]["code"] == "not_found"
    with pytest.raises(openai.NotFoundError):
        running.client().responses.create(model="bank", input="x")


@pytest.mark.parametrize("text", ["escaped", "escaped key", "name"])
@pytest.mark.parametrize("stream", [False, True])
def test_tool_calls_are_judged_as_their_reader_decodes_them(running: Gateway, text: str, stream: bool) -> None:
    got = ask(running, text, tools=TOOLS, stream=stream)
    shown = json.dumps([c.model_dump() for c in got] if stream else got.model_dump())
    assert "TOLEN" not in shown
    assert "I will not help with that." in shown
    assert "content_filter" in shown


def test_a_guarded_argument_holds_the_call(tmp_path: Path, upstream: Upstream) -> None:
    with gateway(tmp_path, upstream.url, guard(may_hold_output=True), wait=0.1) as g:
        got = ask(g, "escaped hold", tools=TOOLS)
        assert (got.trueline["status"], got.choices[0].message.tool_calls) == ("held", None)
        assert holds.queue(g.store)[0].tool_calls[0].arguments == '{"a": ["b", {"c": "IN\\u0056EST"}]}'


@pytest.mark.parametrize("name", ["decide_loan", "Decide_loan", "functions.decide_loan", "decide_loan ", "other"])
def test_a_tool_that_was_not_offered_is_not_called(running: Gateway, upstream: Upstream, name: str) -> None:
    upstream.script["unoffered"] = {"tool_calls": [[name, '{"grant": true}']]}
    for stream in (False, True):
        for tools in (TOOLS, []):
            with pytest.raises(openai.APIError) as caught:
                got = ask(running, "unoffered", tools=tools, stream=stream)
                assert [c for c in got if c.choices[0].delta.tool_calls] == [] if stream else not got.choices[0].message.tool_calls
            assert "grant" not in str(caught.value)


def test_a_retry_finds_the_hold_of_its_own_user_only(tmp_path: Path, upstream: Upstream) -> None:
    with gateway(tmp_path, upstream.url, wait=0.1) as g:

        def again(user: str) -> str:
            more: Any = {"user": user, "extra_headers": {"x-stainless-retry-count": "1"}}
            return str(ask(g, "ADVICE", **more).id)

        first, other = again("maria"), again("peter")
        assert first != other
        assert again("maria") == first


def test_overdue_holds_are_refused_whatever_fails_meanwhile(tmp_path: Path, upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
    real, failed = holds.expire_due, []

    def shaky(store: Any) -> Any:
        if len(failed) < 2:
            failed.append(1)
            raise StoreError("the disk is away") if len(failed) == 1 else OverflowError("something else")
        return real(store)

    monkeypatch.setattr(holds, "expire_due", shaky)
    with gateway(tmp_path, upstream.url, rules={"advice": rule("advice", within=1)}, wait=0.0) as g:
        held = ask(g, "ADVICE")
        until(lambda: holds.get(g.store, held.trueline["review_id"]).state == "expired")
        assert len(failed) == 2


def test_broken_arguments_are_passed_on_as_they_are(running: Gateway) -> None:
    assert ask(running, "broken arguments", tools=TOOLS).choices[0].message.tool_calls[0].function.arguments == '{"city": "Por'


def test_a_client_that_leaves_a_stream_leaves_no_open_record(tmp_path: Path, upstream: Upstream) -> None:
    with gateway(tmp_path, upstream.url) as g:
        stream = ask(g, "drip", stream=True)
        assert next(iter(stream)).choices[0].delta.content
        assert states(g) == ["open"]
        stream.close()
        until(lambda: states(g) == ["failed"])
        assert ask(g, "hello").choices[0].message.content == "Anything."


def test_what_a_killed_gateway_left_open_is_closed_at_the_next_start(tmp_path: Path, upstream: Upstream) -> None:
    clock = FixedClock()
    store = open_store(tmp_path / "killed.db", clock=clock)
    for ident, later in (("chatcmpl-old", 0), ("chatcmpl-young", 3500)):
        clock.advance(later)
        e = Exchange(
            id=ident, created=store.now(), state="open", route="chat", key=None, model="bank", identity={}, charter="c" * 64, request=(),
            request_digest="d" * 64,
        )  # fmt: skip
        exchanges.record(store, e)
    clock.advance(200)
    with gateway(tmp_path, upstream.url, store=store) as g:
        until(lambda: [e.state for e in exchanges.latest(g.store)] == ["open", "failed"])
        assert log.verify(g.store).broken_at is None


def states(g: Gateway) -> list[State]:
    return [e.state for e in exchanges.latest(g.store)]


def test_a_client_that_leaves_while_its_answer_is_held_finds_it_later(tmp_path: Path, upstream: Upstream) -> None:
    with gateway(tmp_path, upstream.url) as g:
        stream = threading.Thread(target=lambda: give_up(g, "ADVICE drip"), daemon=True)
        stream.start()
        stream.join(PATIENCE)
        got = g.client().chat.completions.with_raw_response.create(
            model="bank", messages=[{"role": "user", "content": "ADVICE"}], extra_headers={"Prefer": "respond-async"}
        )
        assert got.status_code == 202
        assert "secret" not in got.text
        hold = holds.of_exchange(g.store, got.parse().id)
        assert hold is not None
        assert "secret" not in str(g.client().chat.completions.retrieve(hold.exchange))
        holds.decide(g.store, hold.id, ADVISER, "refuse", hold.content_hash)
        told = g.client().chat.completions.retrieve(hold.exchange)
        assert (told.choices[0].message.content, told.choices[0].finish_reason) == (holds.REFUSED, "content_filter")
        assert "secret" not in str(told)


def give_up(g: Gateway, text: str) -> None:
    body = {"model": "bank", "stream": True, "messages": [{"role": "user", "content": text}]}
    with httpx.stream("POST", g.url + "/chat/completions", json=body, timeout=PATIENCE) as got:
        assert "secret" not in next(got.iter_text())


class Raw(BaseHTTPRequestHandler):
    """An upstream that sends the bytes which the question names, or falls silent."""

    protocol_version = "HTTP/1.1"
    server: Any

    def log_message(self, *_: object) -> None:
        """Says nothing."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        raw: bytes = self.server.answers[body["messages"][-1]["content"]]
        self.send_response(200)
        self.send_header("content-type", "text/event-stream" if body.get("stream") else "application/json")
        self.send_header("content-length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)


def said(content: str, **more: object) -> bytes:
    return json.dumps({"choices": [{"message": {"content": content}, "finish_reason": "stop"}], **more}, ensure_ascii=False).encode()


def events(*deltas: str, end: str = "\n\n", **more: object) -> bytes:
    out = [json.dumps({"choices": [{"index": 0, "delta": {"content": d}, "finish_reason": None}]}, ensure_ascii=False) for d in deltas]
    out.append(json.dumps({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], **more}))
    return "".join(f"data: {o}{end}" for o in [*out, "[DONE]"]).encode()


HUGE = {"prompt_tokens": 10**20, "completion_tokens": -1}
WHOLE = {
    "good": (said("fine"), 200), "usage": (said("fine", usage=HUGE), 200), "half": (b'{"choices":[{"message":{"content":"fine\\ud800"}}]}', 200),
    "html": (b"<html>secret</html>", 502), "list": (b"[]", 502), "nothing": (b"", 502), "no choice": (b'{"choices":[]}', 502),
    "null": (b'{"choices":[{"message":null}]}', 502), "deep": (b"[" * 100_000, 502), "digits": (b'{"x":' + b"1" * 5000 + b"}", 502),
    "calls": (b'{"choices":[{"message":{"content":"fine","tool_calls":[7,{"function":3}]}}]}', 200),
}  # fmt: skip
STREAMS = {
    "lines": (events("fine\u2028\u0085", "\x0b."), 200), "crlf": (events("fine", end="\r\n\r\n"), 200), "usage": (events("fine", usage=HUGE), 200),
    "garbage": (b"data: {{{\n\n", 502), "list": (b"data: []\n\n", 502), "nothing": (b"", 502), "error": (b'data: {"error":{"message":"secret"}}\n\n', 502),
    "no end": (b'data: {"choices":[{"index":0,"delta":{"content":"fine"}}]}\n\n', 502),
}  # fmt: skip


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), Raw)
    server.daemon_threads = True
    server.answers = {f"whole {k}": v[0] for k, v in WHOLE.items()} | {f"stream {k}": v[0] for k, v in STREAMS.items()}
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    with gateway(tmp_path_factory.mktemp("odd"), f"http://127.0.0.1:{server.server_address[1]}/v1", heartbeat=PATIENCE) as g:
        yield g
    server.shutdown()


@pytest.mark.parametrize("name", [f"whole {k}" for k in WHOLE] + [f"stream {k}" for k in STREAMS])
def test_whatever_an_upstream_sends(odd: Gateway, name: str) -> None:
    kind, _, which = name.partition(" ")
    status = (WHOLE if kind == "whole" else STREAMS)[which][1]
    body = {"model": "bank", "stream": kind == "stream", "messages": [{"role": "user", "content": name}]}
    got = httpx.post(odd.url + "/chat/completions", json=body, timeout=2 * PATIENCE)
    assert got.status_code == status, got.text
    assert "secret" not in got.text
    assert ("fine" in got.text) == (status == 200)


@pytest.mark.parametrize("stolen", ["stolen goods", "st\u043elen\u200b  GOODS", "sto\u2060len\ngoods"])
def test_a_stream_of_any_cut_shows_nothing_of_what_is_stopped(tmp_path: Path, stolen: str) -> None:
    text = f"A word first. Then {stolen} and more."
    rules = (GuardRule("fraud", "refuse", "refuse", "I will not help with that.", ("stolen goods",), (), ()),)
    real = Guard(rules, Heads(None, {}, {}, {}, {}, ()))
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), Raw)
    cuts = (1, 2, 3, 5, 7, 100)
    server.daemon_threads = True
    server.answers = {str(n): events(*[text[i : i + n] for i in range(0, len(text), n)]) for n in cuts} | {"whole": said(text)}
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    with gateway(tmp_path, f"http://127.0.0.1:{server.server_address[1]}/v1", real) as g:
        for cut in cuts:
            chunks = list(ask(g, str(cut), stream=True))
            assert "".join(c.choices[0].delta.content or "" for c in chunks) == "A word first. Then I will not help with that."
            assert chunks[-1].choices[0].finish_reason == "content_filter"
        assert ask(g, "whole").choices[0].message.content == "I will not help with that."
    server.shutdown()


def test_what_people_do_not_see_reaches_neither_the_model_nor_the_client(tmp_path: Path) -> None:
    asked: list[str] = []

    def answer(request: ChatRequest) -> str:
        asked.append(request.messages[-1].content)
        return "fi\u200bne\U000e0041"

    model = SystemChat(ScriptedChat(answer), "prompt")
    with gateway(tmp_path, model, Guard((), Heads(None, {}, {}, {}, {}, ()))) as g:
        got = ask(g, "what\U000e0053\U000e0054 is\u202e this?")
        assert got.choices[0].message.content == "fine"
        assert "".join(c.choices[0].delta.content or "" for c in ask(g, "x\ufeff", stream=True)) == "fine"
        assert asked == ["what is this?", "x"]
        stored = exchanges.get(g.store, got.id)
        assert stored is not None
        assert stored.request[-1].content == "what\U000e0053\U000e0054 is\u202e this?"  # as it was sent: evidence
