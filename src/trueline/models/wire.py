"""HTTP to a model's server: patient retries, errors in words. Secrets never stand in an error or a record.

Retries live here and not in a wrapper, because only the response knows its status and Retry-After: when a server says
"not before 5 s", every request of this client waits, not only the one that was told.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

from trueline.core.halves import whole
from trueline.errors import ModelError, ModelUnavailable
from trueline.models.pace import Try, pace
from trueline.models.rate_headers import asked_to_wait, used_up
from trueline.models.transport import Answered, Broken, Transport

RETRY = frozenset({408, 409, 425, 429, *range(500, 600)}) - {501, 505}  # those two say "never", all other 5xx "not now"
UNREADABLE_TRIES = 3  # an answer that cannot be read comes from a proxy that starts, or from a wrong address, which stays wrong
LARGEST_COUNT = 2**31  # a usage beyond it is none
TOLD = 160  # characters of a server's message that an error quotes
SILENT_TRIES = 2  # a server that says nothing costs the whole timeout each time


class RequestRefused(ModelError):
    """The server answered and said no. `status` of HTTP; `code` and `param` as its error object names them ("" if it does not)."""

    def __init__(self, what: str, *, remedy: str, status: int, code: str = "", param: str = "", told: str = "") -> None:
        super().__init__(what, remedy=remedy)
        self.status, self.code, self.param, self.told = status, code, param, told


class NoAnswer(ModelUnavailable):
    """No answer to this request after all tries. `kind` in a word or two, for counting."""

    def __init__(self, what: str, *, remedy: str, kind: str = "no answer") -> None:
        super().__init__(what, remedy=remedy)
        self.kind = kind


class RateLimited(ModelUnavailable):
    """The server is there and says that it was asked too often."""


class Unreadable(ModelError):
    """The server answered with something that is no answer. `kind` in a word or two, for counting."""

    kind = "an answer that cannot be read"


@dataclass(frozen=True, slots=True)
class Told:
    """A server's answer, and the seconds that this one request took, without waits and earlier tries."""

    raw: dict[str, Any]
    seconds: float


class Wire:
    """Posts JSON. `tries` in all, with jitter, honouring Retry-After; `timeout` in seconds a request."""

    def __init__(self, base: str, headers: Mapping[str, str], *, tries: int = 5, timeout: float = 120.0, seed: int = 0) -> None:
        self.base = base.rstrip("/")
        self._transport, self._timeout = Transport(self.base, headers), timeout
        self._tries, self._random, self._not_before = max(1, tries), random.Random(seed), 0.0
        keys = (v.removeprefix("Bearer ") for k, v in headers.items() if k in ("authorization", "x-api-key"))
        self._secrets = [k for k in keys if len(k) > 3]

    def _wait(self, attempt: int, headers: Mapping[str, str] | None) -> float:
        told = asked_to_wait(headers) if headers is not None else None
        if told is not None:
            self._hold(told)
            return told
        return float(min(0.5 * 2**attempt, 20.0) * (0.5 + self._random.random()))

    def _hold(self, seconds: float) -> None:
        self._not_before = max(self._not_before, time.monotonic() + seconds)

    async def _turn(self) -> None:
        while (left := self._not_before - time.monotonic()) > 0:
            await asyncio.sleep(left + 0.05 * self._random.random())

    def _hidden(self, text: str) -> str:
        """The text without our keys. What is cut must be cut after this: a part of a key is found no more."""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text

    def _refusal(self, status: int, text: str) -> RequestRefused:
        code, param, told = map(self._hidden, _error(text))
        told = told[:TOLD] or ("it redirects elsewhere, give that address" if 300 <= status < 400 else "nothing more")
        remedy = "check model name, key and request"
        if status in (400, 422) and "temperature" in (param, *told.replace("'", " ").split()):
            remedy = "this model takes only its own temperature: ask with --temperature 1"
        return RequestRefused(
            f"{self.base} answered HTTP {status}: {told}", remedy=remedy, status=status, code=code, param=param, told=told
        )

    def _object(self, text: str) -> dict[str, Any]:
        found = _parsed(text)
        if found is None:
            what = f"{self.base} answered something that is no JSON: {self._hidden(text)[:60]!r}"
            raise Unreadable(what, remedy="check the URL (does it end in /v1?)")
        if not isinstance(found, dict):
            raise Unreadable(f"{self.base} answered {type(found).__name__}, expected an object", remedy="check the URL")
        return found

    def _read(self, answered: Answered) -> dict[str, Any]:
        """The answer, unless it is an error in the clothes of a success, as some gateways send it."""
        found = self._object(answered.text)
        if isinstance(found.get("error"), dict | str) and not found.get("choices") and not found.get("content"):
            raise self._refusal(answered.status, answered.text)
        return found

    def _gave_up(self, why: str, tries: int) -> ModelUnavailable:
        what = f"{self.base} did not answer after {tries} {'try' if tries == 1 else 'tries'} ({why})"
        if why in ("HTTP 429", "HTTP 529"):
            return RateLimited(what, remedy="ask with less --concurrency, or run the same command again later")
        return NoAnswer(what, remedy="check the address and that the server runs, then run the same command again", kind=why)

    async def _once(self, path: str, raw: bytes, timeout: float) -> tuple[Answered, float]:
        """One try, by the clock."""
        began = time.monotonic()
        answered = await self._transport.post(path, raw, timeout)
        return answered, time.monotonic() - began

    async def post(self, path: str, body: Mapping[str, Any]) -> Told:
        """The JSON object that the server answers. Raises `ModelUnavailable` after all tries, `RequestRefused` for a no,
        `Unreadable` for what is no JSON object."""
        raw, most, paced = json.dumps(body).encode(), most_tokens(body), pace()
        last: tuple[str, Unreadable | None] = ("", None)
        limit, attempt, wait = self._tries, 0, 0.0
        while attempt < limit:
            if wait:
                await asyncio.sleep(wait)
            await self._turn()
            turn = await paced.before(len(raw), most)
            seen, attempt = Try(0.0, "given up", told=False), attempt + 1
            try:
                answered, seconds = await self._once(path, raw, paced.timeout or self._timeout)
                seen = Try(seconds, f"HTTP {answered.status}")
                if answered.status < 300:
                    found = self._read(answered)
                    seen = _told(found, seconds)
                    if (empty := used_up(answered.headers)) is not None:
                        self._hold(empty)
                    return Told(found, seconds)
                if answered.status not in RETRY:
                    raise self._refusal(answered.status, answered.text)
                last, wait = (seen.fault, None), self._wait(attempt - 1, answered.headers)
            except Unreadable as e:
                seen, last, wait = Try(seconds, e.kind), (e.kind, e), self._wait(attempt - 1, None)
                limit = min(limit, UNREADABLE_TRIES)
            except Broken as e:
                seen, last, wait = Try(0.0, e.kind, told=False), (e.kind, None), self._wait(attempt - 1, None)
                limit = attempt if not e.again else min(limit, SILENT_TRIES) if seen.busy else limit
            finally:
                paced.after(len(raw), turn, seen)
        raise last[1] or self._gave_up(last[0], attempt)

    async def events(self, path: str, body: Mapping[str, Any]) -> AsyncIterator[dict[str, Any]]:
        """The JSON objects of a server-sent event stream, until `[DONE]` or its end. Retries until the stream has begun, never after."""
        raw, why = json.dumps(body).encode(), ""
        for attempt in range(self._tries):
            wait, begun = 0.0, False
            await self._turn()
            try:
                async with self._transport.stream(path, raw, self._timeout) as response:
                    if response.status < 300:
                        begun = True
                        async for line in response.lines():
                            data = line.removeprefix("data:").strip() if line.startswith("data:") else ""
                            if data == "[DONE]":
                                return
                            if data:
                                yield self._object(data)
                        return
                    why = f"HTTP {response.status}"
                    told = await response.text()
                    if response.status not in RETRY:
                        raise self._refusal(response.status, told)
                    wait = self._wait(attempt, response.headers)
            except Broken as e:
                if begun:
                    raise NoAnswer(f"{self.base} broke off the stream ({e.kind})", remedy="ask again", kind=e.kind) from None
                why, wait = e.kind, self._wait(attempt, None)
            if attempt + 1 < self._tries:
                await asyncio.sleep(wait)
        raise self._gave_up(why, self._tries)

    async def close(self) -> None:
        """Closes the connections."""
        await self._transport.close()


def most_tokens(body: Mapping[str, Any]) -> int:
    """The most tokens that the answer to this body may have, 0 where it does not say."""
    found = body.get("max_tokens", body.get("max_completion_tokens", 0))
    return found if isinstance(found, int) else 0


def _told(raw: Mapping[str, Any], seconds: float) -> Try:
    usage = raw.get("usage")
    if not isinstance(usage, Mapping):
        return Try(seconds)
    return Try(
        seconds,
        input_tokens=_counted(usage, "prompt_tokens", "input_tokens"),
        output_tokens=_counted(usage, "completion_tokens", "output_tokens"),
    )


def _counted(usage: Mapping[str, Any], *names: str) -> int | None:
    """The count under one of these names, None where none of them is a number: a server that says nothing has not said 0."""
    return max((n for n in map(usage.get, names) if isinstance(n, int) and 0 <= n < LARGEST_COUNT), default=None)


def _parsed(text: str) -> object:
    """JSON, or None for what is none: broken, nested beyond reason, or numbers of thousands of digits."""
    try:
        found: object = json.loads(text)
        return whole(found) if "\\ud" in text.lower() else found
    except (ValueError, RecursionError):
        return None


def _error(text: str) -> tuple[str, str, str]:
    """(code, param, message in one line, uncut) of an error body, whatever its shape."""
    raw = _parsed(text)
    error = raw.get("error", raw) if isinstance(raw, dict) else None
    if not isinstance(error, dict):
        return "", "", " ".join(str(error if error is not None else text).split())
    inner = error.get("innererror")
    code = error.get("code") or error.get("type") or (inner.get("code") if isinstance(inner, dict) else "")
    message = error.get("message") or error.get("detail") or text
    return str(code or ""), str(error.get("param") or ""), " ".join(str(message).split())


def count_of(usage: object, name: str) -> int:
    """A token count out of a usage object, 0 where the server gives none that is a number."""
    found = usage.get(name) if isinstance(usage, Mapping) else None
    return found if isinstance(found, int) and 0 <= found < LARGEST_COUNT else 0


def key_from(*names: str) -> str | None:
    """The first of these environment variables that is set: where API keys come from."""
    return next((os.environ[n].strip() for n in names if os.environ.get(n, "").strip()), None)
