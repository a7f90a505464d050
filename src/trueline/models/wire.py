"""HTTP to a model's server: one client, patient retries, errors in words. Secrets never stand in an error or a record.

Retries live here and not in a wrapper, because only the response knows its status and Retry-After: when a server says
"not before 5 s", every request of this client waits, not only the one that was told.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import random
import time
from collections.abc import AsyncIterator, Mapping
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from trueline.errors import ModelError, ModelUnavailable

RETRY = frozenset({408, 409, 425, 429, *range(500, 600)}) - {501, 505}  # those two say "never", all other 5xx "not now"
LONGEST_WAIT = 60.0  # seconds; a server that asks for more is asked again after this


class RequestRefused(ModelError):
    """The server answered and said no. `status` of HTTP; `code` and `param` as its error object names them ("" if it does not)."""

    def __init__(self, what: str, *, remedy: str, status: int, code: str = "", param: str = "", told: str = "") -> None:
        super().__init__(what, remedy=remedy)
        self.status, self.code, self.param, self.told = status, code, param, told


class RateLimited(ModelUnavailable):
    """The server is there and says that it was asked too often."""


class Wire:
    """Posts JSON. `tries` in all, with jitter, honouring Retry-After; `timeout` in seconds a request."""

    def __init__(self, base: str, headers: Mapping[str, str], *, tries: int = 5, timeout: float = 120.0, seed: int = 0) -> None:
        self.base = base.rstrip("/")
        limits = httpx.Limits(max_connections=256, max_keepalive_connections=64)
        self._client = httpx.AsyncClient(headers=dict(headers), timeout=httpx.Timeout(timeout, connect=10.0, pool=None), limits=limits)
        self._tries, self._random, self._not_before = max(1, tries), random.Random(seed), 0.0
        self._secrets = [v.removeprefix("Bearer ") for k, v in headers.items() if k in ("authorization", "x-api-key")]

    def _wait(self, attempt: int, response: httpx.Response | None) -> float:
        told = _retry_after(response.headers.get("retry-after", "")) if response is not None else None
        if told is not None:
            self._not_before = max(self._not_before, time.monotonic() + told)
            return told
        return float(min(0.5 * 2**attempt, 20.0) * (0.5 + self._random.random()))

    async def _turn(self) -> None:
        while (left := self._not_before - time.monotonic()) > 0:
            await asyncio.sleep(left + 0.05 * self._random.random())

    def _refusal(self, status: int, text: str) -> RequestRefused:
        code, param, told = _error(text)
        told = told or ("it redirects elsewhere, give that address" if 300 <= status < 400 else "nothing more")
        for secret in self._secrets:
            told = told.replace(secret, "***") if len(secret) > 3 else told
        remedy = "check model name, key and request"
        if status in (400, 422) and "temperature" in (param, *told.replace("'", " ").split()):
            remedy = "this model takes only its own temperature: ask with --temperature 1"
        return RequestRefused(
            f"{self.base} answered HTTP {status}: {told}", remedy=remedy, status=status, code=code, param=param, told=told
        )

    def _answer(self, found: dict[str, Any], response: httpx.Response) -> dict[str, Any]:
        """The answer, unless it is an error in the clothes of a success, as some gateways send it."""
        if isinstance(found.get("error"), dict | str) and not found.get("choices") and not found.get("content"):
            raise self._refusal(response.status_code, response.text)
        return found

    def _gave_up(self, why: str) -> ModelUnavailable:
        what = f"{self.base} did not answer after {self._tries} tries ({why})"
        if why in ("HTTP 429", "HTTP 529"):
            return RateLimited(what, remedy="ask with less --concurrency, or run the same command again later")
        return ModelUnavailable(what, remedy="check the address and that the server runs, then run the same command again")

    async def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """The JSON object that the server answers. Raises `ModelUnavailable` after all tries, `RequestRefused` for a no,
        `ModelError` for what is no JSON object."""
        why = ""
        for attempt in range(self._tries):
            response = None
            await self._turn()
            try:
                response = await self._client.post(self.base + path, json=dict(body))
            except httpx.InvalidURL:
                raise ModelError(f"{self.base} is no address", remedy="write http://HOST:PORT/v1") from None
            except httpx.HTTPError as e:
                why = type(e).__name__
            if response is not None:
                if response.status_code < 300:
                    return self._answer(_object(response.text, self.base), response)
                why = f"HTTP {response.status_code}"
                if response.status_code not in RETRY:
                    raise self._refusal(response.status_code, response.text)
            if attempt + 1 < self._tries:
                await asyncio.sleep(self._wait(attempt, response))
        raise self._gave_up(why)

    async def events(self, path: str, body: Mapping[str, Any]) -> AsyncIterator[dict[str, Any]]:
        """The JSON objects of a server-sent event stream, until `[DONE]` or its end. Retries until the stream has begun, never after."""
        why = ""
        for attempt in range(self._tries):
            wait, begun = 0.0, False
            await self._turn()
            try:
                async with self._client.stream("POST", self.base + path, json=dict(body)) as response:
                    if response.status_code < 300:
                        begun = True
                        async for line in _lines(response):
                            data = line.removeprefix("data:").strip() if line.startswith("data:") else ""
                            if data == "[DONE]":
                                return
                            if data:
                                yield _object(data, self.base)
                        return
                    why = f"HTTP {response.status_code}"
                    told = (await response.aread()).decode("utf-8", "replace")
                    if response.status_code not in RETRY:
                        raise self._refusal(response.status_code, told)
                    wait = self._wait(attempt, response)
            except httpx.HTTPError as e:
                if begun:
                    raise ModelUnavailable(f"{self.base} broke off the stream ({type(e).__name__})", remedy="ask again") from None
                why, wait = type(e).__name__, self._wait(attempt, None)
            if attempt + 1 < self._tries:
                await asyncio.sleep(wait)
        raise self._gave_up(why)

    async def close(self) -> None:
        """Closes the connections."""
        await self._client.aclose()


async def _lines(response: httpx.Response) -> AsyncIterator[str]:
    """The lines of an event stream. Only \\n and \\r end a line there; `aiter_lines` also cuts at U+2028 and the like, which may stand
    in a JSON string as they are. Bytes that are no UTF-8 are replaced."""
    held = b""
    async for part in response.aiter_bytes():
        *whole, held = (held + part).replace(b"\r", b"\n").split(b"\n")
        for line in whole:
            yield line.decode("utf-8", "replace")
    yield held.decode("utf-8", "replace")


def _retry_after(told: str) -> float | None:
    """Seconds to wait, from a number or an HTTP date; None for anything else, for a server may send what it likes."""
    try:
        found = float(told)
    except ValueError:
        try:
            found = parsedate_to_datetime(told).timestamp() - time.time() if told else math.nan
        except (ValueError, OverflowError):
            return None
    return min(max(0.0, found), LONGEST_WAIT) if math.isfinite(found) else None


def _parsed(text: str) -> object:
    """JSON, or None for what is none: broken, nested beyond reason, or numbers of thousands of digits."""
    try:
        found: object = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return _whole(found) if "\\ud" in text.lower() else found


def _whole(value: object) -> object:
    """The same without halves of characters: a server that cuts a reply at a token may leave one, and no file can hold it."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_whole(v) for v in value]
    return {str(_whole(k)): _whole(v) for k, v in value.items()} if isinstance(value, dict) else value


def _object(text: str, base: str) -> dict[str, Any]:
    found = _parsed(text)
    if found is None:
        raise ModelError(f"{base} answered something that is no JSON: {text[:60]!r}", remedy="check the URL (does it end in /v1?)")
    if not isinstance(found, dict):
        raise ModelError(f"{base} answered {type(found).__name__}, expected an object", remedy="check the URL")
    return found


def _error(text: str) -> tuple[str, str, str]:
    """(code, param, message in one line) of an error body, whatever its shape."""
    raw = _parsed(text)
    error = raw.get("error", raw) if isinstance(raw, dict) else None
    if not isinstance(error, dict):
        return "", "", " ".join(str(error if error is not None else text).split())[:160]
    inner = error.get("innererror")
    code = error.get("code") or error.get("type") or (inner.get("code") if isinstance(inner, dict) else "")
    message = error.get("message") or error.get("detail") or text
    return str(code or ""), str(error.get("param") or ""), " ".join(str(message).split())[:160]


def count_of(usage: object, name: str) -> int:
    """A token count out of a usage object, 0 where the server gives none that is a number."""
    found = usage.get(name) if isinstance(usage, Mapping) else None
    return found if isinstance(found, int) and 0 <= found < 2**31 else 0


def key_from(*names: str) -> str | None:
    """The first of these environment variables that is set: where API keys come from."""
    return next((os.environ[n].strip() for n in names if os.environ.get(n, "").strip()), None)
