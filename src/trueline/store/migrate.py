"""Brings a database to the newest form with Alembic; the steps travel inside the package."""

from __future__ import annotations

from pathlib import Path

from alembic.command import upgrade
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from trueline.errors import StoreError
from trueline.store.database import Store

STEPS = Path(__file__).parent / "migrations"


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(STEPS).replace("%", "%%"))
    return config


def revision(store: Store) -> str | None:
    """The form the database is in; None where it is empty."""
    with store.read() as conn:
        return MigrationContext.configure(conn).get_current_revision()


def newest() -> str:
    """The form this code writes."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    assert head is not None, "the package lost its migrations"
    return head


def to_newest(store: Store) -> None:
    """Runs the missing steps in one transaction, one process at a time. Raises `StoreError` for a database that is newer than this code
    or cannot keep every letter."""
    config = _config()
    known = {s.revision for s in ScriptDirectory.from_config(config).walk_revisions()}
    with store.write() as conn:
        if conn.dialect.name == "postgresql" and (found := conn.execute(text("show server_encoding")).scalar_one()) != "UTF8":
            what = f"the database {store.url} has the encoding {found}, expected UTF8: it cannot keep every letter"
            raise StoreError(what, remedy="create it with `encoding 'UTF8' template template0`")
        at = MigrationContext.configure(conn).get_current_revision()
        if at is not None and at not in known:
            what = f"the database {store.url} has form {at!r}, which this version of Trueline does not know"
            raise StoreError(what, remedy="use the newer Trueline that wrote it, or another database")
        if at != newest():
            config.attributes["connection"] = conn
            upgrade(config, "head")
