"""A local endpoint that takes a fixed time and next to no CPU: `python bench/runner/endpoint.py --port 8100 --latency 0.1`.

It speaks just enough of /v1/chat/completions for the clients that are measured (plain and streaming) and counts what it was asked:
`GET /count` answers {"asked": n, "most": the most requests it had at once}. `--slots N`: it works on N requests at a time, the others wait in its
queue, as a server with N places does. Bare sockets and one epoll, so that it is not what is measured: asyncio's own timers come up to a
millisecond late, and its tasks cost enough that 64 replies due at once came 3 to 6 ms late; here it is 0.1 to 1 ms.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import select
import socket
import time
from collections import deque
from dataclasses import dataclass

LENGTH = re.compile(rb"content-length:\s*(\d+)", re.IGNORECASE)
TEXT = "I cannot help with that."


def _http(body: bytes, kind: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-type: %s\r\ncontent-length: %d\r\n\r\n%s" % (kind, len(body), body)


def _whole(text: str) -> bytes:
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
    usage = {"prompt_tokens": 20, "completion_tokens": 6, "total_tokens": 26}
    raw = {"id": "x", "object": "chat.completion", "created": 1, "model": "local", "choices": [choice], "usage": usage}
    return _http(json.dumps(raw).encode(), b"application/json")


def _streamed(text: str) -> bytes:
    def event(delta: dict[str, str], finish: str | None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        raw = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "local", "choices": [choice]}
        return b"data: " + json.dumps(raw).encode() + b"\n\n"

    events = event({"role": "assistant", "content": text}, None) + event({}, "stop") + b"data: [DONE]\n\n"
    return _http(events, b"text/event-stream")


MODELS = _http(b'{"object": "list", "data": [{"id": "local", "object": "model"}]}', b"application/json")


@dataclass(slots=True)
class Client:
    """One connection, one request after the other; `held`: bytes that are no whole request yet."""

    socket: socket.socket
    held: bytes = b""


class Endpoint:
    """Requests in the order in which they came, each with the moment at which it is answered."""

    def __init__(self, listener: socket.socket, latency: float, slots: int, text: str) -> None:
        self._listener, self._latency = listener, latency
        self._ends: deque[float] | None = deque(maxlen=slots) if slots else None  # when each of the places is free again
        self._due: deque[tuple[float, socket.socket, bytes]] = deque()
        self._whole, self._streamed = _whole(text), _streamed(text)
        self._clients: dict[int, Client] = {}
        self._ready = select.epoll()
        self._asked = self._most = 0
        listener.setblocking(False)
        self._ready.register(listener.fileno(), select.EPOLLIN)

    def serve(self) -> None:
        """Serves until it is stopped. select() waits for the epoll, because it knows microseconds and epoll whole milliseconds."""
        while True:
            wait = max(0.0, self._due[0][0] - time.monotonic()) if self._due else None
            if wait != 0.0:
                select.select([self._ready], [], [], wait)
            self._answer()
            for number, _ in self._ready.poll(0):
                if number == self._listener.fileno():
                    self._accept()
                else:
                    self._hear(self._clients[number])

    def _answer(self) -> None:
        now = time.monotonic()
        while self._due and self._due[0][0] <= now:
            _, to, raw = self._due.popleft()
            self._write(to, raw)

    def _write(self, to: socket.socket, raw: bytes) -> None:
        with contextlib.suppress(OSError):  # the client may have gone
            to.send(raw)  # some hundred bytes into an empty buffer go in one piece

    def _accept(self) -> None:
        try:
            while True:
                one, _ = self._listener.accept()
                one.setblocking(False)
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._clients[one.fileno()] = Client(one)
                self._ready.register(one.fileno(), select.EPOLLIN)
        except BlockingIOError:
            return

    def _hear(self, client: Client) -> None:
        try:
            data = client.socket.recv(1 << 18)
        except OSError:
            data = b""
        if not data:
            self._ready.unregister(client.socket.fileno())
            del self._clients[client.socket.fileno()]
            client.socket.close()
            return
        client.held += data
        while (end := client.held.find(b"\r\n\r\n")) >= 0:
            found = LENGTH.search(client.held, 0, end)
            size = int(found[1]) if found else 0
            if len(client.held) < end + 4 + size:
                return
            head, body, client.held = client.held[:end], client.held[end + 4 : end + 4 + size], client.held[end + 4 + size :]
            if head.startswith(b"GET /count"):
                self._write(client.socket, _http(json.dumps({"asked": self._asked, "most": self._most}).encode(), b"application/json"))
            elif head.startswith(b"GET"):
                self._write(client.socket, MODELS)
            else:
                self._take(client, body)

    def _take(self, client: Client, body: bytes) -> None:
        """One more request. All take the same time, so that they end in the order in which they came, with few places too."""
        begins = time.monotonic()
        if self._ends is not None:
            if len(self._ends) == self._ends.maxlen:
                begins = max(begins, self._ends[0])
            self._ends.append(begins + self._latency)
        streams = b'"stream":true' in body or b'"stream": true' in body
        self._due.append((begins + self._latency, client.socket, self._streamed if streams else self._whole))
        self._asked += 1
        self._most = max(self._most, len(self._due))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--latency", type=float, default=0.1, help="seconds a request")
    parser.add_argument("--slots", type=int, default=0, help="requests it works on at once (0: all)")
    parser.add_argument("--text", default=TEXT, help="what it answers")
    given = parser.parse_args()
    with socket.create_server(("127.0.0.1", given.port), backlog=1024) as listener:
        print(listener.getsockname()[1], flush=True)
        Endpoint(listener, given.latency, given.slots, given.text).serve()
