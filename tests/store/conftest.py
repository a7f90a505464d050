"""Every test that asks for `where` or `store` runs on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.store.postgres import emptied, server
from trueline.core.clock import FixedClock
from trueline.store.database import Store, open_store

postgres = pytest.fixture(scope="session")(server)


@pytest.fixture(params=["sqlite", "postgresql"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty database."""
    return str(tmp_path / "t.db") if request.param == "sqlite" else emptied(request.getfixturevalue("postgres"))


@pytest.fixture
def clock() -> FixedClock:
    """A clock that stands still."""
    return FixedClock()


@pytest.fixture
def store(where: str, clock: FixedClock) -> Iterator[Store]:
    """An open store."""
    opened = open_store(where, clock=clock)
    yield opened
    opened.close()
