"""Holds: a finished reply (or tool call) withheld until a qualified person decides. One decision only; a timeout refuses.

A decision must carry the hash of what the reviewer saw: if an edit came in between, the hash no longer fits and the decision is a
conflict, never a release of something unseen. Where several approvals are asked for, they are those of different people on the
same content; an edit makes new content and stands as its editor's approval of it; one refusal ends the hold.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Literal, get_args

from sqlalchemy import Connection, func, insert, select, update

from trueline.charter.digests import digest_of
from trueline.charter.turns import Message, ToolCall
from trueline.core.clock import iso
from trueline.core.roles import entitling
from trueline.errors import StoreError
from trueline.store.database import Store, new_id
from trueline.store.exchanges import Exchange, put
from trueline.store.log import append
from trueline.store.rows import calls_read, calls_text, messages_read, messages_text
from trueline.store.tables import exchanges, holds, reviews

HoldState = Literal["pending", "approved", "edited", "refused", "expired"]
ReviewAction = Literal["approve", "edit", "refuse"]
REFUSED = "A person has looked at this question and decided that it is not answered here."
EXPIRED = "No person could look at this question in time, so it is not answered."


class HoldMissing(StoreError):
    """There is no hold with this id."""


class HoldForbidden(StoreError):
    """The reviewer does not have a role that may decide this hold."""


class HoldConflict(StoreError):
    """The hold is no longer what the reviewer saw: decided, expired or edited by another."""


@dataclass(frozen=True, slots=True)
class Reviewer:
    """A named person and the roles that the company gave them."""

    name: str
    roles: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Hold:
    """A withheld reply. `proposal` is what an approval would release now (the draft or the last edit), `content_hash` its seal;
    `by`: roles of which a reviewer needs one (`A and B`: both); `neutral`: what the client reads meanwhile; `released`: what it then got."""

    id: str
    exchange: str
    created: str
    expires: str
    clause: str
    reason: str
    by: tuple[str, ...]
    approvals: int
    request: tuple[Message, ...]
    draft: str
    tool_calls: tuple[ToolCall, ...]
    proposal: str
    proposal_calls: tuple[ToolCall, ...]
    content_hash: str
    neutral: str
    model: str
    charter: str
    state: HoldState = "pending"
    released: str | None = None
    released_calls: tuple[ToolCall, ...] = ()
    decided_by: str | None = None
    decided_at: str | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class HoldRule:
    """Who must look (`by`, any one role), how many (`approvals`) and how soon (`within`, seconds)."""

    clause: str
    by: tuple[str, ...]
    approvals: int
    within: float
    neutral: str


@dataclass(frozen=True, slots=True)
class ReviewRecord:
    """One reviewer's decision, as stored."""

    id: str
    hold: str
    created: str
    reviewer: str
    role: str
    action: ReviewAction
    content_hash: str
    result_hash: str
    text: str | None
    note: str
    judgement: str | None
    seconds: float | None


def seal(salt: str, clause: str, request: str, text: str, calls: str) -> str:
    """The content hash: what exactly would be released, to whom, under which clause. Salted: short replies cannot be guessed from it."""
    return digest_of([salt, clause, request, text, calls])


def read_hold(r: Any) -> Hold:
    """A row of `holds`."""
    return Hold(
        id=r.id, exchange=r.exchange, created=r.created, expires=r.expires, clause=r.clause, reason=r.reason,
        by=tuple(json.loads(r.by_roles)), approvals=r.approvals, request=messages_read(r.request), draft=r.draft,
        tool_calls=calls_read(r.tool_calls), proposal=r.proposal, proposal_calls=calls_read(r.proposal_calls),
        content_hash=r.content_hash, neutral=r.neutral, model=r.model, charter=r.charter, state=r.state, released=r.released,
        released_calls=calls_read(r.released_calls), decided_by=r.decided_by, decided_at=r.decided_at, note=r.note,
    )  # fmt: skip


def create(store: Store, exchange: Exchange, rule: HoldRule, draft: str, calls: Iterable[ToolCall] = (), reason: str = "") -> Hold:
    """Stores the exchange as held, the hold, and both log entries, in one transaction. Raises `StoreError`."""
    moment = store.clock()
    now, until, salt, ident = iso(moment), iso(moment + timedelta(seconds=rule.within)), secrets.token_hex(16), new_id("hold")
    request, written = messages_text(exchange.request), calls_text(calls)
    found = seal(salt, rule.clause, request, draft, written)
    row = {
        "id": ident, "exchange": exchange.id, "created": now, "expires": until, "clause": rule.clause, "reason": reason,
        "by_roles": json.dumps(list(rule.by)), "approvals": rule.approvals, "request": request, "draft": draft, "tool_calls": written,
        "proposal": draft, "proposal_calls": written, "salt": salt, "content_hash": found, "neutral": rule.neutral,
        "model": exchange.model, "charter": exchange.charter, "state": "pending", "released": None, "released_calls": "[]",
        "decided_by": None, "decided_at": None, "note": "",
    }  # fmt: skip
    with store.write() as conn:
        # the draft stands in the hold alone until it is released
        put(conn, now, replace(exchange, state="held", action="hold", clause=rule.clause, reply=None, draft=None, tool_calls=()))
        conn.execute(insert(holds).values(row))
        body = {"clause": rule.clause, "content_hash": found, "expires": until, "by": list(rule.by), "approvals": rule.approvals}
        append(conn, now, "hold.created", ident, body)
        return read_hold(conn.execute(select(holds).where(holds.c.id == ident)).one())


def get(store: Store, ident: str) -> Hold:
    """One hold. Raises `HoldMissing`."""
    with store.read() as conn:
        r = conn.execute(select(holds).where(holds.c.id == ident)).first()
    if r is None:
        raise HoldMissing(f"no hold {ident!r:.60}", remedy="look at the queue")
    return read_hold(r)


def of_exchange(store: Store, exchange: str) -> Hold | None:
    """The hold of an exchange, if it was held."""
    with store.read() as conn:
        r = conn.execute(select(holds).where(holds.c.exchange == exchange)).first()
    return None if r is None else read_hold(r)


def queue(
    store: Store, *, states: Iterable[HoldState] = ("pending",), roles: Iterable[str] | None = None, limit: int = 200
) -> tuple[Hold, ...]:
    """Holds in these states, the soonest to expire first; with `roles`, only those that one of them may decide."""
    query = select(holds).where(holds.c.state.in_(list(states))).order_by(holds.c.expires, holds.c.id)
    with store.read() as conn:
        found = (read_hold(r) for r in conn.execute(query))
        wanted = None if roles is None else set(roles)
        return tuple([h for h in found if wanted is None or entitling(wanted, h.by)][:limit])


def waiting_of(store: Store, key: str | None) -> int:
    """How many holds of a client's key wait."""
    query = select(func.count()).select_from(holds.join(exchanges, exchanges.c.id == holds.c.exchange)).where(holds.c.state == "pending")
    with store.read() as conn:
        return int(conn.execute(query.where(exchanges.c.key.is_(None) if key is None else exchanges.c.key == key)).scalar_one())


def decided(store: Store, *, roles: Iterable[str], limit: int) -> tuple[Hold, ...]:
    """The holds that were decided or expired last, the newest first; only those that one of these roles could decide."""
    query, wanted, found = select(holds).where(holds.c.state != "pending").order_by(holds.c.decided_at.desc()), set(roles), []
    with store.read() as conn:
        for r in conn.execute(query.execution_options(yield_per=limit)):
            if entitling(wanted, json.loads(r.by_roles)):
                found.append(read_hold(r))
            if len(found) == limit:
                break
    return tuple(found)


def counts(store: Store) -> Mapping[tuple[str, HoldState], int]:
    """How many holds each clause has in each state."""
    query = select(holds.c.clause, holds.c.state, func.count()).group_by(holds.c.clause, holds.c.state)
    with store.read() as conn:
        return {(clause, state): int(n) for clause, state, n in conn.execute(query)}


def reviews_of(store: Store, ident: str) -> tuple[ReviewRecord, ...]:
    """The decisions on a hold in order."""
    with store.read() as conn:
        found = conn.execute(select(reviews).where(reviews.c.hold == ident).order_by(reviews.c.created, reviews.c.id)).mappings()
        return tuple(ReviewRecord(**r) for r in found)


def _finish(conn: Connection, now: str, hold: Hold, state: HoldState, text: str, calls: str, by: str | None, note: str) -> None:
    """Resolves the hold and its exchange, and logs it."""
    values = {"state": state, "released": text, "released_calls": calls, "decided_by": by, "decided_at": now, "note": note}
    conn.execute(update(holds).where(holds.c.id == hold.id).values(values))
    reason = "content_filter" if state in ("refused", "expired") else "tool_calls" if calls != "[]" else "stop"
    reply = {"state": "completed", "reply": text, "tool_calls": calls, "finish_reason": reason, "finished": now}
    conn.execute(update(exchanges).where(exchanges.c.id == hold.exchange).values(reply))
    append(
        conn,
        now,
        f"hold.{state}",
        hold.id,
        {"by": by, "content_hash": hold.content_hash, "released": digest_of([hold.content_hash, text, calls])},
    )


def _checked(conn: Connection, now: str, ident: str, reviewer: Reviewer, seen: str) -> tuple[Hold, str, str]:
    """(hold, role that entitles, salt), or an error that says why this decision cannot stand."""
    r = conn.execute(select(holds).where(holds.c.id == ident)).first()
    if r is None:
        raise HoldMissing(f"no hold {ident!r:.60}", remedy="look at the queue")
    hold = read_hold(r)
    role = entitling(reviewer.roles, hold.by)
    if role is None:
        what = f"{reviewer.name} has the roles {', '.join(reviewer.roles) or 'none'}, expected one of {', '.join(hold.by)}"
        raise HoldForbidden(what, remedy="leave it to a qualified reviewer")
    if hold.state != "pending":
        raise HoldConflict(f"this hold is {hold.state} already, by {hold.decided_by or 'timeout'}", remedy="look at the next one")
    if hold.expires <= now:
        raise HoldConflict(f"this hold expired at {hold.expires}", remedy="look at the next one")
    if seen != hold.content_hash:
        raise HoldConflict("the reply was edited since you saw it", remedy="read it again, then decide")
    return hold, role, str(r.salt)


def decide(
    store: Store, ident: str, reviewer: Reviewer, action: ReviewAction, content_hash: str, *, text: str | None = None,
    tool_calls: Iterable[ToolCall] | None = None, note: str = "", judgement: str | None = None, seconds: float | None = None,
) -> Hold:  # fmt: skip
    """One reviewer's decision; returns the hold as it then stands (still pending where more approvals are needed).

    `content_hash`: that of the hold as the reviewer saw it. `text`: the edited reply for `edit` (the draft's tool calls fall away
    unless `tool_calls` gives them), or the refusal in the reviewer's own words for `refuse`. `judgement`: what they said before the
    draft was revealed; `seconds`: how long they looked. Raises `HoldMissing`, `HoldForbidden`, `HoldConflict`, `StoreError`."""
    if action not in get_args(ReviewAction):
        raise StoreError(f"the action is {action!r}, expected approve, edit or refuse", remedy="choose one of these")
    if action == "edit" and (text is None or (not text.strip() and not tool_calls)):
        raise StoreError("an edit needs the edited text", remedy="write the reply, or refuse")
    with store.write() as conn:
        now = store.now()  # under the lock: who waited for it until the hold had expired comes too late
        hold, role, salt = _checked(conn, now, ident, reviewer, content_hash)
        result = hold.content_hash
        if action == "edit":
            calls = calls_text(tool_calls or ())
            result = seal(salt, hold.clause, messages_text(hold.request), text or "", calls)
            values = {"proposal": text or "", "proposal_calls": calls, "content_hash": result}
            conn.execute(update(holds).where(holds.c.id == ident).values(values))
        row = {
            "id": new_id("review"), "hold": ident, "created": now, "reviewer": reviewer.name, "role": role[:64], "action": action,
            "content_hash": content_hash, "result_hash": result, "text": text, "note": note, "judgement": judgement, "seconds": seconds,
        }  # fmt: skip
        conn.execute(insert(reviews).values(row))
        body = {"review": row["id"], "reviewer": reviewer.name, "role": role, "action": action, "seen": content_hash, "left": result}
        append(conn, now, "hold.review", ident, body)
        _resolve(conn, now, ident, action, reviewer.name, text, note)
        return read_hold(conn.execute(select(holds).where(holds.c.id == ident)).one())


def _resolve(conn: Connection, now: str, ident: str, action: ReviewAction, by: str, text: str | None, note: str) -> None:
    hold = read_hold(conn.execute(select(holds).where(holds.c.id == ident)).one())
    if action == "refuse":
        _finish(conn, now, hold, "refused", text or REFUSED, "[]", by, note)
        return
    yes = select(func.count(func.distinct(reviews.c.reviewer))).where(
        reviews.c.hold == ident, reviews.c.action.in_(["approve", "edit"]), reviews.c.result_hash == hold.content_hash
    )
    if int(conn.execute(yes).scalar_one()) >= hold.approvals:
        changed = (hold.proposal, hold.proposal_calls) != (hold.draft, hold.tool_calls)
        _finish(conn, now, hold, "edited" if changed else "approved", hold.proposal, calls_text(hold.proposal_calls), by, note)


def expire_due(store: Store) -> tuple[Hold, ...]:
    """Refuses every pending hold whose time is over, and returns them. A timeout never releases."""
    now = store.now()
    due = select(holds).where(holds.c.state == "pending", holds.c.expires <= now)
    with store.read() as conn:  # without the write lock while nothing is due
        if conn.execute(due.limit(1)).first() is None:
            return ()
    with store.write() as conn:
        found = [read_hold(r) for r in conn.execute(due)]
        for hold in found:
            _finish(conn, now, hold, "expired", EXPIRED, "[]", None, "")
        return tuple(read_hold(conn.execute(select(holds).where(holds.c.id == h.id)).one()) for h in found)
