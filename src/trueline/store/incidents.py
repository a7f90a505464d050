"""Incidents: what went wrong at run time or in an attack, each tied to a clause."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Connection, func, insert, select

from trueline.charter.digests import digest_of
from trueline.core.records import Incident
from trueline.store.database import Store, new_id
from trueline.store.log import append
from trueline.store.rows import messages_read, messages_text
from trueline.store.tables import incidents


def put(conn: Connection, at: str, incident: Incident, exchange: str | None = None) -> str:
    """Writes an incident (an empty `id` or `created` is filled in) inside the caller's transaction; returns its id."""
    ident, created = incident.id or new_id("incident"), incident.created or at
    row = {
        "id": ident, "created": created, "kind": incident.kind, "clause": incident.clause, "exchange": exchange,
        "prompt": messages_text(incident.prompt), "reply": incident.reply, "note": incident.note,
    }  # fmt: skip
    conn.execute(insert(incidents).values(row))
    append(
        conn,
        at,
        "incident.added",
        ident,
        {"kind": incident.kind, "clause": incident.clause, "exchange": exchange, "content": digest_of(row)},
    )
    return ident


def add(store: Store, incident: Incident, *, exchange: str | None = None) -> str:
    """Stores an incident, with the exchange it happened in where there is one; returns its id."""
    with store.write() as conn:
        return put(conn, store.now(), incident, exchange)


def _read(r: Any) -> Incident:
    return Incident(r.id, r.kind, r.clause, messages_read(r.prompt), r.reply, r.created, r.note)


def latest(store: Store, *, clause: str | None = None, limit: int = 100) -> tuple[Incident, ...]:
    """The newest incidents (of one clause or all), newest first."""
    query = select(incidents).order_by(incidents.c.created.desc()).limit(limit)
    if clause is not None:
        query = query.where(incidents.c.clause == clause)
    with store.read() as conn:
        return tuple(_read(r) for r in conn.execute(query))


def known(store: Store, ids: Iterable[str]) -> frozenset[str]:
    """Those of `ids` under which an incident stands already."""
    wanted, found = sorted(set(ids)), set[str]()
    with store.read() as conn:
        for at in range(0, len(wanted), 500):  # databases bound the number of values in one question
            found.update(r.id for r in conn.execute(select(incidents.c.id).where(incidents.c.id.in_(wanted[at : at + 500]))))
    return frozenset(found)


def counts(store: Store) -> Mapping[tuple[str, str], int]:
    """How many incidents each (clause, kind) has."""
    query = select(incidents.c.clause, incidents.c.kind, func.count()).group_by(incidents.c.clause, incidents.c.kind)
    with store.read() as conn:
        return {(clause, kind): int(n) for clause, kind, n in conn.execute(query)}
