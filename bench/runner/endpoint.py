"""A local endpoint that takes a fixed time and next to no CPU: `python bench/runner/endpoint.py --port 8100 --latency 0.1`.

It speaks just enough of /v1/chat/completions for the clients that are measured (plain and streaming) and counts what it was asked:
`GET /count` answers {"asked": n, "most": the most requests it had at once}. `--slots N`: it works on N requests at a time, the others wait in its
queue, as a server with N places does. It writes raw HTTP/1.1 on asyncio's own protocol class, so that the machine's CPU is left to the client.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re

LENGTH = re.compile(rb"content-length:\s*(\d+)", re.IGNORECASE)
TEXT = "I cannot help with that."


class Work:
    """What all connections share: the time a request takes, the places to work in, and the counts."""

    def __init__(self, latency: float, slots: int, text: str) -> None:
        self.latency, self.text = latency, text
        self.slots = asyncio.Semaphore(slots) if slots else None
        self.asked = self.now = self.most = 0

    async def answer(self, body: bytes) -> bytes:
        """The reply to one request, after its time."""
        self.asked += 1
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            if self.slots is None:
                await asyncio.sleep(self.latency)
            else:
                async with self.slots:
                    await asyncio.sleep(self.latency)
        finally:
            self.now -= 1
        return self._streamed() if b'"stream":true' in body.replace(b" ", b"") else self._whole()

    def _whole(self) -> bytes:
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": self.text}}
        usage = {"prompt_tokens": 20, "completion_tokens": 6, "total_tokens": 26}
        raw = {"id": "x", "object": "chat.completion", "created": 1, "model": "local", "choices": [choice], "usage": usage}
        return _http(json.dumps(raw).encode(), b"application/json")

    def _streamed(self) -> bytes:
        def event(delta: dict[str, str], finish: str | None) -> bytes:
            choice = {"index": 0, "delta": delta, "finish_reason": finish}
            raw = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "local", "choices": [choice]}
            return b"data: " + json.dumps(raw).encode() + b"\n\n"

        events = event({"role": "assistant", "content": self.text}, None) + event({}, "stop") + b"data: [DONE]\n\n"
        return _http(events, b"text/event-stream")


def _http(body: bytes, kind: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-type: %s\r\ncontent-length: %d\r\n\r\n%s" % (kind, len(body), body)


class Connection(asyncio.Protocol):
    """One connection, one request after the other."""

    def __init__(self, work: Work) -> None:
        self.work, self.held = work, b""
        self.tasks: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remembers where to answer."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Answers every whole request that has come."""
        self.held += data
        while (end := self.held.find(b"\r\n\r\n")) >= 0:
            found = LENGTH.search(self.held, 0, end)
            size = int(found[1]) if found else 0
            if len(self.held) < end + 4 + size:
                return
            head, body, self.held = self.held[:end], self.held[end + 4 : end + 4 + size], self.held[end + 4 + size :]
            if head.startswith(b"GET /count"):
                told = {"asked": self.work.asked, "most": self.work.most}
                self.transport.write(_http(json.dumps(told).encode(), b"application/json"))
            elif head.startswith(b"GET"):
                self.transport.write(_http(b'{"object": "list", "data": [{"id": "local", "object": "model"}]}', b"application/json"))
            else:
                task = asyncio.ensure_future(self._answer(body))
                self.tasks.add(task)
                task.add_done_callback(self.tasks.discard)

    async def _answer(self, body: bytes) -> None:
        raw = await self.work.answer(body)
        if not self.transport.is_closing():
            self.transport.write(raw)


async def serve(port: int, latency: float, slots: int, text: str) -> None:
    """Serves until it is stopped; prints the port once it listens."""
    work = Work(latency, slots, text)
    server = await asyncio.get_running_loop().create_server(lambda: Connection(work), "127.0.0.1", port, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--latency", type=float, default=0.1, help="seconds a request")
    parser.add_argument("--slots", type=int, default=0, help="requests it works on at once (0: all)")
    parser.add_argument("--text", default=TEXT, help="what it answers")
    given = parser.parse_args()
    asyncio.run(serve(given.port, given.latency, given.slots, given.text))
