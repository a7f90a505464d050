"""Exchanges: every question that the gateway took and what it answered, with both verdicts and what decided the reply."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from sqlalchemy import Connection, func, insert, select, update

from trueline.charter.digests import canonical_json, digest_of
from trueline.charter.turns import Message, ToolCall
from trueline.core.records import Action, Verdict
from trueline.store.database import Store
from trueline.store.log import append
from trueline.store.rows import calls_read, calls_text, messages_read, messages_text, verdict_read, verdict_text
from trueline.store.tables import exchanges

State = Literal["open", "held", "completed", "failed"]


@dataclass(frozen=True, slots=True)
class Exchange:
    """One question and its answer. `reply` is what the client got (None until it did), `draft` what the model wrote where that
    differs; `identity`: JSON-able facts that decide the reply; `charter`: digest; `action` and `clause`: the verdict that counted."""

    id: str
    created: str
    state: State
    route: str
    key: str | None
    model: str
    identity: Mapping[str, Any]
    charter: str
    request: tuple[Message, ...]
    request_digest: str
    reply: str | None = None
    draft: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    finish_reason: str | None = None
    input_verdict: Verdict | None = None
    output_verdict: Verdict | None = None
    action: Action = "allow"
    clause: str | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    finished: str | None = None


def _values(e: Exchange) -> dict[str, Any]:
    return {
        "id": e.id, "created": e.created, "finished": e.finished, "state": e.state, "route": e.route, "key": e.key, "model": e.model,
        "identity": canonical_json(dict(e.identity)), "charter": e.charter, "request": messages_text(e.request),
        "request_digest": e.request_digest, "draft": e.draft, "reply": e.reply, "tool_calls": calls_text(e.tool_calls),
        "finish_reason": e.finish_reason, "input_verdict": verdict_text(e.input_verdict), "output_verdict": verdict_text(e.output_verdict),
        "clause": e.clause, "action": e.action, "input_tokens": e.input_tokens, "output_tokens": e.output_tokens,
    }  # fmt: skip


def _read(r: Any) -> Exchange:
    return Exchange(
        id=r.id, created=r.created, finished=r.finished, state=r.state, route=r.route, key=r.key, model=r.model,
        identity=json.loads(r.identity), charter=r.charter, request=messages_read(r.request), request_digest=r.request_digest,
        draft=r.draft, reply=r.reply, tool_calls=calls_read(r.tool_calls), finish_reason=r.finish_reason,
        input_verdict=verdict_read(r.input_verdict), output_verdict=verdict_read(r.output_verdict), clause=r.clause,
        action=r.action, input_tokens=r.input_tokens, output_tokens=r.output_tokens,
    )  # fmt: skip


def proof(e: Exchange) -> dict[str, Any]:
    """What the log keeps of an exchange: names and digests, no words of anyone."""
    return {
        "state": e.state, "route": e.route, "key": e.key, "charter": e.charter, "identity": digest_of(dict(e.identity)),
        "action": e.action, "clause": e.clause, "content": digest_of([e.id, e.request_digest, e.reply, calls_text(e.tool_calls)]),
    }  # fmt: skip


def put(conn: Connection, at: str, e: Exchange) -> None:
    """Writes or replaces an exchange, with its log entry, inside the caller's transaction."""
    values = _values(e)
    if conn.execute(select(exchanges.c.id).where(exchanges.c.id == e.id)).first() is None:
        conn.execute(insert(exchanges).values(values))
    else:
        conn.execute(update(exchanges).where(exchanges.c.id == e.id).values(values))
    append(conn, at, f"exchange.{e.state}", e.id, proof(e))


def record(store: Store, e: Exchange) -> None:
    """Writes an exchange (again, when its state moves on). Raises `StoreError`."""
    with store.write() as conn:
        put(conn, store.now(), e)


def abandon(store: Store, before: str) -> int:
    """Closes as failed what was begun before this time and never ended: its gateway was killed in mid-stream. Returns how many."""
    query = select(exchanges).where(exchanges.c.state == "open", exchanges.c.created < before)
    with store.read() as conn:  # without the write lock while there is none
        if conn.execute(query.limit(1)).first() is None:
            return 0
    with store.write() as conn:
        found = [_read(r) for r in conn.execute(query)]
        for e in found:
            put(conn, store.now(), replace(e, state="failed", finished=store.now()))
    return len(found)


def get(store: Store, ident: str) -> Exchange | None:
    """One exchange by the completion's id."""
    with store.read() as conn:
        r = conn.execute(select(exchanges).where(exchanges.c.id == ident)).first()
    return None if r is None else _read(r)


def latest(store: Store, limit: int = 100) -> tuple[Exchange, ...]:
    """The newest exchanges, newest first."""
    with store.read() as conn:
        return tuple(_read(r) for r in conn.execute(select(exchanges).order_by(exchanges.c.created.desc()).limit(limit)))


def same_request(store: Store, digest: str, key: str | None, since: str) -> Exchange | None:
    """The newest held or once-held exchange of an equal request of the same key: what a client that retries is after."""
    query = select(exchanges).where(exchanges.c.request_digest == digest, exchanges.c.created >= since, exchanges.c.action == "hold")
    query = query.where(exchanges.c.key.is_(None) if key is None else exchanges.c.key == key)
    with store.read() as conn:
        r = conn.execute(query.order_by(exchanges.c.created.desc()).limit(1)).first()
    return None if r is None else _read(r)


def counts(store: Store) -> Mapping[tuple[str | None, str], int]:
    """How often each (clause, action) was the verdict that counted."""
    query = select(exchanges.c.clause, exchanges.c.action, func.count()).group_by(exchanges.c.clause, exchanges.c.action)
    with store.read() as conn:
        return {(clause, action): int(n) for clause, action, n in conn.execute(query)}
