"""What a reviewer judged before the draft was shown. Said once: the first judgement stands, and without one there is no decision."""

from __future__ import annotations

from typing import Literal, get_args

from sqlalchemy import Connection, insert, select

from trueline.core.roles import entitling
from trueline.errors import StoreError
from trueline.store.database import Store
from trueline.store.holds import Hold, HoldConflict, HoldForbidden, HoldMissing, Reviewer, read_hold
from trueline.store.log import append
from trueline.store.tables import holds, judgements

Judgement = Literal["answer", "careful", "refuse"]


def _first(conn: Connection, hold: str, reviewer: str) -> str | None:
    query = select(judgements.c.judgement).where(judgements.c.hold == hold, judgements.c.reviewer == reviewer)
    return conn.execute(query).scalar_one_or_none()


def judgement_of(store: Store, hold: str, reviewer: str) -> str | None:
    """What this reviewer judged of this hold, or None as long as they have not."""
    with store.read() as conn:
        return _first(conn, hold, reviewer)


def judge(store: Store, ident: str, reviewer: Reviewer, judgement: str) -> Hold:
    """Keeps and logs the judgement; a second one changes nothing. Raises `HoldMissing`, `HoldForbidden`, `HoldConflict`, `StoreError`."""
    if judgement not in get_args(Judgement):
        raise StoreError(f"the judgement is {judgement!r:.40}, expected {', '.join(get_args(Judgement))}", remedy="use the buttons")
    with store.write() as conn:  # all of it under the lock: a hold that is decided meanwhile is over
        now, r = store.now(), conn.execute(select(holds).where(holds.c.id == ident)).first()
        if r is None:
            raise HoldMissing(f"no hold {ident!r:.60}", remedy="look at the queue")
        hold = read_hold(r)
        if entitling(reviewer.roles, hold.by) is None:
            raise HoldForbidden(f"{reviewer.name} may not decide this hold, {' or '.join(hold.by)} may", remedy="leave it to them")
        if hold.state != "pending" or hold.expires <= now:
            raise HoldConflict("this hold is over", remedy="look at the next one")
        if _first(conn, ident, reviewer.name) is None:
            conn.execute(insert(judgements).values(hold=ident, reviewer=reviewer.name, created=now, judgement=judgement))
            append(conn, now, "hold.judged", ident, {"reviewer": reviewer.name, "judgement": judgement, "content_hash": hold.content_hash})
    return hold
