"""The database: opens it, brings it to the newest form, and gives out transactions.

SQLite by default (write-ahead log, one writer at a time, readers never wait); a `postgresql+psycopg://` URL runs the same code.
A write transaction takes its lock at the start (BEGIN IMMEDIATE; on PostgreSQL an advisory lock), so that two gateways on one database
cannot interleave a read and the write that depends on it, and the log has one end. Nobody waits for it longer than `BUSY_MS`.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError

from trueline.core.clock import Clock, iso, utc_now
from trueline.errors import StoreError

BUSY_MS = 10_000
_ID = re.compile(r"[\w.:+-]{1,64}", re.ASCII)
_LOCK = 7_236_012  # PostgreSQL advisory lock: one writer at a time


class DatabaseFailed(StoreError):
    """The database did not do what it was asked, through no fault of who asked."""


@dataclass(frozen=True, slots=True)
class Store:
    """An open database. All functions of this room take it first; `clock` says what time it is."""

    engine: Engine
    clock: Clock = utc_now

    @property
    def url(self) -> str:
        """Where it is, without a password."""
        return self.engine.url.render_as_string(hide_password=True)

    def now(self) -> str:
        """The present moment as it is written."""
        return iso(self.clock())

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that sees one state. Raises `DatabaseFailed`."""
        with _told(self.url), self.engine.connect() as conn:
            if conn.dialect.name == "postgresql":
                conn = conn.execution_options(isolation_level="REPEATABLE READ")
            with conn.begin():
                yield conn

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that writes, alone: all of it or nothing. Raises `DatabaseFailed`."""
        with _told(self.url), self.engine.connect() as conn:
            conn = conn.execution_options(trueline_write=True)
            if conn.dialect.name == "postgresql":
                # whatever the server's default is: after the wait for the lock we must see what was written meanwhile
                conn = conn.execution_options(isolation_level="READ COMMITTED")
            with conn.begin():
                if conn.dialect.name == "postgresql":
                    conn.execute(text(f"set local lock_timeout = {BUSY_MS}"))
                    conn.execute(text("select pg_advisory_xact_lock(:n)"), {"n": _LOCK})
                yield conn

    def ping(self) -> None:
        """Raises `DatabaseFailed` when the database does not answer."""
        with self.read() as conn:
            conn.execute(text("select 1"))

    def close(self) -> None:
        """Gives the connections back."""
        self.engine.dispose()


@contextmanager
def _told(url: str) -> Iterator[None]:
    try:
        yield
    except DBAPIError as e:
        what = f"the database {url} failed: {e.orig or e}"
        raise DatabaseFailed(what, remedy="check that it is there, writable and not full, then try again") from e
    except SQLAlchemyError as e:
        raise DatabaseFailed(f"the database {url} failed: {e}", remedy="run `trueline doctor`") from e


def _tune_sqlite(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def on_connect(raw: Any, _: Any) -> None:
        raw.isolation_level = None  # we begin ourselves, below
        cursor = raw.cursor()
        # FULL: a decision that was told to a client survives a power cut
        for pragma in (f"busy_timeout={BUSY_MS}", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            cursor.execute(f"pragma {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def on_begin(conn: Connection) -> None:
        conn.exec_driver_sql("BEGIN IMMEDIATE" if conn.get_execution_options().get("trueline_write") else "BEGIN")


def _postgresql(url: URL) -> Engine:
    # client_encoding: a server of encoding SQL_ASCII would send bytes, and fail before it can be told that it does not do
    given = {"client_encoding": "utf8", "connect_timeout": BUSY_MS // 1000}
    return create_engine(url, pool_pre_ping=True, connect_args={k: v for k, v in given.items() if k not in url.query})


def url_of(where: str | Path) -> str:
    """The database URL that a file name or URL means."""
    return str(where) if "://" in str(where) else f"sqlite:///{Path(where).expanduser()}"


def open_store(where: str | Path, *, clock: Clock = utc_now, migrate: bool = True) -> Store:
    """Opens (and by default creates and migrates) the database in a file or at a URL.

    Raises `StoreError` for what cannot be opened, and for a database that a newer Trueline has written."""
    url = url_of(where)
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() not in ("sqlite", "postgresql"):
            raise ArgumentError(f"{parsed.get_backend_name()} is not supported")
        if parsed.get_backend_name() == "sqlite" and parsed.database not in (None, "", ":memory:"):
            Path(str(parsed.database)).parent.mkdir(parents=True, exist_ok=True)
        engine = create_engine(parsed) if parsed.get_backend_name() == "sqlite" else _postgresql(parsed)
    except (ArgumentError, NoSuchModuleError) as e:
        remedy = "give a file name, or postgresql+psycopg://user@host/name"
        raise StoreError(f"{str(where)!r:.80} is no database: {e}", remedy=remedy) from None
    except ImportError as e:
        raise StoreError(f"the driver {e.name!r} is missing", remedy="pip install 'trueline[postgres]'") from None
    except OSError as e:
        raise StoreError(f"cannot make the folder of {where}: {e.strerror}", remedy="choose another place") from None
    if engine.dialect.name == "sqlite":
        _tune_sqlite(engine)
    store = Store(engine, clock)
    if migrate:
        from trueline.store.migrate import to_newest  # Alembic weighs 100 ms; only opening needs it

        with _told(store.url):
            to_newest(store)
    return store


def is_id(text: str) -> bool:
    """Whether this can be an identifier at all: PostgreSQL fails at some texts instead of not finding them."""
    return _ID.fullmatch(text) is not None


def new_id(kind: str) -> str:
    """A fresh identifier that cannot be guessed: `hold-` and 32 hex digits."""
    return f"{kind}-{secrets.token_hex(16)}"
