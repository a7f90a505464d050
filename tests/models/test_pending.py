"""Replies on their way into the cache: none is lost to a kill, two processes do not harm each other, and what was torn is dropped."""

import asyncio
import os
import sqlite3
from contextlib import closing
from pathlib import Path

from trueline.charter.turns import Message
from trueline.core.chat import ChatRequest, Sampling, ScriptedChat
from trueline.models import cached as module
from trueline.models.cached import CachedChat
from trueline.models.pending import Pending


def ask(cache: CachedChat, n: int) -> str:
    return asyncio.run(cache.reply(ChatRequest((Message("user", "hi"),), Sampling(seed=n)))).text


def committed(path: Path) -> int:
    with closing(sqlite3.connect(path)) as db:
        return int(db.execute("SELECT count(*) FROM replies").fetchone()[0])


def test_what_waits_survives_a_kill_and_is_found_again(tmp_path: Path) -> None:
    path = tmp_path / "c.sqlite"
    model = ScriptedChat(lambda r: f"reply {r.sampling.seed}")
    killed = CachedChat(model, path)
    assert [ask(killed, n) for n in (1, 2, 1)] == ["reply 1", "reply 2", "reply 1"]
    assert killed.hits == 1
    assert committed(path) == 0
    killed._pending._file = None  # what a kill -9 does: nothing is closed in order, the lock goes with the process
    left = path.with_name("c.sqlite.pending")
    raw = left.read_bytes()
    assert raw.count(b"\n") == 2
    left.unlink()
    left.write_bytes(raw + b'["torn')
    again = CachedChat(model, path)
    assert committed(path) == 2
    assert [ask(again, n) for n in (1, 2)] == ["reply 1", "reply 2"]
    assert (again.hits, len(model.requests)) == (2, 2)
    again.forget()
    assert not left.exists()


def test_a_second_process_commits_its_own_rows(tmp_path: Path) -> None:
    path, model = tmp_path / "c.sqlite", ScriptedChat(["one"])
    first, second = CachedChat(model, path), CachedChat(model, path)
    ask(second, 1)
    assert committed(path) == 1
    ask(first, 2)
    second.forget()
    assert path.with_name("c.sqlite.pending").exists(), "that of the first, which is at work"
    first.forget()
    assert committed(path) == 2


def test_rows_are_committed_in_bulk(tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(module, "AT_ONCE", 3)
    cache = CachedChat(ScriptedChat(["x"]), tmp_path / "c.sqlite")
    counts = []
    for n in range(4):
        ask(cache, n)
        counts.append(committed(tmp_path / "c.sqlite"))
    cache.forget()
    assert counts == [0, 0, 3, 3]
    assert committed(tmp_path / "c.sqlite") == 4


def test_a_torn_line_in_the_middle_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "p"
    path.write_bytes(b'["a", "1"]\n["b", \n["c", "3"]\n')
    assert Pending(path).rows == {"a": "1", "c": "3"}


def test_a_row_after_a_torn_one_survives_the_next_kill(tmp_path: Path) -> None:
    path = tmp_path / "p"
    path.write_bytes(b'["a", "1"]\n["torn", "x')
    first = Pending(path)
    first.add("b", "2")
    os.close(first._file)  # type: ignore[arg-type]  # a kill
    assert Pending(path).rows == {"a": "1", "b": "2"}
    path = tmp_path / "q"
    path.write_bytes(b'["torn", "x')
    alone = Pending(path)
    alone.clear()
    alone.add("c", "3")
    os.close(alone._file)  # type: ignore[arg-type]
    assert Pending(path).rows == {"c": "3"}
