"""A server with moods: what it does depends on what the last user message asks for, and on how often that was asked. Raw sockets on an event
loop in a thread, so that it can break HTTP in every way. It counts each question."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

Writer = asyncio.StreamWriter
Mood = Callable[[Writer, str], Awaitable[None]]


def whole(text: str, **headers: str) -> bytes:
    """A completion."""
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
    body = {"model": "m-1", "choices": [choice], "usage": {"prompt_tokens": 7, "completion_tokens": 3}}
    return raw(json.dumps(body).encode(), **headers)


def raw(body: bytes, status: str = "200 OK", **headers: str) -> bytes:
    """Any answer."""
    more = "".join(f"{k.replace('_', '-')}: {v}\r\n" for k, v in headers.items())
    return f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\n{more}\r\n".encode() + body


def says(answer: bytes) -> Mood:
    """Answers with these bytes, whatever they are."""

    async def mood(writer: Writer, _: str) -> None:
        writer.write(answer)
        await writer.drain()

    return mood


def cut(answer: bytes, after: int) -> Mood:
    """Sends the first bytes and hangs up."""

    async def mood(writer: Writer, _: str) -> None:
        writer.write(answer[:after])
        await writer.drain()
        writer.close()

    return mood


def drips(answer: bytes, every: float) -> Mood:
    """One byte at a time: never silent for long, and never done."""

    async def mood(writer: Writer, _: str) -> None:
        for byte in answer:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(every)

    return mood


async def silent(_: Writer, __: str) -> None:
    """Ten minutes of nothing."""
    await asyncio.sleep(600)


async def endless(writer: Writer, _: str) -> None:
    """A body without end."""
    writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    piece = b"x" * 2**20
    while not writer.is_closing():
        writer.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        await writer.drain()


async def answers(writer: Writer, question: str) -> None:
    """The good mood: says what it was asked."""
    writer.write(whole(f"You asked: {question}"))
    await writer.drain()


class MoodyServer:
    """`moods`: by question, the moods of its tries, the last one for all further ones; others are answered. `asked` counts tries by question,
    `answered` whole answers that were sent; `delay` seconds before each;
    `lasts`: after so many answers it has nothing but HTTP 500; `slots`: it works on so many at once."""

    def __init__(
        self, moods: Mapping[str, list[Mood]] | None = None, *, delay: float = 0.0, slots: int = 0, lasts: int | None = None
    ) -> None:
        self.moods, self.delay, self.lasts = dict(moods or {}), delay, lasts
        self.asked: Counter[str] = Counter()
        self.answered: Counter[str] = Counter()
        self.now = self.most = 0
        self.bodies: list[dict[str, Any]] = []
        self.known: list[tuple[int, set[str]]] = []  # for who asks: what was known after so many requests
        self._slots, self._ready = slots, threading.Event()

    async def _handle(self, reader: asyncio.StreamReader, writer: Writer) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                size = int(head.partition(b"content-length:")[2].split(b"\r\n")[0])
                body = json.loads(await reader.readexactly(size))
                question = body["messages"][-1]["content"]
                self.bodies.append(body)
                tries = self.asked[question]
                self.asked[question] += 1
                self.now += 1
                self.most = max(self.most, self.now)
                try:
                    async with self._free:
                        await asyncio.sleep(self.delay)
                finally:
                    self.now -= 1
                moods = self.moods.get(question, [answers])
                mood = moods[min(tries, len(moods) - 1)]
                if self.lasts is not None and self.answered.total() >= self.lasts:
                    mood = says(raw(b"down", "500 Internal Server Error"))
                await mood(writer, question)
                self.answered[question] += mood is answers
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def _serve(self) -> None:
        self._free = asyncio.Semaphore(self._slots or 10_000)
        self._stop = asyncio.Event()
        server = await asyncio.start_server(self._handle, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        self._loop = asyncio.get_running_loop()
        self._ready.set()
        await self._stop.wait()
        server.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    def __enter__(self) -> MoodyServer:
        self._thread = threading.Thread(target=asyncio.run, args=(self._serve(),), daemon=True)
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)
