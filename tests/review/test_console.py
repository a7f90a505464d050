"""The console: blind first, qualified reviewers only, decisions that are what their words say, and no page that breaks on odd input."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from trueline.charter.turns import Message, ToolCall
from trueline.core.clock import FixedClock
from trueline.core.records import Verdict
from trueline.errors import GatewayError, ModelError
from trueline.review.access import Access, read_reviewers
from trueline.review.pages import ChatAnswer, ConsoleAbout, console_routes
from trueline.store import holds, log, ratings
from trueline.store.database import DatabaseFailed, Store, open_store
from trueline.store.exchanges import Exchange
from trueline.store.holds import Hold, HoldRule
from trueline.store.judgements import judgement_of

REVIEWERS = """
Ada a-token-of-ada-0001 adviser
Zoë-李 a-token-of-zoe-0002 clerk
Old a-token-of-old-0003 adviser:2026-01-01,clerk
"""
DRAFT = "Put it all on one share."
CALL = ToolCall("c1", "buy", '{"amount": 5, "amount": 5000}')


class Bench:
    """A console over a store, with a clock that stands still."""

    def __init__(self, folder: Path) -> None:
        (folder / "reviewers").write_text(REVIEWERS)
        self.clock = FixedClock(datetime(2026, 1, 1, 12, tzinfo=UTC))
        self.store: Store = open_store(folder / "x.db", clock=self.clock)
        access = Access(read_reviewers(folder / "reviewers"), self.clock)
        about = ConsoleAbout("Bank", "model-1", "system 123456789abc", {"advice": "Leave advice to a person."}, "s" * 64, "c" * 64)
        self.app = Starlette(routes=console_routes(self.store, access, about, self.chat))

    async def chat(self, messages: tuple[Message, ...]) -> ChatAnswer:
        if messages[0].content == "break":
            raise RuntimeError("secret detail")
        if messages[0].content == "down":
            raise ModelError("the model is away", remedy="ask later")
        return ChatAnswer("<i>an answer</i>", "Allowed")

    def browser(self, name: str | None = "ada") -> Browser:
        return Browser(self.app, name)

    def held(self, *said: Message, approvals: int = 1, draft: str = DRAFT, calls: tuple[ToolCall, ...] = ()) -> Hold:
        e = Exchange(
            id=f"chatcmpl-{self.store.now()}-{len(holds.queue(self.store))}", created=self.store.now(), state="open", route="chat", key=None,
            model="model-1", identity={}, charter="c" * 64, request=said or (Message("user", "Which share?"),), request_digest="d" * 64,
            input_verdict=Verdict("hold", "advice"), action="hold", clause="advice",
        )  # fmt: skip
        return holds.create(self.store, e, HoldRule("advice", ("adviser",), approvals, 600, "Wait."), draft, calls, "the-guards-reason")


class Browser:
    """A signed-in reviewer."""

    def __init__(self, app: Any, name: str | None) -> None:
        self.http = TestClient(app, follow_redirects=False, raise_server_exceptions=True)
        self.form_token = ""
        if name is not None:
            tokens = {line.split("-of-")[1][:3]: line.split()[1] for line in REVIEWERS.strip().splitlines()}
            got = self.http.post("/console/enter", data={"token": tokens[name]})
            assert got.status_code == 303, got.text
            self.form_token = self.http.get("/console").text.split('name="form_token" value="')[1].split('"')[0]

    def get(self, path: str) -> httpx.Response:
        return self.http.get(path)

    def post(self, path: str, **form: str) -> httpx.Response:
        return self.http.post(path, data={"form_token": self.form_token, **form})

    def judge(self, hold: Hold, judgement: str = "careful") -> httpx.Response:
        return self.post(f"/console/holds/{hold.id}/judge", judgement=judgement)

    def decide(self, hold: Hold, action: str, text: str = DRAFT, **more: str) -> httpx.Response:
        return self.post(f"/console/holds/{hold.id}/decide", action=action, text=text, content_hash=hold.content_hash, **more)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_the_draft_is_shown_only_after_the_own_judgement_and_that_stands(bench: Bench) -> None:
    hold, ada = bench.held(), bench.browser()
    for path in ("", "?judgement=answer"):  # no address reveals it
        before = ada.get(f"/console/holds/{hold.id}{path}").text
        assert "Which share?" in before
        assert DRAFT not in before
        assert "the-guards-reason" not in before
    assert DRAFT not in ada.get("/console").text
    assert ada.decide(hold, "approve").status_code == 409
    assert holds.get(bench.store, hold.id).state == "pending"
    assert ada.judge(hold, "refuse").status_code == 303
    shown = ada.get(f"/console/holds/{hold.id}").text
    assert DRAFT in shown
    assert "the-guards-reason" in shown
    assert "model-1" in shown
    ada.judge(hold, "answer")  # second thoughts come too late
    assert judgement_of(bench.store, hold.id, "Ada") == "refuse"
    assert ada.decide(hold, "approve", judgement="answer", seconds="3.5").status_code == 303
    review = holds.reviews_of(bench.store, hold.id)[0]
    assert (review.judgement, review.seconds, review.action) == ("refuse", 3.5, "approve")
    assert [e.kind for e in log.entries(bench.store, subject=hold.id)] == ["hold.created", "hold.judged", "hold.review", "hold.approved"]


def test_who_is_not_qualified_sees_and_decides_nothing(bench: Bench) -> None:
    hold, zoe = bench.held(), bench.browser("zoe")
    seen = zoe.get(f"/console/holds/{hold.id}")
    assert seen.status_code == 403
    assert "Which share?" not in seen.text
    assert "Which share?" not in zoe.get("/console").text
    assert zoe.judge(hold).status_code == 403
    assert zoe.decide(hold, "approve").status_code == 403
    assert holds.get(bench.store, hold.id).state == "pending"


def test_a_qualification_ends_with_its_last_day_also_in_a_running_session(bench: Bench) -> None:
    hold, old = bench.held(), bench.browser("old")
    assert old.judge(hold).status_code == 303  # its last day
    bench.clock.advance(11.9 * 3600)
    fresh = bench.held()
    bench.clock.advance(0.2 * 3600)  # the session of 12 h is over, and the day as well
    assert old.get("/console").status_code == 303
    old = bench.browser("old")
    assert "adviser ended 2026-01-01" in old.get("/console").text
    assert "Which share?" not in old.get("/console").text
    assert old.judge(fresh).status_code == 403
    assert old.decide(hold, "approve").status_code == 403


def test_what_nobody_decides_is_refused(bench: Bench) -> None:
    hold, ada = bench.held(), bench.browser()
    ada.judge(hold)
    bench.clock.advance(601)
    assert ada.decide(hold, "approve").status_code == 409
    shown = ada.get(f"/console/holds/{hold.id}").text
    assert holds.EXPIRED in shown
    assert DRAFT not in shown
    assert holds.get(bench.store, hold.id).state == "expired"


def test_a_changed_text_is_never_dropped_in_silence(bench: Bench) -> None:
    hold, ada = bench.held(), bench.browser()
    ada.judge(hold)
    told = ada.decide(hold, "approve", "Ask me in the branch.", note="n")
    assert told.status_code == 400
    assert "You changed the text" in told.text
    assert "Ask me in the branch." in told.text
    assert ada.decide(hold, "edit").status_code == 400  # an edit that changes nothing
    assert ada.decide(hold, "edit", "  ").status_code == 400
    assert ada.decide(hold, "approve", note="x" * 501).status_code == 400
    assert holds.get(bench.store, hold.id).state == "pending"
    assert ada.decide(hold, "edit", "Ask me in the branch.").status_code == 303
    assert holds.get(bench.store, hold.id).released == "Ask me in the branch."


def test_line_ends_do_not_make_an_edit(bench: Bench) -> None:
    hold, ada = bench.held(draft="One.\nTwo."), bench.browser()
    ada.judge(hold)
    assert ada.decide(hold, "approve", "One.\r\nTwo.").status_code == 303
    assert holds.get(bench.store, hold.id).released == "One.\nTwo."


def test_a_conflict_keeps_the_text_and_leads_back(bench: Bench) -> None:
    hold, ada = bench.held(approvals=2), bench.browser()
    ada.judge(hold)
    holds.decide(bench.store, hold.id, holds.Reviewer("Eve", ("adviser",)), "edit", hold.content_hash, text="Eve's words.")
    told = ada.decide(hold, "edit", "My own words.")
    assert told.status_code == 409
    assert "My own words." in told.text
    assert f"/console/holds/{hold.id}" in told.text


def test_what_does_not_show_is_named_and_calls_are_shown_whole(bench: Bench) -> None:
    hold, ada = bench.held(draft="safe\u202eelbahc\u200b", calls=(CALL,)), bench.browser()
    ada.judge(hold)
    shown = ada.get(f"/console/holds/{hold.id}").text
    assert "U+200B (1), U+202E (1)" in shown
    assert "&#34;amount&#34;: 5, &#34;amount&#34;: 5000" in shown  # no reader of JSON drops one of the two
    assert ada.decide(hold, "approve", hold.draft).status_code == 303
    assert "5000" in ada.get(f"/console/holds/{hold.id}").text


def test_conversations_without_a_question_are_shown(bench: Bench) -> None:
    bench.held(Message("system", "Only this."))
    bench.held(Message("assistant", "", (CALL,)))
    got = bench.browser().get("/console")
    assert got.status_code == 200
    assert "Only this." in got.text
    assert "(no words)" in got.text


@pytest.mark.parametrize("cookie", ["x", "Ada|1|zz", "Ada|9999999999|" + "0" * 64, "caf\u00e9|1|\u00e9", "||", "Ada|" + "0" * 64])
def test_forged_cookies_lead_to_the_entrance(bench: Bench, cookie: str) -> None:
    got = TestClient(bench.app, follow_redirects=False).get("/console", headers={"cookie": f"trueline_console={cookie}".encode("latin-1")})
    assert got.status_code == 303
    assert got.headers["location"].startswith("/console/enter")


def test_forms_are_our_own_and_bounded(bench: Bench) -> None:
    hold, ada = bench.held(), bench.browser()
    for forged in ("", "\u00e9", "0" * 64):
        got = ada.http.post(f"/console/holds/{hold.id}/judge", data={"form_token": forged, "judgement": "answer"})
        assert got.status_code == 403
    assert ada.post("/console/chat", question="x" * 1_100_000).status_code == 400
    assert ada.http.post("/console/enter", data={"token": "x" * 1_100_000}).status_code == 403
    assert ada.http.post("/console/chat", content=b"\xff\xfe=&;%", headers={"content-type": "text/plain"}).status_code == 403


@pytest.mark.parametrize("seconds", ["", "\u00b2", "1e9", "-1", "nan", "9" * 400])
def test_odd_values_never_break_a_decision(bench: Bench, seconds: str) -> None:
    hold, ada = bench.held(), bench.browser()
    assert ada.post(f"/console/holds/{hold.id}/judge", judgement="maybe").status_code == 400
    ada.judge(hold)
    assert ada.decide(hold, "destroy").status_code == 400
    assert ada.decide(hold, "refuse", seconds=seconds).status_code == 303
    assert holds.reviews_of(bench.store, hold.id)[0].seconds is None


def test_what_no_database_can_keep_is_told_and_decides_nothing(bench: Bench) -> None:
    hold, ada = bench.held(), bench.browser()
    ada.judge(hold)
    for field in ("text", "note", "content_hash"):
        got = ada.post(
            f"/console/holds/{hold.id}/decide", **{"action": "edit", "text": "x", "content_hash": hold.content_hash, field: "a\0b"}
        )
        assert (got.status_code, "NUL" in got.text) == (400, True)
    assert holds.get(bench.store, hold.id).state == "pending"
    assert ada.get("/console/holds/%00").status_code == 404
    assert ada.post("/console/compare", pair="p" * 500, side="left").status_code == 400


def test_a_database_that_fails_is_told_without_its_address_and_keeps_the_text(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    hold, ada = bench.held(), bench.browser()
    ada.judge(hold)

    def fails(*_: object, **__: object) -> None:
        raise DatabaseFailed("the database /secret/path failed")

    monkeypatch.setattr(holds, "decide", fails)
    got = ada.decide(hold, "edit", "My own words.")
    assert got.status_code == 503
    assert "/secret/path" not in got.text
    assert "My own words." in got.text


def test_a_hold_for_two_qualifications_is_for_who_has_both(bench: Bench) -> None:
    e = Exchange(
        id="chatcmpl-two", created=bench.store.now(), state="open", route="chat", key=None, model="m", identity={}, charter="c" * 64,
        request=(Message("user", "A loan for shares?"),), request_digest="d" * 64, action="hold", clause="advice",
    )  # fmt: skip
    hold = holds.create(bench.store, e, HoldRule("advice", ("adviser and clerk",), 1, 600, "Wait."), DRAFT)
    for name, status in (("ada", 403), ("zoe", 403), ("old", 200)):
        browser = bench.browser(name)
        assert browser.get(f"/console/holds/{hold.id}").status_code == status
        assert ("A loan for shares?" in browser.get("/console").text) == (status == 200)
        assert browser.judge(hold).status_code == (303 if status == 200 else 403)


def test_a_comparison_sent_twice_counts_once(bench: Bench) -> None:
    pair = ratings.add_comparison(bench.store, (Message("user", "Which?"),), ("one", "two"))
    ada = bench.browser()
    for _ in range(2):
        assert ada.post("/console/compare", pair=pair.id, side="left", seconds="1.0").status_code == 303
    assert len(ratings.all_ratings(bench.store)) == 1
    assert ada.post("/console/compare", pair="none", side="left").status_code == 400
    assert ada.post("/console/compare", pair=pair.id, side="up").status_code == 400


def test_failures_are_pages_without_details(bench: Bench) -> None:
    ada = bench.browser()
    assert "&lt;i&gt;an answer" in ada.post("/console/chat", question="hello").text
    broken = ada.post("/console/chat", question="break")
    assert broken.status_code == 500
    assert "secret detail" not in broken.text
    assert "the model is away" in ada.post("/console/chat", question="down").text
    assert ada.get("/console/holds/none").status_code == 404


def test_entering_leads_to_the_page_that_was_asked_for_and_nowhere_else(bench: Bench) -> None:
    hold, nobody = bench.held(), bench.browser(None)
    asked = nobody.get(f"/console/holds/{hold.id}")
    assert asked.headers["location"] == f"/console/enter?to=/console/holds/{hold.id}"
    for to, leads in [
        (f"/console/holds/{hold.id}", f"/console/holds/{hold.id}"),
        ("https://evil.example/", "/console"),
        ("//evil.example", "/console"),
        ("/console/holds/../../x", "/console"),
    ]:
        got = nobody.http.post("/console/enter", data={"token": "a-token-of-ada-0001", "to": to})
        assert got.headers["location"] == leads
        assert "httponly" in got.headers["set-cookie"].lower()


def test_leaving_ends_the_session(bench: Bench) -> None:
    zoe = bench.browser("zoe")
    assert "Zoë-李" in zoe.get("/console").text
    assert zoe.post("/console/leave").status_code == 303
    assert zoe.get("/console").status_code == 303


def test_every_page_has_the_strict_policy_and_no_inline_code(bench: Bench) -> None:
    hold, ada = bench.held(), bench.browser()
    ada.judge(hold)
    for path in ("/console", "/console/enter", "/console/compare", "/console/chat", f"/console/holds/{hold.id}", "/console/holds/none"):
        got = ada.get(path)
        assert got.headers["content-security-policy"].startswith("default-src 'none'")
        assert "unsafe" not in got.headers["content-security-policy"]
        assert " style=" not in got.text
        assert " onclick=" not in got.text
        assert got.text.count("<script") == 1


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("Ada short adviser", "16"),
        ("Ada a-token-of-ada-0001", "2 words"),
        ("Ada a-token-of-ada-0001 adviser:soon", "YYYY-MM-DD"),
        ("Ada a-token-of-ada-0001 adviser,,clerk", "empty role"),
        ("Bob a-token-of-bob-0009 adviser\nAda a-token-of-bob-0009 clerk", "twice"),
        ("Ada a-token-of-bob-0009 adviser\nAda a-token-of-ada-0001 clerk", "twice"),
        ("# nobody", "no reviewer"),
        ("x" * 129 + " a-token-of-ada-0001 adviser", "at most 128"),
    ],
)
def test_a_wrong_file_of_reviewers_is_told(tmp_path: Path, line: str, says: str) -> None:
    (tmp_path / "r").write_text(line + "\n")
    with pytest.raises(GatewayError, match=says):
        read_reviewers(tmp_path / "r")
