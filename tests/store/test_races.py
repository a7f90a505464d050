"""Two people, two tabs, two gateways, a stuck writer: whatever comes first stands, whatever comes late is told so. On both databases."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from tests.store.test_store import ADA, BEN, held
from trueline.core.clock import FixedClock
from trueline.store import database, holds, keys, log
from trueline.store.database import DatabaseFailed, Store, open_store
from trueline.store.holds import HoldConflict, Reviewer
from trueline.store.judgements import judge, judgement_of


def outcome(call: Callable[..., Any], *args: Any, **kwargs: Any) -> str:
    try:
        call(*args, **kwargs)
    except HoldConflict:
        return "conflict"
    return "done"


def behind_the_lock(store: Store, meanwhile: Callable[[], Any], call: Callable[..., Any], *args: Any) -> str:
    """Calls while another has the write lock, and does `meanwhile` before that one lets go."""
    with ThreadPoolExecutor(1) as pool:
        with store.write():
            waiting = pool.submit(outcome, call, *args)
            time.sleep(0.3)
            meanwhile()
        return waiting.result(30)


def test_who_waited_for_the_lock_until_the_hold_expired_comes_too_late(store: Store, clock: FixedClock) -> None:
    h = held(store)
    assert behind_the_lock(store, lambda: clock.advance(61), holds.decide, store, h.id, ADA, "approve", h.content_hash) == "conflict"
    other = held(store, "chatcmpl-2")
    assert behind_the_lock(store, lambda: clock.advance(61), judge, store, other.id, ADA, "answer") == "conflict"
    assert judgement_of(store, other.id, "Ada") is None
    assert [x.state for x in holds.expire_due(store)] == ["expired", "expired"]


def test_a_judgement_of_what_was_decided_meanwhile_is_not_kept(store: Store) -> None:
    h = held(store)
    holds.decide(store, h.id, BEN, "refuse", h.content_hash)
    assert outcome(judge, store, h.id, ADA, "answer") == "conflict"
    assert judgement_of(store, h.id, "Ada") is None


def test_the_same_reviewer_in_many_tabs_judges_once(where: str, store: Store, clock: FixedClock) -> None:
    h, other = held(store), open_store(where, clock=clock)
    jobs = [(s, j) for s in (store, other) for j in ("answer", "careful", "refuse")]
    with ThreadPoolExecutor(6) as pool:
        assert set(pool.map(lambda job: outcome(judge, job[0], h.id, ADA, job[1]), jobs)) == {"done"}
    assert [e.kind for e in log.entries(store, subject=h.id)].count("hold.judged") == 1
    other.close()


def test_decisions_and_the_sweep_at_the_last_moment(where: str, store: Store, clock: FixedClock) -> None:
    found, other = [held(store, f"chatcmpl-{i}") for i in range(8)], open_store(where, clock=clock)
    clock.advance(59.9)
    start = threading.Barrier(3)

    def decide_all(reviewer: Reviewer, at: Store) -> list[str]:
        start.wait()
        return [outcome(holds.decide, at, h.id, reviewer, "approve", h.content_hash) for h in found]

    def sweep() -> None:
        start.wait()
        for _ in range(20):
            holds.expire_due(other)
            clock.advance(0.02)

    with ThreadPoolExecutor(3) as pool:
        first, second, _ = pool.submit(decide_all, ADA, store), pool.submit(decide_all, BEN, other), pool.submit(sweep)
        won = [(a, b).count("done") for a, b in zip(first.result(60), second.result(60), strict=True)]
    holds.expire_due(store)
    states = [holds.get(store, h.id).state for h in found]
    assert [{"approved": 1, "expired": 0}[s] for s in states] == won
    assert all(holds.get(store, h.id).decided_at < h.expires for h, s in zip(found, states, strict=True) if s == "approved")  # type: ignore[operator]
    assert log.verify(store).broken_at is None
    other.close()


def test_two_gateways_that_take_the_same_keys_at_once(where: str, store: Store, clock: FixedClock) -> None:
    other, secrets = open_store(where, clock=clock), [keys.new_secret() for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda s: [keys.put(s, f"k{i}", x) for i, x in enumerate(secrets)], [store, other, store, other]))
    assert [k.name for k in keys.every(store)] == ["k0", "k1", "k2", "k3"]
    assert [e.kind for e in log.entries(store)] == ["key.added"] * 4
    other.close()


def test_a_writer_that_is_stuck_is_not_waited_for_for_ever(where: str, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    h = held(store)
    monkeypatch.setattr(database, "BUSY_MS", 300)
    impatient = open_store(where, clock=store.clock, migrate=False)
    with store.write(), pytest.raises(DatabaseFailed):
        holds.decide(impatient, h.id, ADA, "approve", h.content_hash)
    assert holds.get(impatient, h.id).state == "pending"
    assert holds.decide(impatient, h.id, ADA, "approve", h.content_hash).state == "approved"
    impatient.close()


@pytest.mark.parametrize("level", ["repeatable read", "serializable"])
def test_a_server_with_another_default_isolation_keeps_the_log_whole(postgres: str, level: str) -> None:
    engine, name = create_engine(postgres, isolation_level="AUTOCOMMIT"), "trueline_isolated"
    with engine.connect() as conn:
        conn.execute(text(f"drop database if exists {name}"))
        conn.execute(text(f"create database {name} template template0"))
        conn.execute(text(f"alter database {name} set default_transaction_isolation = '{level}'"))
    url = make_url(postgres).set(database=name).render_as_string(hide_password=False)
    one, two = open_store(url), open_store(url)
    with ThreadPoolExecutor(6) as pool:
        made = list(pool.map(lambda i: held((one, two)[i % 2], f"chatcmpl-{i}"), range(24)))
    assert (len(made), log.verify(one).entries, log.verify(one).broken_at) == (24, 48, None)
    for s in (one, two):
        s.close()
    with engine.connect() as conn:
        conn.execute(text(f"drop database {name} with (force)"))
    engine.dispose()


def test_what_was_decided_last_comes_first(store: Store, clock: FixedClock) -> None:
    made = [held(store, f"chatcmpl-{i}") for i in range(5)]
    for h in made[:4]:
        clock.advance(1)
        holds.decide(store, h.id, ADA, "refuse", h.content_hash)
    assert [h.id for h in holds.decided(store, roles=["adviser"], limit=3)] == [h.id for h in reversed(made[1:4])]
    assert holds.decided(store, roles=["clerk"], limit=3) == ()
