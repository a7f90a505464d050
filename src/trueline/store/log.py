"""The decision log: append-only, each entry bound to the one before it by its hash, written in the transaction of what it tells.

hash = SHA-256 of the canonical JSON of {seq, at, kind, subject, body, previous}; the first `previous` is 64 zeros.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, insert, select

from trueline.charter.digests import canonical_json, digest_of
from trueline.store.database import Store
from trueline.store.tables import decisions

GENESIS = "0" * 64


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry: what happened (`kind`) to what (`subject`), and the digests and names that prove it (`body`)."""

    seq: int
    at: str
    kind: str
    subject: str
    body: Mapping[str, Any]
    previous: str
    hash: str


@dataclass(frozen=True, slots=True)
class Chain:
    """Whether the log is whole. `broken_at`: the first entry that does not fit; `head`: the last hash, to be kept elsewhere."""

    entries: int
    head: str
    broken_at: int | None
    reason: str = ""


def _hash(seq: int, at: str, kind: str, subject: str, body: str, previous: str) -> str:
    return digest_of({"seq": seq, "at": at, "kind": kind, "subject": subject, "body": body, "previous": previous})


def append(conn: Connection, at: str, kind: str, subject: str, body: Mapping[str, Any]) -> str:
    """Adds one entry inside the caller's transaction (`Store.write`: the chain has one end) and returns its hash."""
    last = conn.execute(select(decisions.c.seq, decisions.c.hash).order_by(decisions.c.seq.desc()).limit(1)).first()
    seq, previous = (last.seq + 1, str(last.hash)) if last else (1, GENESIS)
    written = canonical_json(dict(body))
    found = _hash(seq, at, kind, subject, written, previous)
    row = {"seq": seq, "at": at, "kind": kind, "subject": subject, "body": written, "previous": previous, "hash": found}
    conn.execute(insert(decisions).values(row))
    return found


def entries(store: Store, *, subject: str | None = None, after: int = 0, limit: int = 1000) -> tuple[Entry, ...]:
    """Entries in order, of one subject or of all, from `after` (exclusive) on."""
    query = select(decisions).where(decisions.c.seq > after).order_by(decisions.c.seq).limit(limit)
    if subject is not None:
        query = query.where(decisions.c.subject == subject)
    with store.read() as conn:
        rows = conn.execute(query).all()
    return tuple(Entry(r.seq, r.at, r.kind, r.subject, json.loads(r.body), r.previous, r.hash) for r in rows)


def _rows(conn: Connection, size: int = 1000) -> Iterator[Any]:
    after = 0
    while found := conn.execute(select(decisions).where(decisions.c.seq > after).order_by(decisions.c.seq).limit(size)).all():
        yield from found
        after = found[-1].seq


def verify(store: Store, *, head: str | None = None) -> Chain:
    """Walks the whole chain. With `head` (a hash kept outside the database) it also tells when the end was cut off."""
    previous, count, seen = GENESIS, 0, head is None
    with store.read() as conn:
        for r in _rows(conn):
            if r.seq != count + 1:
                return Chain(count, previous, count + 1, f"entry {count + 1} is missing")
            if r.previous != previous or r.hash != _hash(r.seq, r.at, r.kind, r.subject, r.body, r.previous):
                return Chain(count, previous, r.seq, f"entry {r.seq} was changed")
            previous, count, seen = r.hash, r.seq, seen or r.hash == head
    return Chain(count, previous, None) if seen else Chain(count, previous, count + 1, "the end of the log is missing")
