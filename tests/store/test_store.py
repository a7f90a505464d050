"""The store: one decision a hold, bound to what was seen; timeouts refuse; the log proves itself; migrations; two writers."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import text, update

from trueline.charter.turns import Message, ToolCall
from trueline.core.clock import FixedClock
from trueline.core.records import Finding, Incident, Rating, Verdict
from trueline.errors import StoreError
from trueline.store import exchanges, holds, incidents, keys, log, ratings
from trueline.store.database import Store, open_store
from trueline.store.exchanges import Exchange
from trueline.store.holds import Hold, HoldConflict, HoldForbidden, HoldMissing, HoldRule, Reviewer
from trueline.store.tables import decisions, metadata

ADA = Reviewer("Ada", ("adviser",))
BEN = Reviewer("Ben", ("adviser", "lawyer"))
CLERK = Reviewer("Cleo", ("clerk",))
ASKED = (Message("user", "Should I buy?"),)


def exchange(store: Store, ident: str = "chatcmpl-1", **more: object) -> Exchange:
    return Exchange(ident, store.now(), "open", "chat", None, "bank", {"m": 1}, "c" * 64, ASKED, "d" * 64, **more)  # type: ignore[arg-type]


def held(store: Store, ident: str = "chatcmpl-1", approvals: int = 1, calls: tuple[ToolCall, ...] = ()) -> Hold:
    return holds.create(
        store, exchange(store, ident), HoldRule("advice", ("adviser",), approvals, 60.0, "A person will answer."), "Buy.", calls
    )


def test_exchange_comes_back_as_it_was(store: Store) -> None:
    verdict = Verdict("redact", "privacy", "why", (Finding("iban", "privacy", 1, 3, 0.5, "n"),))
    e = exchange(store, reply="Hi 🙂\nthere", output_verdict=verdict, tool_calls=(ToolCall("1", "f", '{"a": 1}'),), action="redact")
    exchanges.record(store, e)
    assert exchanges.get(store, e.id) == e
    assert exchanges.get(store, "none") is None
    assert exchanges.counts(store) == {(None, "redact"): 1}


def test_approve_releases_the_draft(store: Store) -> None:
    h = held(store, calls=(ToolCall("1", "pay", "{}"),))
    before = exchanges.get(store, h.exchange)
    assert before is not None
    assert (before.state, before.reply, before.draft, before.tool_calls) == ("held", None, None, ())
    done = holds.decide(store, h.id, ADA, "approve", h.content_hash, judgement="release", seconds=4.0)
    assert (done.state, done.released, done.released_calls, done.decided_by) == ("approved", "Buy.", h.tool_calls, "Ada")
    after = exchanges.get(store, h.exchange)
    assert after is not None
    assert (after.state, after.reply, after.tool_calls, after.finish_reason) == ("completed", "Buy.", h.tool_calls, "tool_calls")
    assert [(r.reviewer, r.action, r.judgement, r.seconds) for r in holds.reviews_of(store, h.id)] == [("Ada", "approve", "release", 4.0)]


def test_edit_releases_the_edit_alone(store: Store) -> None:
    h = held(store)
    done = holds.decide(store, h.id, ADA, "edit", h.content_hash, text="See me.")
    assert (done.state, done.released, done.draft) == ("edited", "See me.", "Buy.")
    assert done.content_hash != h.content_hash


def test_an_edit_to_the_same_words_is_an_approval(store: Store) -> None:
    h = held(store)
    assert holds.decide(store, h.id, ADA, "edit", h.content_hash, text="Buy.").state == "approved"


@pytest.mark.parametrize("words", [None, "No."])
def test_refuse_never_releases(store: Store, words: str | None) -> None:
    h = held(store)
    done = holds.decide(store, h.id, ADA, "refuse", h.content_hash, text=words)
    assert (done.state, done.released) == ("refused", words or holds.REFUSED)


def test_only_one_decision_and_only_of_what_was_seen(store: Store) -> None:
    h = held(store)
    with pytest.raises(HoldConflict, match="edited since"):
        holds.decide(store, h.id, ADA, "approve", "0" * 64)
    with pytest.raises(HoldForbidden, match="clerk"):
        holds.decide(store, h.id, CLERK, "approve", h.content_hash)
    with pytest.raises(HoldMissing):
        holds.decide(store, "hold-none", ADA, "approve", h.content_hash)
    with pytest.raises(StoreError, match="edited text"):
        holds.decide(store, h.id, ADA, "edit", h.content_hash, text="  ")
    assert holds.get(store, h.id).state == "pending"
    holds.decide(store, h.id, ADA, "refuse", h.content_hash)
    with pytest.raises(HoldConflict, match="refused already"):
        holds.decide(store, h.id, BEN, "approve", h.content_hash)


def test_two_approvals_are_of_two_people_on_the_same_words(store: Store) -> None:
    h = held(store, approvals=2)
    assert holds.decide(store, h.id, ADA, "approve", h.content_hash).state == "pending"
    assert holds.decide(store, h.id, ADA, "approve", h.content_hash).state == "pending"
    edited = holds.decide(store, h.id, BEN, "edit", h.content_hash, text="See us.")
    assert edited.state == "pending"
    with pytest.raises(HoldConflict, match="edited since"):
        holds.decide(store, h.id, ADA, "approve", h.content_hash)
    done = holds.decide(store, h.id, ADA, "approve", edited.content_hash)
    assert (done.state, done.released) == ("edited", "See us.")


def test_a_timeout_refuses(store: Store, clock: FixedClock) -> None:
    h = held(store)
    clock.advance(59)
    assert holds.expire_due(store) == ()
    clock.advance(1)
    with pytest.raises(HoldConflict, match="expired"):
        holds.decide(store, h.id, ADA, "approve", h.content_hash)
    assert [(x.id, x.state, x.released) for x in holds.expire_due(store)] == [(h.id, "expired", holds.EXPIRED)]
    assert holds.expire_due(store) == ()
    done = exchanges.get(store, h.exchange)
    assert done is not None
    assert (done.reply, done.finish_reason) == (holds.EXPIRED, "content_filter")


def test_queue_by_role_and_order(store: Store, clock: FixedClock) -> None:
    first = held(store, "chatcmpl-1")
    clock.advance(5)
    second = held(store, "chatcmpl-2")
    assert [h.id for h in holds.queue(store, roles=["adviser"])] == [first.id, second.id]
    assert holds.queue(store, roles=["clerk"]) == ()
    assert holds.counts(store) == {("advice", "pending"): 2}


def test_racing_reviewers_on_two_connections(where: str, store: Store, clock: FixedClock) -> None:
    other = open_store(where, clock=clock)
    found = [held(store, f"chatcmpl-{i}") for i in range(12)]

    def attempt(job: tuple[Store, Reviewer, Hold]) -> bool:
        try:
            holds.decide(job[0], job[2].id, job[1], "approve", job[2].content_hash)
        except HoldConflict:
            return False
        return True

    with ThreadPoolExecutor(6) as pool:
        won = list(pool.map(attempt, [(s, r, h) for h in found for s, r in ((store, ADA), (other, BEN))]))
    other.close()
    assert sum(won) == len(found)
    assert all(won[2 * i] != won[2 * i + 1] for i in range(len(found)))
    chain = log.verify(store)
    assert chain.broken_at is None
    assert chain.entries == len(found) * 4  # exchange.held, hold.created, hold.review, hold.approved


def test_the_log_is_append_only_and_tells_what_was_changed(where: str, store: Store) -> None:
    h = held(store)
    holds.decide(store, h.id, ADA, "refuse", h.content_hash)
    whole = log.verify(store)
    assert (whole.entries, whole.broken_at) == (4, None)
    for statement in ("update decisions set kind = 'x'", "delete from decisions"):
        with pytest.raises(StoreError, match="append-only"), store.write() as conn:
            conn.execute(text(statement))
    with store.write() as conn:
        if conn.dialect.name == "sqlite":
            conn.execute(text("drop trigger decisions_no_update"))
            conn.execute(text("drop trigger decisions_no_delete"))
        else:
            conn.execute(text("drop trigger decisions_append_only on decisions"))
    with store.write() as conn:
        conn.execute(decisions.delete().where(decisions.c.seq == 4))
    assert log.verify(store).broken_at is None  # a cut end looks whole from inside ...
    assert log.verify(store, head=whole.head).broken_at == 4  # ... and is seen with the head kept outside
    with store.write() as conn:
        conn.execute(update(decisions).where(decisions.c.seq == 2).values(body="{}"))
    assert log.verify(store).broken_at == 2
    with store.write() as conn:
        conn.execute(decisions.delete().where(decisions.c.seq == 2))
    assert log.verify(store).broken_at == 2


def test_nobodys_words_are_in_the_log(store: Store) -> None:
    h = held(store)
    holds.decide(store, h.id, ADA, "edit", h.content_hash, text="Secret words.")
    told = " ".join(str(e) for e in log.entries(store))
    assert "Secret words" not in told
    assert "Should I buy" not in told


def test_a_failed_transaction_leaves_nothing(store: Store) -> None:
    held(store)
    with pytest.raises(StoreError):
        held(store)  # the same exchange cannot be held twice
    assert len(holds.queue(store)) == 1
    assert log.verify(store).entries == 2


def test_comparisons_are_blind_and_spread(store: Store, clock: FixedClock) -> None:
    pairs = []
    for i in range(3):
        pairs.append(ratings.add_comparison(store, ASKED, (f"a{i}", f"b{i}"), clause="advice", source="test"))
        clock.advance(1)
    first = ratings.next_comparison(store, "Ada")
    assert first == pairs[0]
    assert ratings.sides_for(first.id, "Ada") == ratings.sides_for(first.id, "Ada")
    given = Rating(
        "", "comparison", "Ada", first.prompt, first.replies, 1.0, None, ratings.sides_for(first.id, "Ada"), "", 2.5, first.clause
    )
    stored = ratings.add_rating(store, given, comparison=first.id)
    assert stored.id.startswith("rating-")
    assert ratings.next_comparison(store, "Ada") == pairs[1]
    assert ratings.next_comparison(store, "Ben") == pairs[1]  # the least judged first
    assert ratings.comparison_counts(store, "Ada") == (1, 3)
    assert ratings.all_ratings(store) == ((stored, first.id),)
    with pytest.raises(StoreError, match="same"):
        ratings.add_comparison(store, ASKED, ("x", "x"))
    tossed = [ratings.sides_for(f"pair-{i}", "Ada")[0] for i in range(400)]
    assert 150 < sum(tossed) < 250


def test_incidents(store: Store) -> None:
    ident = incidents.add(store, Incident("", "report", "advice", ASKED, "Buy.", "", "seen by a customer"))
    assert incidents.latest(store, clause="advice")[0].id == ident
    assert incidents.latest(store, clause="other") == ()
    assert incidents.counts(store) == {("advice", "report"): 1}


def test_keys_are_hashed_found_and_revoked(store: Store) -> None:
    secret = keys.new_secret()
    keys.put(store, "shop", secret, wait=3.0)
    keys.put(store, "shop", secret, wait=3.0)  # again: nothing changes
    found = keys.find(store, secret)
    assert found is not None
    assert (found.name, found.wait) == ("shop", 3.0)
    assert keys.find(store, secret + "x") is None
    with pytest.raises(StoreError, match="at least 16"):
        keys.put(store, "weak", "short")
    keys.revoke(store, "shop")
    assert keys.find(store, secret) is None
    assert [e.kind for e in log.entries(store)] == ["key.added", "key.revoked"]


def test_migrated_tables_are_the_tables_of_the_code(store: Store) -> None:
    with store.read() as conn:
        assert compare_metadata(MigrationContext.configure(conn), metadata) == []


def test_a_newer_database_is_refused(where: str, store: Store) -> None:
    with store.write() as conn:
        conn.execute(text("update alembic_version set version_num = '9999'"))
    with pytest.raises(StoreError, match="does not know"):
        open_store(where)


@pytest.mark.parametrize("bad", ["mysql://x/y", "nonsense://", "sqlite:////proc/none/x.db"])
def test_what_is_no_database_is_said(bad: str) -> None:
    with pytest.raises(StoreError) as caught:
        open_store(bad)
    assert "\n" not in str(caught.value)


def test_a_killed_writer_loses_nothing_that_was_told(tmp_path: Path) -> None:
    """Holds are made in a process that is killed with -9 in the midst of it: all that it printed are there, and the log is whole."""
    code = (
        "import sys; sys.path.insert(0, '.')\n"
        "from tests.store.test_store import held\nfrom trueline.store.database import open_store\n"
        f"s = open_store({str(tmp_path / 'k.db')!r})\ni = 0\n"
        "while True:\n    i += 1\n    print(held(s, f'chatcmpl-{i}').id, flush=True)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    told = [process.stdout.readline().strip() for _ in range(15)]
    process.kill()
    told += [line.strip() for line in process.stdout if line.endswith("\n")]
    process.wait()
    store = open_store(tmp_path / "k.db")
    there = {h.id for h in holds.queue(store, limit=100_000)}
    assert set(told) <= there
    chain = log.verify(store)
    assert chain.broken_at is None
    assert chain.entries == 2 * len(there)


def test_expiry_is_the_rules_own(store: Store, clock: FixedClock) -> None:
    h = held(store)
    assert h.expires == (clock.now + timedelta(seconds=60)).isoformat(timespec="microseconds")
