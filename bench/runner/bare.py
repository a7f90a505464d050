"""What the measurement itself takes: the same number of requests of the same size, with next to nothing around them. Prints one JSON object.

`sockets`: one epoll, the next request sent in the line after the reply is read, no HTTP understood. That is the floor on this machine: nothing
asks sooner. `aiohttp`: a loop of session.post and json.loads, the least that a program in Python does which leaves HTTP to a library.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import select
import socket
import time
from collections.abc import Callable
from urllib.parse import urlsplit


def cpu() -> float:
    """CPU seconds of this process so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def body_of(size: int) -> bytes:
    """A request of so many bytes."""
    head = {"model": "local", "temperature": 0.0, "max_tokens": 64, "seed": 0, "messages": [{"role": "user", "content": ""}]}
    head["messages"] = [{"role": "user", "content": "x" * max(0, size - len(json.dumps(head)))}]
    return json.dumps(head).encode()


def sockets(url: str, body: bytes, n: int, at_once: int) -> None:
    """Asks n times. Connecting is part of it, as it is for everybody."""
    at = urlsplit(url)
    raw = b"POST %s HTTP/1.1\r\nhost: local\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (
        (at.path + "/chat/completions").encode(), len(body), body,
    )  # fmt: skip
    ready, open_ones, sent = select.epoll(), {}, 0
    for _ in range(min(at_once, n)):
        one = socket.create_connection((at.hostname or "", at.port or 80))
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        open_ones[one.fileno()] = one
        ready.register(one.fileno(), select.EPOLLIN)
        one.sendall(raw)
        sent += 1
    came = 0
    while came < n:
        for number, _ in ready.poll():
            assert open_ones[number].recv(65536).startswith(b"HTTP/1.1 200")
            came += 1
            if sent < n:
                open_ones[number].sendall(raw)
                sent += 1


def with_aiohttp(url: str, body: bytes, n: int, at_once: int) -> None:
    """Asks n times."""
    import aiohttp

    async def asker(session: aiohttp.ClientSession, left: list[int]) -> None:
        while left:
            left.pop()
            async with session.post(url + "/chat/completions", data=body, headers={"content-type": "application/json"}) as answer:
                assert json.loads(await answer.read())["choices"]

    async def go() -> None:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            left = list(range(n))
            await asyncio.gather(*(asker(session, left) for _ in range(at_once)))

    asyncio.run(go())


CLIENTS: dict[str, Callable[[str, bytes, int, int], None]] = {"sockets": sockets, "aiohttp": with_aiohttp}


def main() -> None:
    """One run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--client", choices=sorted(CLIENTS), default="sockets")
    parser.add_argument("--probes", type=int, default=500)
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--bytes", type=int, default=2800, help="of one request's body; ours has about as many")
    given = parser.parse_args()
    if given.client == "aiohttp":
        import aiohttp  # noqa: F401 - before the clock begins
    body = body_of(given.bytes)
    before, wall = cpu(), time.monotonic()
    CLIENTS[given.client](given.url, body, given.probes, given.concurrency)
    print(json.dumps({"seconds": time.monotonic() - wall, "cpu": cpu() - before}))


if __name__ == "__main__":
    main()
