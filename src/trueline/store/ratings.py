"""Ratings: blind comparisons of two replies, edits, and whatever else people judge. Sides are fixed per rater and stored."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, insert, select

from trueline.charter.digests import canonical_json, digest_of, sha256_text
from trueline.charter.turns import Message
from trueline.core.records import Rating
from trueline.errors import StoreError
from trueline.store.database import Store, new_id
from trueline.store.log import append
from trueline.store.rows import messages_read, messages_text
from trueline.store.tables import comparisons, ratings


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two replies to one prompt that wait for judgements. `models`: identity of what wrote each; `source`: where it came from."""

    id: str
    created: str
    prompt: tuple[Message, ...]
    replies: tuple[str, str]
    models: tuple[Mapping[str, Any], Mapping[str, Any]]
    clause: str | None
    source: str


def sides_for(comparison: str, rater: str) -> tuple[int, int]:
    """Which reply stands left and which right for this rater: as good as tossed, and the same when the page is loaded again."""
    return (1, 0) if int(sha256_text(f"{comparison}|{rater}")[:8], 16) % 2 else (0, 1)


def _comparison(r: Any) -> Comparison:
    first, second = json.loads(r.replies)
    one, two = json.loads(r.models)
    return Comparison(r.id, r.created, messages_read(r.prompt), (first, second), (one, two), r.clause, r.source)


def add_comparison(
    store: Store, prompt: Iterable[Message], replies: tuple[str, str], *, models: tuple[Mapping[str, Any], Mapping[str, Any]] = ({}, {}),
    clause: str | None = None, source: str = "",
) -> Comparison:  # fmt: skip
    """Stores a pair to compare and returns it. Two equal replies are an error: there is nothing to judge."""
    if replies[0] == replies[1]:
        raise StoreError("both replies are the same", remedy="compare two different replies")
    row = {
        "id": new_id("pair"), "created": store.now(), "prompt": messages_text(prompt), "replies": json.dumps(list(replies)),
        "models": canonical_json([dict(m) for m in models]), "clause": clause, "source": source,
    }  # fmt: skip
    with store.write() as conn:
        conn.execute(insert(comparisons).values(row))
        return _comparison(conn.execute(select(comparisons).where(comparisons.c.id == row["id"])).one())


def get_comparison(store: Store, ident: str) -> Comparison:
    """One pair. Raises `StoreError` where it is not there."""
    with store.read() as conn:
        r = conn.execute(select(comparisons).where(comparisons.c.id == ident)).first()
    if r is None:
        raise StoreError(f"no comparison {ident!r:.60}", remedy="take the next one")
    return _comparison(r)


def next_comparison(store: Store, rater: str) -> Comparison | None:
    """The pair that this rater has not judged yet and that has the fewest judgements, the oldest first; None when all are done."""
    mine = select(ratings.c.comparison).where(ratings.c.rater == rater, ratings.c.comparison.is_not(None))
    judged = select(func.count()).select_from(ratings).where(ratings.c.comparison == comparisons.c.id).scalar_subquery()
    query = select(comparisons).where(comparisons.c.id.not_in(mine)).order_by(judged, comparisons.c.created, comparisons.c.id).limit(1)
    with store.read() as conn:
        r = conn.execute(query).first()
    return None if r is None else _comparison(r)


def has_rated(store: Store, comparison: str, rater: str) -> bool:
    """Whether this rater has judged this pair already."""
    query = select(ratings.c.id).where(ratings.c.comparison == comparison, ratings.c.rater == rater).limit(1)
    with store.read() as conn:
        return conn.execute(query).first() is not None


def comparison_counts(store: Store, rater: str) -> tuple[int, int]:
    """(pairs that this rater has judged, pairs there are)."""
    mine = select(func.count(func.distinct(ratings.c.comparison))).where(ratings.c.rater == rater, ratings.c.comparison.is_not(None))
    with store.read() as conn:
        done = conn.execute(mine).scalar_one()
        return int(done), int(conn.execute(select(func.count()).select_from(comparisons)).scalar_one())


def add_rating(store: Store, rating: Rating, *, comparison: str | None = None, hold: str | None = None) -> Rating:
    """Stores a judgement (its `id` and `created` are given here where they are empty) and its log entry."""
    ident, created = rating.id or new_id("rating"), rating.created or store.now()
    row = {
        "id": ident, "created": created, "kind": rating.kind, "rater": rating.rater, "comparison": comparison, "hold": hold,
        "prompt": messages_text(rating.prompt), "replies": json.dumps(list(rating.replies)), "value": rating.value, "text": rating.text,
        "sides": json.dumps(list(rating.sides)), "seconds": rating.seconds, "clause": rating.clause,
    }  # fmt: skip
    body = {"kind": rating.kind, "rater": rating.rater, "comparison": comparison, "content": digest_of({**row, "created": created})}
    with store.write() as conn:
        conn.execute(insert(ratings).values(row))
        append(conn, store.now(), "rating.added", ident, body)
        return _rating(conn.execute(select(ratings).where(ratings.c.id == ident)).one())


def _rating(r: Any) -> Rating:
    return Rating(
        id=r.id, kind=r.kind, rater=r.rater, prompt=messages_read(r.prompt), replies=tuple(json.loads(r.replies)), value=r.value,
        text=r.text, sides=tuple(json.loads(r.sides)), created=r.created, seconds=r.seconds, clause=r.clause,
    )  # fmt: skip


def all_ratings(store: Store) -> tuple[tuple[Rating, str | None], ...]:
    """Every judgement in order, each with the id of its comparison (several people may have judged one)."""
    with store.read() as conn:
        found = conn.execute(select(ratings).order_by(ratings.c.created, ratings.c.id))
        return tuple((_rating(r), r.comparison) for r in found)
