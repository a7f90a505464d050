"""Held replies through the official client: nothing before the decision, exactly what was released after it, and never a release by timeout."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import httpx
import pytest

from tests.gateway.scripted_upstream import Upstream
from tests.gateway.serving import ADVISER, OFFICER, PATIENCE, RULES, Gateway, Reviewer, gateway, guard, rule
from trueline.store import exchanges, holds, keys, log
from trueline.store.database import open_store

DRAFT = "My draft suggests buying nothing today."
SCRIPT = {
    "ADVICE please": DRAFT,
    "sneaky": "Of course. You should INVEST in gold.",
    "decide": {"text": "Deciding.", "tool_calls": [["decide_loan", '{"grant": true}']]},
    "look up": {"tool_calls": [["find_branch", '{"city": "Porto"}']]},
    "steal": {"tool_calls": [["find_branch", '{"city": "STOLEN"}']]},
    "*": "Anything.",
}
TOOLS: Any = [{"type": "function", "function": {"name": n, "parameters": {"type": "object"}}} for n in ("decide_loan", "find_branch")]
NEUTRAL = RULES["advice"].reply


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream(dict(SCRIPT)) as u:
        yield u


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[Gateway]:
    with gateway(tmp_path_factory.mktemp("holds"), upstream.url, guard(may_hold_output=True), heartbeat=0.2) as g:
        yield g


@pytest.fixture
def running(shared: Gateway) -> Iterator[Gateway]:
    """The shared gateway; what a test leaves undecided is refused after it."""
    yield shared
    for hold in holds.queue(shared.store):
        holds.decide(shared.store, hold.id, Reviewer("sweep", hold.by), "refuse", hold.content_hash)


def messages(text: str) -> Any:
    return [{"role": "user", "content": text}]


def ask(g: Gateway, text: str, **more: Any) -> Any:
    client = more.pop("client", None) or g.client()
    return client.chat.completions.create(model="bank", messages=messages(text), **more)


def in_background(call: Any, *args: Any, **kwargs: Any) -> Any:
    return ThreadPoolExecutor(1).submit(call, *args, **kwargs)


def test_approved_while_waiting(running: Gateway) -> None:
    waiting = in_background(ask, running, "ADVICE please")
    hold = running.held()
    assert (hold.draft, hold.clause, hold.by) == (DRAFT, "advice", ("licensed-adviser",))
    holds.decide(running.store, hold.id, ADVISER, "approve", hold.content_hash)
    got = waiting.result(PATIENCE)
    assert (got.choices[0].message.content, got.choices[0].finish_reason) == (DRAFT, "stop")
    assert got.trueline["decision"] == "approved"
    assert got.id == hold.exchange


def test_edited_while_waiting(running: Gateway) -> None:
    waiting = in_background(ask, running, "ADVICE please")
    hold = running.held()
    holds.decide(running.store, hold.id, ADVISER, "edit", hold.content_hash, text="Come and see me.")
    got = waiting.result(PATIENCE)
    assert got.choices[0].message.content == "Come and see me."
    assert got.trueline["decision"] == "edited"


@pytest.mark.parametrize("words", [None, "I must not answer this one."])
def test_refused_while_waiting(running: Gateway, words: str | None) -> None:
    waiting = in_background(ask, running, "ADVICE please")
    hold = running.held()
    holds.decide(running.store, hold.id, ADVISER, "refuse", hold.content_hash, text=words)
    got = waiting.result(PATIENCE)
    assert (got.choices[0].message.content, got.choices[0].finish_reason) == (words or holds.REFUSED, "content_filter")


def test_expired_is_refused(tmp_path: Path, upstream: Upstream) -> None:
    rules = {**RULES, "advice": rule("advice", within=1)}
    with gateway(tmp_path, upstream.url, rules=rules) as g:
        got = ask(g, "ADVICE please")
        assert (got.choices[0].message.content, got.choices[0].finish_reason) == (holds.EXPIRED, "content_filter")
        assert got.trueline["decision"] == "expired"
        assert [e.kind for e in log.entries(g.store, subject=got.trueline["review_id"])] == ["hold.created", "hold.expired"]


def test_held_past_the_wait_then_polled(tmp_path: Path, upstream: Upstream) -> None:
    with gateway(tmp_path, upstream.url, wait=0.2) as g:
        raw = g.client().chat.completions.with_raw_response.create(model="bank", messages=messages("ADVICE please"))
        got: Any = raw.parse()
        assert raw.status_code == 200
        assert (got.choices[0].message.content, got.choices[0].finish_reason) == (NEUTRAL, "content_filter")
        assert got.trueline["status"] == "held"
        assert raw.headers["location"] == f"/v1/chat/completions/{got.id}"
        assert int(raw.headers["retry-after"]) > 0
        assert DRAFT not in raw.text
        assert got.usage.completion_tokens == 0
        again: Any = g.client().chat.completions.retrieve(got.id)
        assert again.trueline["status"] == "held"
        hold = g.held()
        assert (got.trueline["review_id"], got.trueline["expires"]) == (hold.id, hold.expires)
        holds.decide(g.store, hold.id, ADVISER, "approve", hold.content_hash)
        done: Any = g.client().chat.completions.retrieve(got.id)
        assert (done.choices[0].message.content, done.choices[0].finish_reason, done.trueline["status"]) == (DRAFT, "stop", "completed")


def test_respond_async(running: Gateway) -> None:
    raw = running.client().chat.completions.with_raw_response.create(
        model="bank", messages=messages("ADVICE please"), extra_headers={"Prefer": "respond-async"}
    )
    assert raw.status_code == 202
    assert raw.headers["location"] == f"/v1/chat/completions/{raw.parse().id}"
    plain = running.client().chat.completions.with_raw_response.create(
        model="bank", messages=messages("hello"), extra_headers={"Prefer": "respond-async"}
    )
    assert plain.status_code == 200


def raw_stream(url: str, text: str, path: str = "/v1/chat/completions") -> tuple[socket.socket, bytearray, threading.Thread]:
    """A stream on a bare socket, and every byte that came so far."""
    place = urlparse(url)
    body = json.dumps({"model": "bank", "stream": True, "messages": messages(text)}).encode()
    s = socket.create_connection((str(place.hostname), place.port or 80))
    s.sendall(f"POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)
    got = bytearray()

    def read() -> None:
        while part := s.recv(65536):
            got.extend(part)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    return s, got, thread


@pytest.mark.parametrize(("text", "secret"), [("ADVICE please", DRAFT), ("sneaky", "You should INVEST in gold.")])
def test_stream_shows_no_byte_of_the_draft_before_the_decision(running: Gateway, text: str, secret: str) -> None:
    s, got, thread = raw_stream(running.url, text)
    hold = running.held()
    until = time.monotonic() + PATIENCE  # several heartbeats
    while got.count(b": waiting") < 3 or f": held {hold.id}".encode() not in got:
        assert time.monotonic() < until, bytes(got)
        time.sleep(0.05)
    before = bytes(got)
    body = before.decode().split("\r\n\r\n", 1)[1]
    told = f": held {hold.id} until {hold.expires}, ask again at /v1/chat/completions/{hold.exchange}"
    # chunk sizes of HTTP/1.1, our two comments, and nothing else: whatever the draft says, none of it can be among these bytes
    assert {line.strip() for line in body.splitlines() if not re.fullmatch(r"[0-9a-f]*", line.strip())} <= {told, ": waiting"}
    holds.decide(running.store, hold.id, ADVISER, "edit", hold.content_hash, text="Released by Ada.")
    thread.join(PATIENCE)
    after = bytes(got).decode()
    assert "Released by Ada." in after
    assert after.count("[DONE]") == 1
    assert not [word for word in secret.split() if len(word) > 5 and word in after]
    s.close()


def test_stream_held_past_the_wait(tmp_path: Path, upstream: Upstream) -> None:
    with gateway(tmp_path, upstream.url, wait=0.3) as g:
        chunks = list(ask(g, "ADVICE please", stream=True))
        assert "".join(c.choices[0].delta.content or "" for c in chunks) == NEUTRAL
        assert chunks[-1].choices[0].finish_reason == "content_filter"
        assert chunks[-1].trueline["status"] == "held"


def test_tool_calls_are_held_the_same_way(running: Gateway) -> None:
    for stream in (False, True):
        waiting = in_background(
            lambda stream: list(ask(running, "decide", tools=TOOLS, stream=True)) if stream else ask(running, "decide", tools=TOOLS), stream
        )
        hold = running.held()
        assert hold.clause == "loans"
        assert [(c.name, c.arguments) for c in hold.tool_calls] == [("decide_loan", '{"grant": true}')]
        with pytest.raises(holds.HoldForbidden):
            holds.decide(running.store, hold.id, ADVISER, "approve", hold.content_hash)
        holds.decide(running.store, hold.id, OFFICER, "approve", hold.content_hash)
        got = waiting.result(PATIENCE)
        if stream:
            call = next(c.choices[0].delta.tool_calls[0] for c in got if c.choices[0].delta.tool_calls)
            assert got[-1].choices[0].finish_reason == "tool_calls"
        else:
            call = got.choices[0].message.tool_calls[0]
            assert got.choices[0].finish_reason == "tool_calls"
        assert (call.function.name, call.function.arguments) == ("decide_loan", '{"grant": true}')


def test_other_tools_pass_and_their_arguments_are_checked(running: Gateway) -> None:
    got = ask(running, "look up", tools=TOOLS)
    assert got.choices[0].message.tool_calls[0].function.arguments == '{"city": "Porto"}'
    caught = ask(running, "steal", tools=TOOLS)
    assert caught.choices[0].message.tool_calls is None
    assert caught.choices[0].message.content == "I will not help with that."


def test_always_held_on_a_key_and_on_a_route(running: Gateway) -> None:
    secret = keys.new_secret()
    keys.put(running.store, "branch", secret, wait=0.1)
    by_key = ask(running, "hello", client=running.client(secret))
    assert by_key.trueline["status"] == "held"  # the key's own wait is short
    hold = running.held()
    assert (hold.clause, hold.draft) == ("loans", "Anything.")
    holds.decide(running.store, hold.id, OFFICER, "approve", hold.content_hash)
    waiting = in_background(ask, running, "hello", client=running.client(route="lending"))
    by_route = running.held()
    assert by_route.clause == "loans"
    holds.decide(running.store, by_route.id, OFFICER, "approve", by_route.content_hash)
    assert waiting.result(PATIENCE).choices[0].message.content == "Anything."
    assert ask(running, "hello").trueline["action"] == "allow"


def test_a_client_that_retries_finds_its_hold_again(running: Gateway) -> None:
    first = httpx.Client()
    body = {"model": "bank", "messages": messages("ADVICE please")}
    with pytest.raises(httpx.ReadTimeout):
        first.post(running.url + "/chat/completions", json=body, timeout=httpx.Timeout(PATIENCE, read=0.5))
    hold = running.held()
    waiting = in_background(
        httpx.post, running.url + "/chat/completions", json=body, headers={"x-stainless-retry-count": "1"}, timeout=PATIENCE
    )
    time.sleep(0.3)
    assert [h.id for h in holds.queue(running.store)] == [hold.id]
    holds.decide(running.store, hold.id, ADVISER, "approve", hold.content_hash)
    assert waiting.result(PATIENCE).json()["choices"][0]["message"]["content"] == DRAFT
    late = httpx.post(running.url + "/chat/completions", json=body, headers={"x-stainless-retry-count": "2"}, timeout=PATIENCE)
    assert late.json()["id"] == hold.exchange


def test_two_gateways_on_one_database(tmp_path: Path, upstream: Upstream) -> None:
    with gateway(tmp_path, upstream.url) as one, gateway(tmp_path, upstream.url, store=open_store(tmp_path / "gateway.db")) as two:
        waiting = in_background(ask, one, "ADVICE please")
        hold = two.held()
        holds.decide(two.store, hold.id, ADVISER, "approve", hold.content_hash)
        assert waiting.result(PATIENCE).choices[0].message.content == DRAFT
        assert two.client().chat.completions.retrieve(hold.exchange).choices[0].message.content == DRAFT
        assert log.verify(one.store).broken_at is None


def test_a_clause_without_a_reviewer_is_refused(tmp_path: Path, upstream: Upstream) -> None:
    with gateway(tmp_path, upstream.url, rules={}) as g:
        got = ask(g, "ADVICE please")
        assert (got.choices[0].finish_reason, got.trueline["action"]) == ("content_filter", "refuse")
        assert DRAFT not in str(got)


def test_the_draft_is_in_no_exchange_before_the_decision(running: Gateway) -> None:
    waiting = in_background(ask, running, "ADVICE please")
    hold = running.held()
    stored = exchanges.get(running.store, hold.exchange)
    assert stored is not None
    assert (stored.state, stored.reply, stored.draft) == ("held", None, None)
    holds.decide(running.store, hold.id, ADVISER, "refuse", hold.content_hash)
    assert isinstance(waiting.result(PATIENCE).id, str)
    with pytest.raises(holds.HoldConflict):
        holds.decide(running.store, hold.id, ADVISER, "approve", hold.content_hash)
