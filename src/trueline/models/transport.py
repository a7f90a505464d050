"""HTTP/1.1 to a model's server through aiohttp: one session a client, errors as kinds, bodies with a limit.

Why aiohttp: docs/decisions/0013. What users of other clients expect stays: proxies from the environment (HTTP_PROXY, HTTPS_PROXY, ALL_PROXY,
NO_PROXY), certificates checked against the system's store and certifi's (SSL_CERT_FILE and SSL_CERT_DIR instead where they are set), no redirect
followed, no cookie kept, no password looked up in a file.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import string
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from trueline.errors import ModelError, TruelineError
from trueline.models.sending import request_class

if TYPE_CHECKING:
    import aiohttp

LARGEST = 32 * 2**20  # bytes of one answer, after decompression; a chat completion has some kilobytes
MOST_CONNECTIONS = 512
CONNECT = 10.0  # seconds to reach a server


class Broken(Exception):
    """A request without a whole answer. `kind` in words, as it is counted and told; `again`: whether it may go better the next time."""

    def __init__(self, kind: str, again: bool = True) -> None:
        super().__init__(kind)
        self.kind, self.again = kind, again


@dataclass(frozen=True, slots=True)
class Answered:
    """A whole answer. `text` is its body as UTF-8, what is none replaced."""

    status: int
    headers: Mapping[str, str]
    text: str


def proxy_for(url: str) -> str | None:
    """The proxy that the environment names for this address, or None. Raises `ModelError` for one that is no HTTP proxy."""
    parts = urlsplit(url)
    found = getproxies()
    proxy = found.get(parts.scheme) or found.get("all")
    if not proxy or not parts.hostname or proxy_bypass(parts.hostname) or proxy_bypass(parts.netloc.rpartition("@")[2]):
        return None
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    try:
        named = urlsplit(proxy)
        usable = named.scheme in ("http", "https") and bool(named.hostname) and named.port != 0 and not set(proxy) & set(string.whitespace)
        shown = f"{named.scheme}://{named.netloc.rpartition('@')[2]}"
    except ValueError:  # a port that is none, a bracket left open
        usable, shown = False, proxy.rpartition("@")[2]
    if not usable:  # spoken to in HTTP, a proxy of another kind would read the key
        remedy = "set HTTPS_PROXY, HTTP_PROXY or ALL_PROXY to http://HOST:PORT, or name the target's host in NO_PROXY"
        raise ModelError(f"the environment names the proxy {shown}, which is no HTTP proxy", remedy=remedy)
    return proxy


def trusted() -> ssl.SSLContext:
    """Whose certificates are believed."""
    context = ssl.create_default_context()
    if not (os.environ.get("SSL_CERT_FILE") or os.environ.get("SSL_CERT_DIR")):
        import certifi

        context.load_verify_locations(certifi.where())
    return context


class Transport:
    """Posts bytes and gives back what came. Usable from one event loop after the other; connections belong to the loop that opened them."""

    def __init__(self, base: str, headers: Mapping[str, str]) -> None:
        import aiohttp  # noqa: F401 - a tenth of a second, here and not in the middle of the first request

        self._base, self._headers = base, {"content-type": "application/json", **headers}
        self._session: aiohttp.ClientSession | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._proxy: str | None = None

    async def _open(self) -> aiohttp.ClientSession:
        loop = asyncio.get_running_loop()
        if self._session is None or self._loop is not loop or self._session.closed:
            import aiohttp

            old, of, proxy = self._session, self._loop, proxy_for(self._base)
            context = trusted() if self._base.startswith("https:") else False
            connector = aiohttp.TCPConnector(limit=MOST_CONNECTIONS, ssl=context, keepalive_timeout=30)
            self._session = session = aiohttp.ClientSession(
                connector=connector, headers=self._headers, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False, raise_for_status=False,
                request_class=request_class(),
            )  # fmt: skip
            self._loop, self._proxy = loop, proxy
            await _let_go(old, of)
            return session
        return self._session

    async def post(self, path: str, body: bytes, timeout: float) -> Answered:
        """The whole answer within `timeout` seconds, however slowly it drips. Raises `Broken`, `ModelError` for what is no address."""
        import aiohttp

        limits = aiohttp.ClientTimeout(total=timeout, sock_connect=CONNECT)
        async with _broken(self._base, timeout):
            session = await self._open()
            async with session.post(self._base + path, data=body, timeout=limits, allow_redirects=False, proxy=self._proxy) as response:
                raw = await _body(response)
                return Answered(response.status, response.headers, raw.decode("utf-8", "replace"))
        raise AssertionError("left by return or error")

    @asynccontextmanager
    async def stream(self, path: str, body: bytes, silence: float) -> AsyncIterator[Streamed]:
        """An answer as it comes; at most `silence` seconds between two pieces, and twice that between two lines of data: comments that keep the
        connection alive are none. Raises as `post`, also while it is read."""
        import aiohttp

        limits = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT, sock_read=silence)
        async with _broken(self._base, silence):
            session = await self._open()
            async with session.post(self._base + path, data=body, timeout=limits, allow_redirects=False, proxy=self._proxy) as response:
                yield Streamed(response, silence)

    async def close(self) -> None:
        """Closes the connections."""
        old, self._session = self._session, None
        await _let_go(old, self._loop)


async def _let_go(session: aiohttp.ClientSession | None, loop: asyncio.AbstractEventLoop | None) -> None:
    """Closes a session on the loop that it belongs to; where that one has ended, nothing is left to wait for."""
    if session is None or loop is None:
        return
    if loop is asyncio.get_running_loop() or loop.is_closed():
        await session.close()
    else:
        asyncio.run_coroutine_threadsafe(session.close(), loop)


class Streamed:
    """An answer that is still coming."""

    def __init__(self, response: aiohttp.ClientResponse, silence: float) -> None:
        self._response, self._silence = response, silence
        self.status: int = response.status
        self.headers: Mapping[str, str] = response.headers

    async def text(self) -> str:
        """All of it."""
        return (await _body(self._response)).decode("utf-8", "replace")

    async def lines(self) -> AsyncIterator[str]:
        """The lines of an event stream. Only \\n and \\r end a line there, not U+2028 and the like, which may stand in a JSON string as
        they are. Bytes that are no UTF-8 are replaced."""
        held, heard = b"", time.monotonic()
        async for part in self._response.content.iter_any():
            *whole, held = (held + part).replace(b"\r", b"\n").split(b"\n")
            if len(held) > LARGEST:
                raise Broken("an answer beyond all size", again=False)
            data = any(line and not line.startswith(b":") for line in whole)
            if not data and time.monotonic() - heard > self._silence:
                raise Broken(f"no data within {self._silence:g} s")
            for line in whole:
                yield line.decode("utf-8", "replace")
            if data:  # now, not before: whoever reads may take its time
                heard = time.monotonic()
        yield held.decode("utf-8", "replace")


async def _body(response: aiohttp.ClientResponse) -> bytes:
    told = response.content_length
    if told is not None and told <= LARGEST and "content-encoding" not in response.headers:
        return bytes(await response.read())
    parts, size = [], 0
    async for part in response.content.iter_any():
        parts.append(part)
        size += len(part)
        if size > LARGEST:
            response.close()
            raise Broken("an answer beyond all size", again=False)
    return b"".join(parts)


@asynccontextmanager
async def _broken(base: str, timeout: float) -> AsyncIterator[None]:
    """Turns the client's errors into kinds."""
    import aiohttp

    try:
        yield
    except aiohttp.InvalidURL:
        raise ModelError(f"{base} is no address", remedy="write http://HOST:PORT/v1") from None
    except aiohttp.ConnectionTimeoutError:
        raise Broken("no connection in time") from None
    except TimeoutError:
        raise Broken(f"no whole answer within {timeout:g} s") from None
    except aiohttp.ClientConnectorCertificateError:
        raise Broken("its certificate is not trusted", again=False) from None
    except aiohttp.ClientConnectorError:
        raise Broken("no connection") from None
    except aiohttp.ClientPayloadError:
        raise Broken("an answer cut off") from None
    except (aiohttp.ClientError, OSError) as e:
        kind = "the connection was cut" if isinstance(e, aiohttp.ServerDisconnectedError | OSError) else f"bad HTTP ({type(e).__name__})"
        raise Broken(kind) from None
    except ValueError as e:  # what is no URL at all, for instance a port beyond 65535
        if isinstance(e, TruelineError):
            raise
        raise ModelError(f"{base} is no address ({e})", remedy="write http://HOST:PORT/v1") from None
