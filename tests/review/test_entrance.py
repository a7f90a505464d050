"""The door of the console: guesses are slowed down, nobody else is, and what was ended stays ended."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.testclient import TestClient

from tests.review.test_console import Bench
from trueline.core.clock import FixedClock
from trueline.errors import StoreError
from trueline.review.access import KNOWN_COOKIE, Access, read_reviewers
from trueline.review.attempts import FORGOTTEN, LONGEST, MOST, TOLD, Attempts, network_of, pause_after
from trueline.store import log, sessions

ADA, ZOE, WRONG = "a-token-of-ada-0001", "a-token-of-zoe-0002", "a-token-of-nobody-1"


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def door(bench: Bench, address: str = "192.0.2.1") -> TestClient:
    """A browser that has never entered, at this address."""
    return TestClient(bench.app, follow_redirects=False, client=(address, 50000))


def give(client: TestClient, token: str, **headers: str) -> httpx.Response:
    return client.post("/console/enter", data={"token": token}, headers=headers)


def told(bench: Bench, kind: str) -> list[Any]:
    return [e.body for e in log.entries(bench.store, subject=sessions.SUBJECT) if e.kind == f"console.{kind}"]


def shut(bench: Bench, client: TestClient, failures: int = 3) -> httpx.Response:
    """Wrong tokens, each as soon as it is looked at."""
    got = give(client, WRONG)
    for n in range(1, failures):
        bench.clock.advance(pause_after(n))
        got = give(client, WRONG)
    return got


def test_each_wrong_token_makes_the_next_wait_longer_and_says_how_long(bench: Bench) -> None:
    stranger, waits = door(bench), []
    for _ in range(12):
        got = give(stranger, WRONG)
        assert got.status_code == 403
        seconds = int(got.headers.get("retry-after", "0"))
        assert ("Wait" in got.text) == (seconds > 0)
        assert not seconds or f"Wait {seconds} s before the next try" in got.text
        waits.append(seconds)
        bench.clock.advance(seconds)
    assert waits == [0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60, 60]


def test_in_a_pause_nothing_is_looked_at_and_nothing_made_longer(bench: Bench) -> None:
    client = door(bench)
    shut(bench, client, 5)  # 4 s
    for token in (WRONG, ADA, WRONG, ADA):
        got = give(client, token)
        assert (got.status_code, got.headers["retry-after"]) == (429, "4")
        assert "set-cookie" not in got.headers
        assert "Wait 4 s" in got.text
    bench.clock.advance(2.5)
    assert give(client, ADA).headers["retry-after"] == "2"
    bench.clock.advance(1.5)
    assert give(client, ADA).status_code == 303


def test_a_burst_of_guesses_is_still_one_after_another(bench: Bench) -> None:
    client = door(bench)
    with ThreadPoolExecutor(8) as pool:
        got = [r.status_code for r in pool.map(lambda _: give(door(bench), WRONG), range(24))]
    assert got.count(403) == 3
    assert got.count(429) == 21
    assert give(client, WRONG).status_code == 429


def test_a_stranger_locks_out_neither_other_addresses_nor_browsers_that_are_known(bench: Bench) -> None:
    ada = door(bench, "192.0.2.1")
    assert give(ada, ADA).status_code == 303
    ada.cookies.delete("trueline_console")
    stranger = door(bench, "192.0.2.1")  # behind the same address as Ada
    shut(bench, stranger, 12)
    assert give(stranger, WRONG).status_code == 429
    assert give(ada, ADA).status_code == 303
    assert give(door(bench, "192.0.2.2"), ZOE).status_code == 303
    assert give(door(bench, "192.0.2.1"), ZOE).headers["retry-after"] == "60"  # never longer than a minute


def test_a_known_browser_has_its_own_pauses_and_a_right_token_wipes_out_none(bench: Bench) -> None:
    ada = door(bench)
    assert give(ada, ADA).status_code == 303
    for _ in range(3):
        assert give(ada, WRONG).status_code == 403
    assert give(ada, WRONG).status_code == 429
    assert give(door(bench), WRONG).status_code == 403  # the address has failed nothing yet
    bench.clock.advance(1)
    assert give(ada, ADA).status_code == 303
    assert give(ada, WRONG).headers["retry-after"] == "2"
    assert told(bench, "refused")[0]["known"] == "Ada"


@pytest.mark.parametrize("cookie", ["Ada|1|2|zz", "x", "Ada|9999999999|ab|" + "0" * 64, "session"])
def test_a_forged_sign_of_a_known_browser_counts_for_nothing(bench: Bench, cookie: str) -> None:
    client = door(bench)
    if cookie == "session":  # one that we signed, but for something else
        assert give(client, ADA).status_code == 303
        cookie = client.cookies["trueline_console"]
        client = door(bench)
    shut(bench, client)
    assert give(door(bench), ADA, cookie=f"{KNOWN_COOKIE}={cookie}").status_code == 429


def test_another_sites_page_uses_up_nobodys_tries(bench: Bench) -> None:
    client = door(bench)
    for site in ("cross-site", "same-site"):
        for _ in range(5):
            assert give(client, WRONG, **{"sec-fetch-site": site}).status_code == 403
        assert give(client, ADA, **{"sec-fetch-site": site}).status_code == 403
    assert give(client, ADA, **{"sec-fetch-site": "same-origin"}).status_code == 303


def test_who_came_guessed_and_left_is_in_the_log_without_addresses_or_tokens(bench: Bench) -> None:
    client = door(bench)
    shut(bench, client)
    give(client, WRONG)
    bench.clock.advance(1)
    shut(bench, client, 1)
    bench.clock.advance(2)
    give(client, ADA)
    form = client.get("/console").text.split('name="form_token" value="')[1].split('"')[0]
    assert client.post("/console/leave", data={"form_token": form}).status_code == 303
    assert [(b["failures"], b["untold_before"]) for b in told(bench, "refused")] == [(1, 0), (2, 0), (3, 0), (4, 1)]
    assert [b["reviewer"] for b in told(bench, "entered")] == ["Ada"]
    assert told(bench, "left")[0]["session"] == told(bench, "entered")[0]["session"]
    written = str(log.entries(bench.store))
    assert "192.0.2.1" not in written
    assert "a-token" not in written
    assert len({b["from"] for b in told(bench, "refused") + told(bench, "entered")}) == 1
    assert log.verify(bench.store).broken_at is None


def test_a_flood_from_everywhere_fills_neither_the_log_nor_the_memory(bench: Bench) -> None:
    for n in range(TOLD + 10):
        assert give(door(bench, f"198.51.100.{n}"), WRONG).status_code == 403
    assert len(told(bench, "refused")) == TOLD
    bench.clock.advance(60)
    give(door(bench, "198.51.100.200"), WRONG)
    assert told(bench, "refused")[-1]["untold_before"] == 10
    clock = FixedClock()
    attempts = Attempts(clock)
    for n in range(MOST + 50):
        attempts.failed(f"address {n}")
    assert len(attempts) == MOST


def test_failures_are_forgotten_and_a_clock_set_back_makes_nobody_wait_longer() -> None:
    clock = FixedClock()
    attempts = Attempts(clock)
    for _ in range(20):
        attempts.failed("x")
    assert attempts.wait("x") == LONGEST
    clock.advance(-86_400)
    assert attempts.wait("x") == LONGEST
    clock.advance(86_400 + FORGOTTEN + 1)
    assert attempts.wait("x") == 0
    assert attempts.failed("x") == 1
    assert pause_after(10**9) == LONGEST


@pytest.mark.parametrize(
    ("host", "counted"),
    [
        ("192.0.2.1", "192.0.2.1"), ("::ffff:192.0.2.1", "192.0.2.1"), ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"), ("fe80::1%eth0", "fe80::/64"),
        (None, "this machine"), ("", "this machine"), ("x" * 500, "x" * 60),
    ],
)  # fmt: skip
def test_addresses_of_one_client_count_as_one(host: str | None, counted: str) -> None:
    assert network_of(host) == counted


def test_a_copied_cookie_ends_with_the_session_also_after_a_restart(bench: Bench, tmp_path: Path) -> None:
    ada = bench.browser()
    cookie, form = ada.http.cookies["trueline_console"], ada.form_token
    thief = door(bench)
    thief.cookies.set("trueline_console", cookie)
    assert thief.get("/console").status_code == 200
    other = bench.browser()  # the same reviewer elsewhere
    assert other.http.post("/console/leave", data={"form_token": form}).status_code == 403  # a form of another session
    assert ada.post("/console/leave").status_code == 303
    assert thief.get("/console").status_code == 303
    assert thief.post("/console/chat", data={"form_token": form, "question": "hello"}).status_code == 303
    assert other.get("/console").status_code == 200
    again = Access(read_reviewers(tmp_path / "reviewers"), bench.clock)
    assert again.who(cookie) is not None  # its signature is good for twelve hours; what ends it is in the database
    visitor = again.who(cookie)
    assert visitor is not None
    assert sessions.ended(bench.store, visitor.session)
    bench.clock.advance(12 * 3600 + 1)
    bench.browser().post("/console/leave")
    assert not sessions.ended(bench.store, visitor.session)  # forgotten: the cookie counts no more
    assert again.who(cookie) is None


def test_who_cannot_be_written_down_does_not_enter(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise StoreError("the disk is away at /secret/path")

    monkeypatch.setattr(sessions, "entered", fails)
    got = give(door(bench), ADA)
    assert (got.status_code, "set-cookie" in got.headers) == (503, False)
    assert "/secret/path" not in got.text
    monkeypatch.setattr(sessions, "refused", fails)
    assert give(door(bench), WRONG).status_code == 503


def test_only_the_one_who_entered_is_known(bench: Bench) -> None:
    client = door(bench)
    got = give(client, ADA)
    lines = [h.lower() for h in got.headers.get_list("set-cookie")]
    assert len(lines) == 2
    assert all("httponly" in h and "samesite=strict" in h for h in lines)
    assert any("path=/console/enter" in h for h in lines)
