"""A reply as server-sent events: checked pieces while it is made, or, where a person may have to look, comments until it is settled.

One task makes the events, the response only passes them on and fills silences with comments (clients and proxies drop idle
connections). An error before the first event is an HTTP error; after it, an error event.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from trueline.gateway.answering import Answering, Call
from trueline.gateway.holding import look, wait
from trueline.gateway.wire_openai import chunk, closing, event, visible
from trueline.store.exchanges import Exchange

_END = object()


class Stream:
    """One streamed answer. `seconds`: how long a held reply is waited for; `usage`: whether the client wants token counts."""

    def __init__(
        self, answering: Answering, call: Call, seconds: float, usage: bool, failure: Callable[[Exception], tuple[int, dict[str, Any]]],
        tell: Callable[[Exception, str], None],
    ) -> None:  # fmt: skip
        self._a, self._call, self._seconds, self._usage, self._failure, self._tell = answering, call, seconds, usage, failure, tell
        self._queue: asyncio.Queue[Any] = asyncio.Queue(maxsize=64)
        self._first: Any = None
        self._task: asyncio.Task[None] | None = None

    async def start(self, earlier: Exchange | None) -> None:
        """Begins; returns once there is a first event or a heartbeat is due. Raises what went wrong before that."""
        self._task = asyncio.create_task(self._make(earlier))
        try:
            self._first = await asyncio.wait_for(self._queue.get(), self._a.config.heartbeat)
        except TimeoutError:
            self._first = ": waiting\n\n"
        if isinstance(self._first, Exception):
            raise self._first

    async def _make(self, earlier: Exchange | None) -> None:
        try:
            async for text in self._produce(earlier):
                await self._queue.put(text)
        except Exception as e:  # noqa: BLE001 - handed to whoever reads the events
            await self._queue.put(e)
        await self._queue.put(_END)

    async def _produce(self, earlier: Exchange | None) -> AsyncIterator[str]:
        verdict = await self._a.admit(self._call) if earlier is None else None
        if verdict is not None and self._a.may_be_live(self._call, verdict):
            opened, begun = self._a.opened(self._call), False
            async for piece in self._a.live(self._call, verdict, opened):
                if isinstance(piece, Exchange):
                    for last in closing(piece, None, self._usage):
                        yield event(last)
                elif piece:
                    head: Mapping[str, Any] = {} if begun else {"role": "assistant"}
                    yield event(chunk(opened, {**head, "content": piece}))
                    begun = True
            return
        e = earlier if verdict is None else await self._a.whole(self._call, verdict)
        assert e is not None
        async for text in self._settled(e):
            yield text

    async def _settled(self, e: Exchange) -> AsyncIterator[str]:
        """A whole reply, once it may be told: at once, or after the hold."""
        hold = None
        if e.state == "held":
            _, hold = await look(self._a.store, e.id)
            if hold is not None:
                yield f": held {hold.id} until {hold.expires}, ask again at /v1/chat/completions/{e.id}\n\n"
            found, hold = await wait(self._a.store, e.id, self._seconds, self._a.config.poll)
            assert found is not None, "a hold's exchange is stored with it"
            e = found
        elif e.action == "hold":
            _, hold = await look(self._a.store, e.id)
        yield event(chunk(e, {"role": "assistant", "content": visible(e, hold)[0]}))
        for last in closing(e, hold, self._usage):
            yield event(last)

    async def events(self) -> AsyncIterator[str]:
        """The body of the response. When the client goes away the making ends too; a hold stays in the database."""
        try:
            item = self._first
            while item is not _END:
                if isinstance(item, Exception):
                    self._tell(item, "a stream that had begun")
                    yield event(self._failure(item)[1])
                    yield event("[DONE]")
                else:
                    yield item
                try:
                    item = await asyncio.wait_for(self._queue.get(), self._a.config.heartbeat)
                except TimeoutError:
                    item = ": waiting\n\n"
        finally:
            self.stop()

    def stop(self) -> None:
        """Ends the making; what is stored stays. Once: a second cancellation would hit the making while it records that it failed."""
        if self._task is not None and not self._task.cancelling():
            self._task.cancel()


class EventResponse(StreamingResponse):
    """The events as a response. A client that goes away before the first one leaves a generator that never began, whose `finally`
    never runs: so the making is ended here as well."""

    def __init__(self, stream: Stream) -> None:
        super().__init__(stream.events(), media_type="text/event-stream", headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        self._stream = stream

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends the events."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._stream.stop()
