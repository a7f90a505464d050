"""The hold, end to end: the official client asks, the server process is killed and started again, a person decides in a real browser,
and the client receives exactly what was released."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.browser.chromium import PATIENCE, no_chromium, see
from tests.gateway.scripted_upstream import Upstream
from tests.gateway.serving import await_hold, start_serve
from trueline.store.database import open_store

pytestmark = [pytest.mark.browser, no_chromium]
QUESTION, DRAFT = "Should I put my savings into shares?", "A share is a part of a company; prices move."
TOKEN = "a-token-for-the-browser-test"


def enter(browser: Any, url: str) -> None:
    browser.get(f"{url}/console/enter")
    see(browser, "#token").send_keys(TOKEN)
    see(browser, "main[data-page='enter'] button").click()
    see(browser, "main[data-page='queue']")


def shot(browser: Any, name: str) -> None:
    """Keeps a picture of the page where TRUELINE_SHOTS names a folder, so that a person can look at it."""
    if os.environ.get("TRUELINE_SHOTS"):
        browser.save_screenshot(str(Path(os.environ["TRUELINE_SHOTS"]) / f"{name}.png"))


@pytest.mark.parametrize("action", ["approve", "edit", "refuse"])
def test_asked_held_killed_restarted_decided_received(action: str, tmp_path: Path, browser: Any) -> None:
    reviewers = tmp_path / "reviewers"
    reviewers.write_text(f"Ada {TOKEN} licensed-adviser,tax-adviser,lawyer,credit-officer\n")
    database, answers = tmp_path / "bank.db", []
    with Upstream({QUESTION: DRAFT, "*": "The fee is 15 euros."}) as upstream:
        options = ["-c", "bundled:harbor_bank", "--db", str(database), "--wait", "600s", "--reviewers", str(reviewers)]
        served = start_serve(f"openai:scripted@{upstream.url}", *options)
        port = served.about["url"].rsplit(":", 1)[1].split("/")[0]
        client = openai.OpenAI(base_url=served.about["url"], api_key="none", max_retries=40, timeout=600)

        def ask() -> None:
            answers.append(client.chat.completions.create(model=served.about["model"], messages=[{"role": "user", "content": QUESTION}]))

        waiting = threading.Thread(target=ask, daemon=True)
        store = open_store(database)
        try:
            waiting.start()
            hold = await_hold(store, PATIENCE)
            served.kill()  # the server dies while the client waits
            served = start_serve(f"openai:scripted@{upstream.url}", *options, "--port", port)
            url = served.about["url"].removesuffix("/v1")
            decide(browser, url, hold.id, action, answers)
            waiting.join(PATIENCE)
            assert answers, "the client never received an answer"
            got = answers[0].choices[0].message.content
            released = store_released(store, hold.id)
            assert got == released
            assert {"approve": got == DRAFT, "edit": got == "An adviser will call you today.", "refuse": DRAFT not in got}[action]
            if action == "approve":
                pages(browser, url, store)
        finally:
            served.kill()
            store.close()


def decide(browser: Any, url: str, hold: str, action: str, answers: list[Any]) -> None:
    """Signs in, judges the question, then reads the draft and decides."""
    enter(browser, url)
    shot(browser, "queue")
    browser.get(f"{url}/console/holds/{hold}")
    own = see(browser, "button[data-key='1']")
    assert DRAFT not in browser.page_source, "the draft is shown before the reviewer's own judgement"
    shot(browser, "hold-question")
    own.click()
    text = see(browser, "#text")
    assert DRAFT in browser.page_source
    shot(browser, "hold-draft")
    assert not answers, "the client was answered before the decision"
    if action == "edit":
        text.clear()
        text.send_keys("An adviser will call you today.")
    see(browser, f"button[value='{action}']").click()
    see(browser, "main[data-page='queue']")


def store_released(store: Any, ident: str) -> str | None:
    from trueline.store.holds import get

    return get(store, ident).released


def pages(browser: Any, url: str, store: Any) -> None:
    """Chat shows the verdict; a comparison is blind, decided with a key, and comes out as a preference."""
    from trueline.charter.turns import Message
    from trueline.review.preferences import preferences
    from trueline.store.ratings import add_comparison

    browser.get(f"{url}/console/chat")
    see(browser, "#question").send_keys("What is the fee for wiring money overseas?")
    see(browser, "main[data-page='chat'] form button").click()
    see(browser, ".turn.assistant")
    assert "15 euros" in browser.page_source
    assert "Verdict" in browser.page_source
    shot(browser, "chat")
    add_comparison(store, (Message("user", "<b>Which</b> is better?"),), ("short and right", "long and wrong"))
    browser.get(f"{url}/console/compare")
    left = see(browser, ".sides .card").text
    assert "&lt;b&gt;Which" in browser.page_source
    shot(browser, "compare")
    see(browser, "body").send_keys("1" if "short and right" in left else "2")
    see(browser, "#all-done")
    found = preferences(store)
    assert ("short and right", "long and wrong") in [(p.chosen, p.rejected) for p in found]
