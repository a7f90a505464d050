"""A request goes out when it is asked for, whatever else is ready to run; a body that has to wait for its server arrives whole."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable

import pytest

from trueline.models.sending import begun
from trueline.models.transport import Transport

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
Server = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def test_what_never_waits_is_done_before_the_task_begins() -> None:
    done: list[str] = []

    async def work() -> None:
        done.append("all")

    async def go() -> None:
        rest = begun(work())
        assert done == ["all"]
        assert await rest is None

    asyncio.run(go())


def test_what_waits_goes_on_with_results_and_errors() -> None:
    seen: list[object] = []

    async def go() -> None:
        first, second = (asyncio.get_running_loop().create_future() for _ in range(2))

        async def work() -> None:
            seen.append(await first)
            await asyncio.sleep(0)
            try:
                await second
            except ValueError as e:
                seen.append(str(e))
            raise KeyError("out")

        task = asyncio.create_task(begun(work()))
        await asyncio.sleep(0)
        assert (seen, task.done()) == ([], False)
        first.set_result(7)
        second.set_exception(ValueError("in"))
        with pytest.raises(KeyError, match="out"):
            await task

    asyncio.run(go())
    assert seen == [7, "in"]


def test_a_cancelled_task_cancels_what_is_left() -> None:
    seen: list[str] = []

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            seen.append("tidied")

    async def go() -> None:
        task = asyncio.create_task(begun(work()))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(go())
    assert seen == ["tidied"]


async def heard(reader: asyncio.StreamReader) -> int:
    """Bytes of the next request's body."""
    head = await reader.readuntil(b"\r\n\r\n")
    size = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
    return len(await reader.readexactly(size))


class OfItsOwn:
    """A server on a loop in a thread: it hears while the client's loop is busy."""

    def __init__(self, serve: Server, limit: int = 2**16) -> None:
        self._serve, self._limit, self._loop, self.port = serve, limit, asyncio.new_event_loop(), 0

    def __enter__(self) -> str:
        ready = threading.Event()

        async def listen() -> None:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=self._limit)
            self.port = self._server.sockets[0].getsockname()[1]
            ready.set()

        self._thread = threading.Thread(target=lambda: (self._loop.create_task(listen()), self._loop.run_forever()))
        self._thread.start()
        ready.wait(10)
        return f"http://127.0.0.1:{self.port}"

    def __exit__(self, *_: object) -> None:
        async def stop() -> None:
            self._server.close()
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


def test_no_work_that_is_ready_stands_before_a_request() -> None:
    came: list[float] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await heard(reader):
            came.append(time.monotonic())
            writer.write(ANSWER)

    async def go(url: str) -> float:
        transport = Transport(url, {})
        await transport.post("/x", b"{}", 10.0)  # opens the connection

        async def busy() -> float:
            time.sleep(0.1)
            return time.monotonic()

        _, ended = await asyncio.gather(transport.post("/x", b"{}", 10.0), busy())
        await transport.close()
        return ended

    with OfItsOwn(serve) as url:
        ended = asyncio.run(go(url))
    assert len(came) == 2
    assert came[1] < ended


def test_a_large_body_arrives_whole_at_a_server_that_reads_slowly() -> None:
    sizes: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.05)  # the client's buffers are full by then
        sizes.append(await heard(reader))
        writer.write(ANSWER)

    async def go(url: str) -> int:
        transport = Transport(url, {})
        answered = await transport.post("/x", b"x" * 2**24, 20.0)
        await transport.close()
        return answered.status

    with OfItsOwn(serve, limit=2**10) as url:
        assert asyncio.run(go(url)) == 200
    assert sizes == [2**24]
