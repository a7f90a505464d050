"""The console's sessions: who entered, who guessed, who left. A session is a signed cookie, so only those that were ended are kept,
and only for as long as their cookie would still count."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from sqlalchemy import delete, insert, select

from trueline.core.clock import iso
from trueline.store.database import Store
from trueline.store.log import append
from trueline.store.tables import ended_sessions

SUBJECT = "console"


def entered(store: Store, session: str, reviewer: str, address: str) -> None:
    """Logs that a reviewer entered. Raises `StoreError`: who cannot be written down does not enter."""
    with store.write() as conn:
        append(conn, store.now(), "console.entered", SUBJECT, {"reviewer": reviewer, "session": session, "from": address})


def refused(store: Store, body: Mapping[str, Any]) -> None:
    """Logs a wrong token; `body` says from where (as a keyed digest) and how many went before."""
    with store.write() as conn:
        append(conn, store.now(), "console.refused", SUBJECT, body)


def end(store: Store, session: str, reviewer: str, longest: timedelta) -> None:
    """Ends a session for good, also after a restart; forgets those older than `longest`, whose cookies count no more anyway."""
    with store.write() as conn:
        if conn.execute(select(ended_sessions.c.session).where(ended_sessions.c.session == session)).first() is not None:
            return
        conn.execute(delete(ended_sessions).where(ended_sessions.c.at < iso(store.clock() - longest)))
        conn.execute(insert(ended_sessions).values(session=session, at=store.now()))
        append(conn, store.now(), "console.left", SUBJECT, {"reviewer": reviewer, "session": session})


def ended(store: Store, session: str) -> bool:
    """Whether this session was ended."""
    with store.read() as conn:
        return conn.execute(select(ended_sessions.c.session).where(ended_sessions.c.session == session)).first() is not None
