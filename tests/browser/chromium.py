"""A real Chromium for tests, and how to wait for its pages."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
no_chromium = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="chromium or chromedriver is not installed")
PATIENCE = 120  # seconds for any one step: a busy machine may take its time, and a step that is done does not wait


def open_browser(profile: Path) -> Any:
    """A fresh browser with a profile of its own."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM or ""
    flags = [
        "headless",
        "no-sandbox",
        "disable-gpu",
        "disable-quic",
        "no-first-run",
        "disable-background-networking",
        "disable-component-update",
        "disable-sync",
    ]
    for flag in [*flags, f"user-data-dir={profile}", "window-size=1100,900"]:
        options.add_argument(f"--{flag}")
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    driver.set_page_load_timeout(PATIENCE)
    return driver


def see(browser: Any, css: str) -> Any:
    """The first element that fits, once it is there. A click returns before the page that it leads to: whoever goes on without waiting
    meets the old page, and a `get` on top of a form under way cancels it (a sign-in is lost, and the next page asks for the token)."""
    from selenium.common.exceptions import TimeoutException
    from selenium.webdriver.support.expected_conditions import presence_of_element_located
    from selenium.webdriver.support.wait import WebDriverWait

    try:
        return WebDriverWait(browser, PATIENCE).until(presence_of_element_located(("css selector", css)))
    except TimeoutException:
        text = browser.find_element("tag name", "body").text
        raise AssertionError(f"no {css} on {browser.current_url}, which says: {text[:600]}") from None
