"""Asking models so that a killed run asks nothing twice: every answer is one line of an append-only file, found again by content.

In order: look the request up in the journal, else ask, write, go on. What it leaves out on purpose: retries and rate limits (wrappers of
the port), and what the answers mean.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar, runtime_checkable

from trueline.charter.digests import digest_of
from trueline.charter.probe_files import mend_tail
from trueline.charter.turns import Message
from trueline.core.chat import ChatModel, ChatRequest, Sampling
from trueline.data.conversations import blank
from trueline.data.jsonl import read_jsonl
from trueline.errors import DataError, ModelError
from trueline.models.wire import RequestRefused
from trueline.train.constitution.records import Answer

OF_THIS_REQUEST = frozenset({400, 413, 422})  # HTTP: this request is at fault; other refusals (key, name) are of them all
Progress = Callable[[int, int], None]
T = TypeVar("T")
R = TypeVar("R")


class Journal:
    """A file of JSON lines `{"key": ..., ...}`. `found` is how many an earlier run left, `written` how many this one added. Raises
    `DataError` (file:line) for a line that is none; a last line that a kill cut short is taken off."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        mend_tail(path)
        self.path, self.written = path, 0
        self._rows: dict[str, Mapping[str, Any]] = {}
        for number, row in read_jsonl(path) if path.exists() else ():
            if not isinstance(row.get("key"), str):
                raise DataError("this line has no key", remedy="remove the file; all is asked again", file=path, line=number)
            self._rows[row["key"]] = row
        self.found = len(self._rows)
        self._file = path.open("a", encoding="utf-8")

    def get(self, key: str) -> Mapping[str, Any] | None:
        """What was written under this key, or None."""
        return self._rows.get(key)

    def put(self, key: str, row: Mapping[str, Any]) -> None:
        """Writes at once, so that a kill after this line loses nothing."""
        self._rows[key] = row
        self._file.write(json.dumps({**row, "key": key}, ensure_ascii=False) + "\n")
        self._file.flush()
        self.written += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


@runtime_checkable
class Checking(Protocol):
    """A model that can say beforehand that it could never answer a request (too long for its context)."""

    def check(self, request: ChatRequest) -> None:
        """Raises `ModelError` where it could not."""


class Asker:
    """A model behind a journal. `who` is the digest of its identity."""

    def __init__(self, chat: ChatModel, journal: Journal) -> None:
        self.chat, self._journal = chat, journal
        self.who = digest_of(dict(chat.identity()))

    async def ask(self, messages: Sequence[Message], sampling: Sampling) -> Answer:
        """The answer, from the journal where it is there. A request that the model cannot take (too long) is an answer with `refused`;
        all other errors of the model are raised."""
        request = ChatRequest(tuple(messages), sampling)
        key = digest_of(["ask", self.who, request.digest()])
        row = self._journal.get(key)
        if row is None:
            answer = await self._asked(request)
            self._journal.put(key, answer.to_dict())
            return answer
        return Answer.from_dict(row)

    async def _asked(self, request: ChatRequest) -> Answer:
        if isinstance(self.chat, Checking):
            try:
                self.chat.check(request)
            except ModelError as e:
                return Answer("", refused=str(e))
        try:
            reply = await self.chat.reply(request)
        except RequestRefused as e:
            if e.status not in OF_THIS_REQUEST:
                raise
            return Answer("", refused=str(e))
        refused = "the provider's own filter stopped it" if reply.blocked else ""
        text = reply.text.encode("utf-8", "replace").decode("utf-8").strip()  # half a character cannot be written
        text = "" if blank(text) else text  # marks without ink are no words
        return Answer(text, reply.finish_reason == "length", refused, reply.input_tokens, reply.output_tokens)


async def side_by_side(items: Sequence[T], one: Callable[[T], Awaitable[R]], concurrency: int, progress: Progress | None = None) -> list[R]:
    """`one` of every item, at most `concurrency` under way, results in the order of the items. The first error ends all and is raised."""
    out: dict[int, R] = {}
    waiting = iter(enumerate(items))

    async def work() -> None:
        for i, item in waiting:
            out[i] = await one(item)
            if progress is not None:
                progress(len(out), len(items))

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(concurrency, len(items))):
                group.create_task(work())
    except BaseExceptionGroup as e:
        raise e.exceptions[0] from None
    return [out[i] for i in range(len(items))]


def seed_of(seed: int, *names: Any) -> int:
    """The sampling seed of one request: 31 bits of the digest of the run's seed and what the request is for."""
    return int(digest_of([seed, *names])[:8], 16) >> 1
