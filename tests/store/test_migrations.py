"""From every older form to the newest with rows in all tables, on SQLite and on PostgreSQL: nothing lost, nothing half done."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.command import upgrade
from alembic.runtime.migration import MigrationContext
from sqlalchemy import MetaData, Table, create_engine, insert, inspect, select, text
from sqlalchemy.engine import make_url

from trueline.core.clock import FixedClock
from trueline.errors import StoreError
from trueline.store import exchanges, holds, log
from trueline.store.database import Store, open_store
from trueline.store.holds import Reviewer
from trueline.store.judgements import judge, judgement_of
from trueline.store.migrate import _config, newest, revision
from trueline.store.tables import metadata

THEN, LATER = "2026-01-01T00:00:00.000000+00:00", "2026-01-01T04:00:00.000000+00:00"
SAID = json.dumps([{"role": "user", "content": "Should I buy? 株 🙂"}])
OLD = ("0001", "0002")


def exchange(ident: str, state: str) -> dict[str, Any]:
    return {
        "id": ident, "created": THEN, "finished": None, "state": state, "route": "chat", "key": "shop", "model": "bank", "identity": "{}",
        "charter": "c" * 64, "request": SAID, "request_digest": "d" * 64, "draft": None, "reply": None, "tool_calls": "[]",
        "finish_reason": None, "input_verdict": "null", "output_verdict": "null", "clause": "advice", "action": "hold", "input_tokens": 1,
        "output_tokens": 2,
    }  # fmt: skip


def hold(ident: str, of: str, state: str) -> dict[str, Any]:
    over = state != "pending"
    return {
        "id": ident, "exchange": of, "created": THEN, "expires": LATER, "clause": "advice", "reason": "r", "by_roles": '["adviser"]',
        "approvals": 1, "request": SAID, "draft": "Buy.", "tool_calls": "[]", "proposal": "Buy.", "proposal_calls": "[]", "salt": "s" * 32,
        "content_hash": "h" * 64, "neutral": "Wait.", "model": "bank", "charter": "c" * 64, "state": state, "note": "",
        "released": "Buy." if over else None, "released_calls": "[]", "decided_by": "Eve" if over else None,
        "decided_at": THEN if over else None,
    }  # fmt: skip


ROWS: dict[str, list[dict[str, Any]]] = {
    "exchanges": [exchange("chatcmpl-1", "held"), exchange("chatcmpl-2", "completed")],
    "holds": [hold("hold-1", "chatcmpl-1", "pending"), hold("hold-2", "chatcmpl-2", "approved")],
    "reviews": [
        {
            "id": "review-1", "hold": "hold-2", "created": THEN, "reviewer": "Eve", "role": "adviser", "action": "approve",
            "content_hash": "h" * 64, "result_hash": "h" * 64, "text": None, "note": "", "judgement": "careful", "seconds": 3.5,
        }
    ],
    "comparisons": [
        {
            "id": "pair-1", "created": THEN, "prompt": SAID, "replies": '["a", "b"]', "models": "[{}, {}]", "clause": None, "source": "t",
        }
    ],
    "ratings": [
        {
            "id": "rating-1", "created": THEN, "kind": "comparison", "rater": "Eve", "comparison": "pair-1", "hold": None, "prompt": SAID,
            "replies": '["a", "b"]', "value": 1.0, "text": None, "sides": "[0, 1]", "seconds": None, "clause": None,
        },
    ],
    "incidents": [
        {
            "id": "incident-1", "created": THEN, "kind": "report", "clause": "advice", "exchange": "chatcmpl-2", "prompt": SAID, "reply": "Buy.",
            "note": "",
        },
    ],
    "api_keys": [{"name": "shop", "hash": "k" * 64, "created": THEN, "wait": 2.5, "revoked": None}],
}  # fmt: skip
JUDGED = {"hold": "hold-1", "reviewer": "Eve", "created": THEN, "judgement": "refuse"}


def rows(store: Store, tables: list[str]) -> dict[str, list[Any]]:
    """All rows as they stand, whatever columns there are."""
    with store.read() as conn:
        found = {n: Table(n, MetaData(), autoload_with=conn) for n in tables}
        return {n: [dict(r) for r in conn.execute(select(t).order_by(*t.primary_key.columns)).mappings()] for n, t in found.items()}


def old(where: str, form: str) -> tuple[Store, dict[str, list[Any]]]:
    """A database as that form's Trueline left it, with rows in every table."""
    store = open_store(where, clock=FixedClock(), migrate=False)
    with store.write() as conn:
        config = _config()
        config.attributes["connection"] = conn
        upgrade(config, form)
    with store.write() as conn:
        for name, written in ROWS.items():
            conn.execute(insert(Table(name, MetaData(), autoload_with=conn)), written)
        if form >= "0002":
            conn.execute(insert(Table("judgements", MetaData(), autoload_with=conn)), [JUDGED])
        for n in range(3):
            log.append(conn, THEN, "hold.created", f"hold-{n}", {"n": n})
    with store.read() as conn:
        tables = sorted(set(inspect(conn).get_table_names()) - {"alembic_version"})
    assert revision(store) == form
    before = rows(store, tables)
    assert all(before.values()), "a table without rows proves nothing"
    return store, before


@pytest.mark.parametrize("form", OLD)
def test_rows_of_an_older_form_come_through_whole_and_go_on(where: str, form: str) -> None:
    made, before = old(where, form)
    made.close()
    store = open_store(where, clock=FixedClock())
    assert revision(store) == newest()
    after = rows(store, list(before))
    for name, written in before.items():
        assert [{k: r[k] for k in w} for r, w in zip(after[name], written, strict=True)] == written
    with store.read() as conn:
        assert compare_metadata(MigrationContext.configure(conn), metadata) == []
    assert (log.verify(store).entries, log.verify(store).broken_at) == (3, None)
    ada, pending = Reviewer("Ada", ("adviser",)), holds.queue(store)[0]
    judge(store, pending.id, ada, "careful")
    assert judgement_of(store, pending.id, "Ada") == "careful"
    assert judgement_of(store, pending.id, "Eve") == ("refuse" if form >= "0002" else None)
    assert holds.decide(store, pending.id, ada, "approve", pending.content_hash).state == "approved"
    done = exchanges.get(store, "chatcmpl-1")
    assert done is not None
    assert (done.state, done.reply, done.request[0].content) == ("completed", "Buy.", "Should I buy? 株 🙂")
    with pytest.raises(StoreError, match="append-only"), store.write() as conn:
        conn.execute(text("delete from decisions"))
    assert log.verify(store).broken_at is None
    store.close()


def test_every_older_form_is_tried() -> None:
    from alembic.script import ScriptDirectory

    known = [s.revision for s in ScriptDirectory.from_config(_config()).walk_revisions()]
    assert sorted(known)[:-1] == list(OLD)


def test_gateways_that_start_at_once_bring_it_up_once(where: str) -> None:
    made, before = old(where, "0001")
    made.close()
    with ThreadPoolExecutor(4) as pool:
        opened = list(pool.map(lambda _: open_store(where, clock=FixedClock()), range(4)))
    assert {revision(s) for s in opened} == {newest()}
    assert rows(opened[0], list(before))["holds"] == before["holds"]
    for s in opened:
        s.close()


def test_a_step_that_fails_leaves_the_form_that_was(where: str) -> None:
    made, before = old(where, "0001")
    with made.write() as conn:
        conn.execute(text("create table ended_sessions (x integer)"))  # in the way of 0003: 0002 has run by then
    made.close()
    with pytest.raises(StoreError, match="ended_sessions"):
        open_store(where)
    store = open_store(where, migrate=False)
    assert revision(store) == "0001"
    with store.read() as conn:
        assert "judgements" not in inspect(conn).get_table_names()
    assert rows(store, list(before)) == before
    with store.write() as conn:
        conn.execute(text("drop table ended_sessions"))
    store.close()
    again = open_store(where)
    assert revision(again) == newest()
    again.close()


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_a_database_that_cannot_keep_every_letter_is_refused_at_the_start(postgres: str, encoding: str) -> None:
    engine = create_engine(postgres, isolation_level="AUTOCOMMIT")
    name = f"trueline_{encoding.lower()}"
    with engine.connect() as conn:
        conn.execute(text(f"drop database if exists {name}"))
        conn.execute(text(f"create database {name} encoding '{encoding}' template template0 lc_collate 'C' lc_ctype 'C'"))
    url = make_url(postgres).set(database=name).render_as_string(hide_password=False)
    with pytest.raises(StoreError, match=f"encoding {encoding}, expected UTF8"):
        open_store(url)
    with engine.connect() as conn:
        conn.execute(text(f"drop database {name} with (force)"))
    engine.dispose()
