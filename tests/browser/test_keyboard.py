"""The console with the keyboard alone, in a real browser: what each key does, and what none may do by accident."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from tests.browser.chromium import PATIENCE, no_chromium, see
from tests.review.test_console import DRAFT, Bench
from trueline.charter.turns import Message
from trueline.store import holds, ratings

pytestmark = [pytest.mark.browser, no_chromium]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[tuple[Bench, str]]:
    """A console over real sockets, and its address."""
    made = Bench(tmp_path)
    bound = socket.socket()
    bound.bind(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(made.app, log_level="critical", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]}, daemon=True)
    thread.start()
    yield made, f"http://127.0.0.1:{bound.getsockname()[1]}/console"
    server.should_exit = True
    thread.join(PATIENCE)


def press(browser: Any, *keys: str) -> None:
    """Presses keys wherever the focus is."""
    from selenium.webdriver.common.action_chains import ActionChains

    ActionChains(browser).send_keys(*keys).perform()


def until(found: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not found():
        assert time.monotonic() < end
        time.sleep(0.1)


def test_a_hold_is_judged_edited_and_released_by_keys(bench: tuple[Bench, str], browser: Any) -> None:
    from selenium.webdriver.common.keys import Keys

    made, url = bench
    hold = made.held()
    browser.get(url)  # leads to the entrance, whose field has the focus
    see(browser, "#token:focus")
    press(browser, "a-token-of-ada-0001", Keys.ENTER)
    see(browser, "main[data-page='queue'] tbody kbd")
    press(browser, "1")
    see(browser, "button[name='judgement']")
    assert DRAFT not in browser.page_source
    press(browser, "a", "r", "e")  # keys of the decision do nothing before the judgement
    press(browser, "2")
    see(browser, "#text")
    release = see(browser, "button[value='approve']")
    press(browser, "n")
    see(browser, "#note:focus")
    press(browser, "a note, are", Keys.ENTER)  # letters are text here, and Enter decides nothing
    press(browser, Keys.ESCAPE, "x")
    see(browser, "#text:focus")
    assert release.is_enabled()
    press(browser, " Ask in the branch.")
    assert not release.is_enabled(), "a changed text must not be released as the draft"
    press(browser, Keys.ESCAPE, "a")
    time.sleep(0.5)
    assert holds.get(made.store, hold.id).state == "pending"
    press(browser, "e")
    see(browser, "main[data-page='queue']")
    found = holds.get(made.store, hold.id)
    assert (found.state, found.note, found.decided_by) == ("edited", "a note, are", "Ada")
    assert found.released == f"{DRAFT} Ask in the branch."
    assert holds.reviews_of(made.store, hold.id)[0].seconds is not None


def test_a_held_key_judges_one_pair_and_the_queue_comes_alive(bench: tuple[Bench, str], browser: Any) -> None:
    from selenium.webdriver.common.keys import Keys

    made, url = bench
    for n in range(3):
        ratings.add_comparison(made.store, (Message("user", f"Question {n}?"),), ("one", "two"))
    browser.get(f"{url}/compare")
    see(browser, "#token:focus")
    press(browser, "a-token-of-ada-0001", Keys.ENTER)
    see(browser, "main[data-page='compare'] .sides")  # the page that was asked for
    # a key that is held down repeats its event: only the first counts
    browser.execute_script(
        "const b = document.body; for (let i = 0; i < 5; i++)"
        " b.dispatchEvent(new KeyboardEvent('keydown', {key: '1', bubbles: true, repeat: i > 0}));"
    )
    until(lambda: ratings.comparison_counts(made.store, "Ada")[0] == 1)
    see(browser, ".crumb")
    until(lambda: "1 of 3 done" in browser.page_source)
    press(browser, "q")
    see(browser, "main[data-page='queue']")
    assert "Nothing waiting" in browser.page_source
    made.held()
    until(lambda: "1 waiting" in browser.page_source)  # by itself
    assert browser.title.startswith("(1)")
    assert not [e for e in browser.get_log("browser") if "Content Security Policy" in e["message"]]
