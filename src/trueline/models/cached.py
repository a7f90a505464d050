"""A cache by content round any `ChatModel`: the same request to the same model is asked once, also after a kill -9."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from trueline.charter.digests import digest_of
from trueline.charter.turns import ToolCall
from trueline.core.chat import ChatModel, ChatReply, ChatRequest
from trueline.core.clock import iso, utc_now
from trueline.errors import DataError
from trueline.models.pending import Pending

AT_ONCE = 1024  # replies committed together
_FIELDS = tuple(f.name for f in fields(ChatReply))


def _row(reply: ChatReply) -> dict[str, Any]:
    """The JSON form of a reply; `asdict` alone would copy every field in depth, at a tenth of the CPU of a whole probe."""
    return {**{name: getattr(reply, name) for name in _FIELDS}, "tool_calls": [asdict(c) for c in reply.tool_calls]}


class CachedChat:
    """Keeps replies in a SQLite file, keyed by (identity of the model, request). `hits` counts what was not asked; `oldest`: when the
    oldest reply was made that came from here (ISO; "" where none did, or none is dated).
    Raises `DataError` where the file is no cache."""

    def __init__(self, inner: ChatModel, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._inner, self._who, self.path = inner, digest_of(dict(inner.identity())), path
        self.hits, self.oldest = 0, ""
        try:
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30)
        except sqlite3.Error as e:
            raise self._damaged(e) from None
        try:
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.execute("CREATE TABLE IF NOT EXISTS replies (key TEXT PRIMARY KEY, reply TEXT NOT NULL)")
        except sqlite3.DatabaseError as e:
            self._db.close()
            raise self._damaged(e) from None
        self._pending = Pending(path.with_name(path.name + ".pending"))
        self._move()

    def _move(self) -> None:
        """Commits what waits."""
        try:
            if self._pending.rows:
                self._db.execute("BEGIN")
                self._db.executemany("INSERT OR REPLACE INTO replies VALUES (?, ?)", self._pending.rows.items())
                self._db.execute("COMMIT")
        except sqlite3.DatabaseError as e:
            raise self._damaged(e) from None
        self._pending.clear()

    def _keep(self, key: str, text: str) -> None:
        if self._pending.mine:
            self._pending.add(key, text)
            if len(self._pending.rows) >= AT_ONCE:
                self._move()
            return
        try:
            self._db.execute("INSERT OR REPLACE INTO replies VALUES (?, ?)", (key, text))
        except sqlite3.DatabaseError as e:
            raise self._damaged(e) from None

    def _damaged(self, e: Exception) -> DataError:
        return DataError(f"the cache of replies cannot be used ({e})", remedy="delete the file; it will be asked anew", file=self.path)

    @property
    def name(self) -> str:
        """The TARGET string of the model inside."""
        return self._inner.name

    def identity(self) -> Mapping[str, Any]:
        """Of the model inside: a cache changes nothing."""
        return self._inner.identity()

    def _known(self, key: str) -> ChatReply | None:
        text = self._pending.rows.get(key)
        if text is None:
            row = self._db.execute("SELECT reply FROM replies WHERE key = ?", (key,)).fetchone()
            if row is None:
                return None
            text = row[0]
        raw = json.loads(text)
        made = str(raw.pop("made", ""))
        self.oldest = min(filter(None, (self.oldest, made)), default="")
        return ChatReply(**{**raw, "tool_calls": tuple(ToolCall(**c) for c in raw["tool_calls"])})

    async def reply(self, request: ChatRequest) -> ChatReply:
        """From the cache, else asked and kept. Errors are not kept, nor what holds nothing: a mended server must be asked again."""
        key = f"{self._who}:{request.digest()}"
        try:
            known = self._known(key)
        except (sqlite3.DatabaseError, ValueError, TypeError, KeyError) as e:
            raise self._damaged(e) from None
        if known is not None:
            self.hits += 1
            return known
        answer = await self._inner.reply(request)
        if not (answer.text.strip() or answer.tool_calls or answer.blocked):
            return answer
        self._keep(key, json.dumps({**_row(answer), "made": iso(utc_now())}))
        return answer

    def earliest(self) -> str:
        """When the oldest reply of this model was made that is kept here (ISO); "" where none is dated."""
        self._move()
        try:
            row = self._db.execute(
                "SELECT MIN(json_extract(reply, '$.made')) FROM replies WHERE key >= ? AND key < ?", (f"{self._who}:", f"{self._who};")
            ).fetchone()
        except sqlite3.DatabaseError as e:
            raise self._damaged(e) from None
        return str(row[0] or "")

    def forget(self) -> None:
        """Closes the file alone: the model inside is asked on by others."""
        self._move()
        self._pending.close()
        self._db.close()

    async def close(self) -> None:
        """Closes the file and the model inside."""
        self.forget()
        await self._inner.close()
