"""The hold, end to end: the official client asks, the server process is killed and started again, a person decides in a real browser,
and the client receives exactly what was released."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.gateway.scripted_upstream import Upstream
from tests.gateway.serving import await_hold, start_serve
from trueline.store.database import open_store

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = [pytest.mark.browser, pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="chromium or chromedriver is not installed")]
QUESTION, DRAFT = "Should I put my savings into shares?", "A share is a part of a company; prices move."
TOKEN = "a-token-for-the-browser-test"


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Any]:
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM or ""
    flags = [
        "headless=new",
        "no-sandbox",
        "disable-gpu",
        "disable-quic",
        "no-first-run",
        "disable-background-networking",
        "disable-component-update",
        "disable-sync",
    ]
    for flag in [*flags, f"user-data-dir={tmp_path / 'profile'}", "window-size=1100,900"]:
        options.add_argument(f"--{flag}")
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    driver.set_page_load_timeout(30)
    yield driver
    driver.quit()


def enter(browser: Any, url: str) -> None:
    browser.get(f"{url}/console/enter")
    browser.find_element("id", "token").send_keys(TOKEN)
    browser.find_element("css selector", "button").click()


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
        options = ["-c", "bundled:harbor_bank", "--db", str(database), "--wait", "120s", "--reviewers", str(reviewers)]
        served = start_serve(f"openai:scripted@{upstream.url}", *options)
        port = served.about["url"].rsplit(":", 1)[1].split("/")[0]
        client = openai.OpenAI(base_url=served.about["url"], api_key="none", max_retries=10, timeout=180)

        def ask() -> None:
            answers.append(client.chat.completions.create(model=served.about["model"], messages=[{"role": "user", "content": QUESTION}]))

        waiting = threading.Thread(target=ask, daemon=True)
        waiting.start()
        store = open_store(database)
        hold = await_hold(store, 30)
        served.kill()  # the server dies while the client waits
        served = start_serve(f"openai:scripted@{upstream.url}", *options, "--port", port)
        try:
            url = served.about["url"].removesuffix("/v1")
            enter(browser, url)
            shot(browser, "queue")
            browser.get(f"{url}/console/holds/{hold.id}")
            assert DRAFT not in browser.page_source, "the draft is shown before the reviewer's own judgement"
            shot(browser, "hold-question")
            browser.find_element("css selector", "a.button[data-key='1']").click()
            assert DRAFT in browser.page_source
            shot(browser, "hold-draft")
            assert not answers, "the client was answered before the decision"
            text = browser.find_element("id", "text")
            if action == "edit":
                text.clear()
                text.send_keys("An adviser will call you today.")
            browser.find_element("css selector", f"button[value='{action}']").click()
            waiting.join(60)
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


def store_released(store: Any, ident: str) -> str | None:
    from trueline.store.holds import get

    return get(store, ident).released


def pages(browser: Any, url: str, store: Any) -> None:
    """Chat shows the verdict; a comparison is blind, decided with a key, and comes out as a preference."""
    from trueline.charter.turns import Message
    from trueline.review.preferences import preferences
    from trueline.store.ratings import add_comparison

    browser.get(f"{url}/console/chat")
    browser.find_element("id", "question").send_keys("What is the fee for wiring money overseas?")
    browser.find_element("css selector", "form button").click()
    assert "15 euros" in browser.page_source
    assert "Verdict" in browser.page_source
    shot(browser, "chat")
    add_comparison(store, (Message("user", "<b>Which</b> is better?"),), ("short and right", "long and wrong"))
    browser.get(f"{url}/console/compare")
    assert "&lt;b&gt;Which" in browser.page_source
    shot(browser, "compare")
    left = browser.find_elements("css selector", ".sides .card")[0].text
    browser.find_element("tag name", "body").send_keys("1" if left == "short and right" else "2")
    browser.get(f"{url}/console/compare")
    assert "All done" in browser.page_source
    found = preferences(store)
    assert ("short and right", "long and wrong") in [(p.chosen, p.rejected) for p in found]
