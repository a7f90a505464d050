"""The fixture of the browser tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.chromium import open_browser


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Any]:
    """A browser for one test."""
    driver = open_browser(tmp_path / "profile")
    yield driver
    driver.quit()
