"""Plain and streamed answers through the official client: shown, replaced, redacted, refused, and failing closed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from tests.gateway.scripted_upstream import Upstream
from tests.gateway.serving import PROMPT, Gateway, gateway, guard
from trueline.charter.turns import Message
from trueline.core.guards import ScriptedGuard, StreamCheck
from trueline.core.records import Verdict
from trueline.store import exchanges, incidents, keys, log
from trueline.store.database import open_store

SCRIPT = {
    "fee": "A transfer costs 15 euros. It takes a day.",
    "card": "Your card is 4111 for now.",
    "leak": "First a sentence. Then STOLEN goods.",
    "slow": {"text": "One sentence. Another sentence.", "pause": 0.1},
    "broken": {"text": "Half of", "break": True},
    "down": {"status": 503},
    "refused": {"status": 400},
    "*": "Anything.",
}


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream(dict(SCRIPT)) as u:
        yield u


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[Gateway]:
    with gateway(tmp_path_factory.mktemp("answers"), upstream.url) as g:
        yield g


def ask(g: Gateway, text: str, **more: Any) -> Any:
    return g.client().chat.completions.create(model="bank", messages=[{"role": "user", "content": text}], **more)


def streamed(g: Gateway, text: str) -> tuple[str, str, Any]:
    said, finish, extra = "", "", None
    for c in ask(g, text, stream=True):
        if c.choices:
            said += c.choices[0].delta.content or ""
            finish = c.choices[0].finish_reason or finish
        extra = getattr(c, "trueline", None) or extra
    return said, finish, extra


def test_plain(running: Gateway) -> None:
    got = ask(running, "fee")
    assert got.choices[0].message.content == "A transfer costs 15 euros. It takes a day."
    assert got.choices[0].finish_reason == "stop"
    assert got.usage.total_tokens == 12
    assert got.trueline == {"status": "completed", "action": "allow", "clause": None}
    stored = exchanges.get(running.store, got.id)
    assert stored is not None
    assert (stored.reply, stored.state, stored.charter) == (got.choices[0].message.content, "completed", "c" * 64)
    assert running.client().chat.completions.retrieve(got.id).choices[0].message.content == got.choices[0].message.content


def test_stream_equals_plain(running: Gateway) -> None:
    assert streamed(running, "fee")[:2] == ("A transfer costs 15 euros. It takes a day.", "stop")


def test_stream_is_live(running: Gateway) -> None:
    pieces = [c.choices[0].delta.content for c in ask(running, "slow", stream=True) if c.choices[0].delta.content]
    assert pieces == ["One sentence. ", "Another sentence."]


def test_usage_only_when_asked(running: Gateway) -> None:
    last = list(ask(running, "fee", stream=True, stream_options={"include_usage": True}))[-1]
    assert last.choices == []
    assert last.usage is not None


def test_the_charters_prompt_stands_first_and_the_clients_after_it(running: Gateway, upstream: Upstream) -> None:
    said = [{"role": "developer", "content": "Speak like a pirate."}, {"role": "user", "content": "hello"}]
    running.client().chat.completions.create(model="bank", messages=said)  # type: ignore[arg-type]
    system = [m for m in upstream.asked[-1]["messages"] if m["role"] == "system"]
    assert len(system) == 1
    assert system[0]["content"] == f"{PROMPT}\n\nSpeak like a pirate."


@pytest.mark.parametrize(
    ("text", "reply", "finish"),
    [("FRAUD", "I will not help with that.", "content_filter"), ("WEATHER", "I only talk about the bank.", "stop")],
)
def test_input_verdicts_answer_without_the_model(running: Gateway, upstream: Upstream, text: str, reply: str, finish: str) -> None:
    before = len(upstream.asked)
    got = ask(running, f"please {text}")
    assert (got.choices[0].message.content, got.choices[0].finish_reason) == (reply, finish)
    assert streamed(running, f"please {text}")[:2] == (reply, finish)
    assert len(upstream.asked) == before


def test_a_caught_reply_is_replaced_and_is_an_incident(running: Gateway) -> None:
    got = ask(running, "leak")
    assert got.choices[0].message.content == "I will not help with that."
    assert got.trueline["clause"] == "fraud"
    stored = exchanges.get(running.store, got.id)
    assert stored is not None
    assert stored.draft is not None
    assert "STOLEN" in stored.draft
    assert incidents.latest(running.store, clause="fraud")[0].reply == stored.draft


def test_a_caught_stream_never_shows_what_was_caught(running: Gateway) -> None:
    raw = httpx.post(
        running.url + "/chat/completions", json={"model": "bank", "stream": True, "messages": [{"role": "user", "content": "leak"}]}
    )
    assert b"STOLEN" not in raw.content
    assert b"Then" not in raw.content
    assert streamed(running, "leak")[:2] == ("First a sentence. I will not help with that.", "content_filter")


def test_redacted_alike_plain_and_streamed(running: Gateway) -> None:
    assert ask(running, "card").choices[0].message.content == "Your card is [redacted] for now."
    assert streamed(running, "card")[0] == "Your card is [redacted] for now."


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        (b"{", 400, "no JSON"),
        (b"[1]", 400, "JSON object"),
        (b'{"messages": []}', 400, "non-empty"),
        (b'{"messages": "hi"}', 400, "list"),
        (b'{"messages": [{"role": "wizard", "content": "x"}]}', 400, "unknown role"),
        (b'{"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}', 400, "text"),
        (b'{"model": "other", "messages": [{"role": "user", "content": "x"}]}', 400, "not served"),
        (b'{"n": 2, "messages": [{"role": "user", "content": "x"}]}', 400, "not supported"),
        (b'{"temperature": "hot", "messages": [{"role": "user", "content": "x"}]}', 400, "temperature"),
        (b'{"frobnicate": 1, "messages": [{"role": "user", "content": "x"}]}', 400, "unknown field"),
    ],
)
def test_bad_requests_are_openai_errors(running: Gateway, body: bytes, status: int, says: str) -> None:
    got = httpx.post(running.url + "/chat/completions", content=body)
    assert got.status_code == status
    assert says in got.json()["error"]["message"]
    assert got.json()["error"]["type"] == "invalid_request_error"


def test_too_large_is_refused(tmp_path: Path, upstream: Upstream) -> None:
    with gateway(tmp_path, upstream.url, largest=1000) as g, pytest.raises(openai.BadRequestError, match="bytes"):
        ask(g, "x" * 2000)


def test_models_and_health(running: Gateway) -> None:
    assert [m.id for m in running.client().models.list()] == ["bank"]
    assert httpx.get(running.url.replace("/v1", "/health")).json()["status"] == "ok"
    with pytest.raises(openai.NotFoundError):
        running.client().chat.completions.retrieve("chatcmpl-none")


def test_upstream_failures_are_errors_without_its_address(running: Gateway, upstream: Upstream) -> None:
    for text, stream, code in [
        ("down", False, "upstream_unavailable"),
        ("down", True, "upstream_unavailable"),
        ("refused", False, "upstream_error"),
    ]:
        with pytest.raises(openai.InternalServerError) as caught:
            ask(running, text, stream=stream)
        assert caught.value.code == code
        assert upstream.url not in str(caught.value)


def test_a_stream_that_breaks_off_is_an_error_and_not_a_reply(running: Gateway) -> None:
    with pytest.raises(openai.APIError, match=r"not answer at the moment|could not answer"):
        streamed(running, "broken")
    assert exchanges.latest(running.store, 1)[0].state == "failed"


@dataclass
class Failing(ScriptedGuard):
    """A guard that raises in one of its checks."""

    where: str = ""

    def check_input(self, messages: Sequence[Message]) -> Verdict:
        if self.where == "input":
            raise RuntimeError("the guard lost its head")
        return Verdict("allow")

    def check_output(self, messages: Sequence[Message], text: str) -> Verdict:
        if self.where == "output":
            raise RuntimeError("the guard lost its head")
        return Verdict("allow")

    def streaming(self, messages: Sequence[Message]) -> StreamCheck:
        if self.where == "stream":
            raise RuntimeError("the guard lost its head")
        return super().streaming(messages)


@pytest.mark.parametrize(("where", "stream"), [("input", False), ("output", False), ("input", True), ("stream", True)])
def test_a_failing_guard_closes_the_gateway(tmp_path: Path, upstream: Upstream, where: str, stream: bool) -> None:
    with gateway(tmp_path, upstream.url, Failing(where=where)) as g:
        body = {"model": "bank", "stream": stream, "messages": [{"role": "user", "content": "fee"}]}
        got = httpx.post(g.url + "/chat/completions", json=body)
        assert (got.status_code, got.json()["error"]["type"]) == (
            (503, "guard_unavailable") if where != "stream" else (500, "server_error")
        )
        assert "euros" not in got.text
        assert "lost its head" not in got.text


@pytest.mark.parametrize("stream", [False, True])
def test_a_failing_store_closes_the_gateway(tmp_path: Path, upstream: Upstream, stream: bool) -> None:
    store = open_store(tmp_path / "x.db")
    with gateway(tmp_path, upstream.url, store=store) as g:
        with store.write() as conn:
            conn.exec_driver_sql("drop table incidents")
            conn.exec_driver_sql("drop table reviews")
            conn.exec_driver_sql("drop table ratings")
            conn.exec_driver_sql("drop table holds")
            conn.exec_driver_sql("drop table exchanges")
        got = httpx.post(
            g.url + "/chat/completions", json={"model": "bank", "stream": stream, "messages": [{"role": "user", "content": "fee"}]}
        )
        assert (got.status_code, got.json()["error"]["type"]) == (503, "store_unavailable")
        assert "euros" not in got.text


def test_keys(tmp_path: Path, upstream: Upstream) -> None:
    with gateway(tmp_path, upstream.url, keys_required=True) as g:
        secret = keys.new_secret()
        keys.put(g.store, "shop", secret)
        message: Any = [{"role": "user", "content": "fee"}]
        with pytest.raises(openai.AuthenticationError):
            g.client("wrong-key-altogether").chat.completions.create(model="bank", messages=message)
        mine = g.client(secret).chat.completions.create(model="bank", messages=message)
        stored = exchanges.get(g.store, mine.id)
        assert stored is not None
        assert stored.key == "shop"
        other = keys.new_secret()
        keys.put(g.store, "rival", other)
        with pytest.raises(openai.NotFoundError):
            g.client(other).chat.completions.retrieve(mine.id)
        keys.revoke(g.store, "shop")
        with pytest.raises(openai.AuthenticationError):
            g.client(secret).chat.completions.create(model="bank", messages=message)
        assert secret not in (tmp_path / "gateway.db").read_bytes().decode("latin-1")


def test_every_answer_is_in_the_log(running: Gateway) -> None:
    got = ask(running, "fee")
    assert [e.kind for e in log.entries(running.store, subject=got.id)] == ["exchange.completed"]
    assert log.verify(running.store).broken_at is None


def test_a_guard_that_may_hold_output_shows_nothing_early(tmp_path: Path, upstream: Upstream) -> None:
    with gateway(tmp_path, upstream.url, guard(may_hold_output=True)) as g:
        pieces = [c.choices[0].delta.content for c in ask(g, "slow", stream=True) if c.choices[0].delta.content]
        assert pieces == ["One sentence. Another sentence."]
