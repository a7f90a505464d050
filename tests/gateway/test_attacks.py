"""Ways round a hold that somebody might try, or fall into: two rules on one reply, odd names, strange pages, two reviewers at once.
What touches the database runs on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from tests.gateway.scripted_upstream import Upstream
from tests.gateway.serving import ADVISER, OFFICER, PATIENCE, RULES, Gateway, gateway, guard, rule
from tests.store.postgres import emptied, server
from trueline.core.roles import entitling, jointly
from trueline.store import exchanges, holds, keys, log
from trueline.store.database import open_store
from trueline.store.holds import HoldConflict, HoldForbidden, Reviewer

BOTH = Reviewer("Bo", ("credit-officer", "licensed-adviser"))
LOAN = {"tool_calls": [["decide_loan", '{"grant": true}']]}
SCRIPT: dict[str, Any] = {
    "decide": LOAN, "ADVICE decide": LOAN, "ADVICE 株 🙂": "Der geheime Entwurf: 株を買う 🙂", "ADVICE": "the secret draft", "*": "Anything.",
    **{f"call {n}": {"tool_calls": [[n, '{"grant": true}']]} for n in ("Decide_Loan", "DECIDE_LOAN", "ｄｅｃｉｄｅ_ｌｏａｎ", "decide_loan ")},
}  # fmt: skip
RULED = {**RULES, "counter": rule("counter", always=True, on=("key:counter",), by=("clerk",), within=60)}

postgres = pytest.fixture(scope="module")(server)


def tool(name: str) -> Any:
    return [{"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}]


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream(dict(SCRIPT)) as u:
        yield u


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("attacks")
    where = str(folder / "x.db") if request.param == "sqlite" else emptied(request.getfixturevalue("postgres"))
    with gateway(folder, upstream.url, guard(may_hold_output=True), open_store(where), rules=RULED, wait=0.0) as g:
        yield g


@pytest.fixture(autouse=True)
def settled(running: Gateway) -> Iterator[None]:
    """What a test leaves undecided is refused after it, and the log is whole."""
    yield
    for hold in holds.queue(running.store):
        holds.decide(running.store, hold.id, Reviewer("sweep", hold.by), "refuse", hold.content_hash)
    assert log.verify(running.store).broken_at is None


def ask(g: Gateway, text: str, key: str = "none", **more: Any) -> Any:
    return g.client(key).chat.completions.create(model="bank", messages=[{"role": "user", "content": text}], **more)


def poll(g: Gateway, ident: str, key: str = "none") -> Any:
    return g.client(key).chat.completions.retrieve(ident)


@pytest.mark.parametrize("stream", [False, True])
def test_a_loan_asked_for_as_advice_needs_who_may_decide_both(running: Gateway, stream: bool) -> None:
    got = ask(running, "ADVICE decide", tools=tool("decide_loan"), stream=stream)
    shown = str([c.model_dump() for c in got]) if stream else got.model_dump_json()
    assert "grant" not in shown
    hold = holds.queue(running.store)[0]
    assert hold.by == ("credit-officer and licensed-adviser",)
    assert "advice" in hold.reason
    assert "tool:decide_loan" in hold.reason
    for one in (ADVISER, OFFICER, Reviewer("Eve", ())):
        with pytest.raises(HoldForbidden):
            holds.decide(running.store, hold.id, one, "approve", hold.content_hash)
        assert holds.queue(running.store, roles=one.roles) == ()
    assert [h.id for h in holds.queue(running.store, roles=BOTH.roles)] == [hold.id]
    holds.decide(running.store, hold.id, BOTH, "approve", hold.content_hash)
    assert poll(running, hold.exchange).choices[0].message.tool_calls[0].function.arguments == '{"grant": true}'


def test_a_key_that_is_always_held_does_not_take_a_tool_from_its_reviewer(running: Gateway) -> None:
    secret = keys.new_secret()
    keys.put(running.store, "counter", secret)
    ask(running, "decide", secret, tools=tool("decide_loan"))
    hold = holds.queue(running.store)[0]
    with pytest.raises(HoldForbidden):
        holds.decide(running.store, hold.id, Reviewer("Cleo", ("clerk",)), "approve", hold.content_hash)
    assert set(hold.by) == {"credit-officer and clerk"}
    assert datetime.fromisoformat(hold.expires) - datetime.fromisoformat(hold.created) == timedelta(seconds=60)  # the shorter of the two
    ask(running, "ADVICE", secret)
    assert {h.by for h in holds.queue(running.store)} == {hold.by, ("clerk and licensed-adviser",)}


def test_roles_that_must_come_together() -> None:
    assert jointly([["a", "b"], ["b", "c"]]) == ("b",)
    assert jointly([["a"], ["b", "c"]]) == ("a and b", "a and c")
    assert jointly([["a"], ["a"]]) == ("a",)
    assert entitling(("a",), ("a and b",)) is None
    assert entitling(("b", "a"), ("a and b",)) == "a and b"
    assert entitling((), ("a",)) is None


@pytest.mark.parametrize("name", ["Decide_Loan", "DECIDE_LOAN", "ｄｅｃｉｄｅ_ｌｏａｎ", "decide_loan "])
def test_a_tool_by_another_spelling_is_held_all_the_same(running: Gateway, name: str) -> None:
    got = ask(running, f"call {name}", tools=tool(name))
    assert (got.trueline["status"], got.choices[0].message.tool_calls) == ("held", None)
    assert holds.queue(running.store)[0].clause == "loans"


@pytest.mark.parametrize("headers", [
    {"content-type": "text/plain"}, {"content-type": "application/x-www-form-urlencoded"}, {"content-type": "multipart/form-data; boundary=x"},
    {"content-type": "text/plain;charset=application/json"}, {"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"},
])  # fmt: skip
def test_a_strange_web_page_cannot_fill_the_queue(running: Gateway, upstream: Upstream, headers: dict[str, str]) -> None:
    before = len(upstream.asked)
    body = b'{"messages": [{"role": "user", "content": "ADVICE"}]}'
    got = httpx.post(running.url + "/chat/completions", content=body, headers=headers, timeout=PATIENCE)
    assert (got.status_code, got.json()["error"]["type"]) == (400, "invalid_request_error")
    assert "expected" in got.json()["error"]["message"]
    assert (len(upstream.asked), holds.queue(running.store)) == (before, ())
    fine = {"content-type": "application/json; charset=utf-8", "sec-fetch-site": "same-origin"}
    assert httpx.post(running.url + "/chat/completions", content=body, headers=fine, timeout=PATIENCE).status_code == 200


@pytest.mark.parametrize("ident", ["%00", "chatcmpl-%00", "x" * 5000, "%F0%9F%99%82", "..%2f..", "%ff", "'%20or%201=1"])
def test_what_is_no_completion_is_not_found(running: Gateway, ident: str) -> None:
    got = httpx.get(f"{running.url}/chat/completions/{ident}", timeout=PATIENCE)
    assert got.status_code == 404, got.text


def test_another_keys_hold_is_neither_seen_nor_found_by_a_retry(running: Gateway) -> None:
    mine, other = keys.new_secret(), keys.new_secret()
    keys.put(running.store, "mine", mine)
    keys.put(running.store, "other", other)
    held = ask(running, "ADVICE", mine)
    hold = holds.of_exchange(running.store, held.id)
    assert hold is not None
    holds.decide(running.store, hold.id, ADVISER, "approve", hold.content_hash)
    for key in (other, "none"):
        with pytest.raises(openai.NotFoundError):
            poll(running, held.id, key)
        again = ask(running, "ADVICE", key, extra_headers={"x-stainless-retry-count": "1"})
        assert again.id != held.id
        assert "secret" not in again.model_dump_json()
    assert poll(running, held.id, mine).choices[0].message.content == "the secret draft"


def test_two_reviewers_at_once_and_a_client_that_polls_see_one_outcome(running: Gateway) -> None:
    for n in range(6):
        held = ask(running, "ADVICE 株 🙂", user=str(n))
        hold = holds.of_exchange(running.store, held.id)
        assert hold is not None
        acts = [("Ada", "approve", None), ("Ben", "refuse", None), ("Cy", "edit", "Fragen Sie mich 🙂.")]

        def act(job: Any, hold: Any = hold) -> str | None:
            name, action, text = job
            try:
                done = holds.decide(running.store, hold.id, Reviewer(name, ADVISER.roles), action, hold.content_hash, text=text)
            except HoldConflict:
                return None
            return done.released

        with ThreadPoolExecutor(6) as pool:
            polled = [pool.submit(poll, running, held.id) for _ in range(3)]
            won = [w for w in pool.map(act, acts) if w is not None]
            told = {p.result(PATIENCE).choices[0].message.content for p in polled}
        assert len(won) == 1
        assert poll(running, held.id).choices[0].message.content == won[0]
        assert told <= {RULES["advice"].reply, won[0]}
        stored = exchanges.get(running.store, held.id)
        assert stored is not None
        assert stored.reply == won[0]


def test_a_database_restarted_under_a_hold_loses_nothing(running: Gateway) -> None:
    held = ask(running, "ADVICE")
    running.store.engine.dispose()  # as when the server ended every connection
    assert poll(running, held.id).trueline["status"] == "held"
    hold = holds.of_exchange(running.store, held.id)
    assert hold is not None
    holds.decide(running.store, hold.id, ADVISER, "approve", hold.content_hash)
    assert poll(running, held.id).choices[0].message.content == "the secret draft"


def test_names_that_the_database_cannot_keep_are_told_at_once(running: Gateway) -> None:
    from trueline.errors import StoreError

    for name in ("x" * 65, ""):
        with pytest.raises(StoreError, match="expected 1 to 64"):
            keys.put(running.store, name, keys.new_secret())


def test_one_client_cannot_bury_what_the_others_people_have_to_look_at(tmp_path: Path, upstream: Upstream) -> None:
    with gateway(tmp_path, upstream.url, wait=0.0, most_held=2) as g:
        mine, other = keys.new_secret(), keys.new_secret()
        keys.put(g.store, "mine", mine)
        keys.put(g.store, "other", other)
        for n in range(2):
            assert ask(g, "ADVICE", mine, user=str(n)).trueline["status"] == "held"
        for stream in (False, True):
            with pytest.raises(openai.RateLimitError) as caught:
                ask(g, "ADVICE", mine, stream=stream)
            assert caught.value.response.headers["retry-after"] == "2"
            assert "secret" not in caught.value.response.text
        assert ask(g, "hello", mine).choices[0].message.content == "Anything."
        assert ask(g, "ADVICE", other).trueline["status"] == "held"
        hold = holds.queue(g.store)[0]
        holds.decide(g.store, hold.id, ADVISER, "refuse", hold.content_hash)
        assert ask(g, "ADVICE", mine).trueline["status"] == "held"


def test_a_clause_whose_reviewer_nobody_is_is_told_at_the_start() -> None:
    from datetime import date

    from trueline.cli.console import without_reviewer
    from trueline.cli.project import open_project
    from trueline.review.access import Account

    charter = open_project("bundled:harbor_bank", None).loaded.charter
    needed = tuple(sorted({role for h in charter.high_stakes for role in h.review.by}))
    day = date(2026, 6, 1)
    assert without_reviewer(charter, [Account(Reviewer("Ada", needed), "0" * 64)], day) == {}
    lapsed = Account(Reviewer("Ada", needed), "0" * 64, {role: date(2026, 5, 31) for role in needed})
    assert set(without_reviewer(charter, [lapsed], day)) == {h.id for h in charter.high_stakes}
