"""HTTP to a model's server: one client, patient retries, errors in words. Secrets never stand in an error or a record."""

from __future__ import annotations

import asyncio
import json
import os
import random
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx

from trueline.errors import ModelError, ModelUnavailable

RETRY = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})


class Wire:
    """Posts JSON. `tries` in all; waits with jitter, honouring Retry-After (at most 60 s); `timeout` in seconds."""

    def __init__(self, base: str, headers: Mapping[str, str], *, tries: int = 5, timeout: float = 120.0, seed: int = 0) -> None:
        self.base = base.rstrip("/")
        limits = httpx.Limits(max_connections=256, max_keepalive_connections=64)
        self._client = httpx.AsyncClient(headers=dict(headers), timeout=httpx.Timeout(timeout, connect=10.0), limits=limits)
        self._tries, self._random = tries, random.Random(seed)

    def _wait(self, attempt: int, response: httpx.Response | None) -> float:
        told = response.headers.get("retry-after", "") if response is not None else ""
        if told.replace(".", "", 1).isdigit():
            return min(float(told), 60.0)
        return float(min(0.5 * 2**attempt, 20.0) * (0.5 + self._random.random()))

    async def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """The JSON object that the server answers. Raises `ModelUnavailable` after all tries, `ModelError` for a refusal."""
        why = ""
        for attempt in range(self._tries):
            response = None
            try:
                response = await self._client.post(self.base + path, json=dict(body))
            except httpx.HTTPError as e:
                why = type(e).__name__
            if response is not None:
                if response.status_code < 400:
                    return _object(response.text, self.base)
                why = f"HTTP {response.status_code}"
                if response.status_code not in RETRY:
                    raise ModelError(f"{self.base} answered {why}: {_told(response.text)}", remedy="check model name, key and request")
            if attempt + 1 < self._tries:
                await asyncio.sleep(self._wait(attempt, response))
        what = f"{self.base} did not answer after {self._tries} tries ({why})"
        raise ModelUnavailable(what, remedy="check the address and that the server runs, then run the same command again")

    async def events(self, path: str, body: Mapping[str, Any]) -> AsyncIterator[dict[str, Any]]:
        """The JSON objects of a server-sent event stream, until `[DONE]` or its end."""
        try:
            async with self._client.stream("POST", self.base + path, json=dict(body)) as response:
                if response.status_code >= 400:
                    told = _told((await response.aread()).decode("utf-8", "replace"))
                    kind = ModelUnavailable if response.status_code in RETRY else ModelError
                    raise kind(f"{self.base} answered HTTP {response.status_code}: {told}", remedy="check model name, key and request")
                async for line in response.aiter_lines():
                    data = line.removeprefix("data:").strip() if line.startswith("data:") else ""
                    if data == "[DONE]":
                        return
                    if data:
                        yield _object(data, self.base)
        except httpx.HTTPError as e:
            raise ModelUnavailable(f"{self.base} broke off the stream ({type(e).__name__})", remedy="ask again") from None

    async def close(self) -> None:
        """Closes the connections."""
        await self._client.aclose()


def _object(text: str, base: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except json.JSONDecodeError:
        raise ModelError(
            f"{base} answered something that is no JSON: {text[:60]!r}", remedy="check the URL (does it end in /v1?)"
        ) from None
    if not isinstance(found, dict):
        raise ModelError(f"{base} answered {type(found).__name__}, expected an object", remedy="check the URL")
    return found


def _told(text: str) -> str:
    try:
        error = json.loads(text).get("error", {})
        text = error.get("message", text) if isinstance(error, dict) else str(error)
    except (json.JSONDecodeError, AttributeError):
        pass
    return " ".join(str(text).split())[:160]


def key_from(*names: str) -> str | None:
    """The first of these environment variables that is set: where API keys come from."""
    return next((os.environ[n] for n in names if os.environ.get(n)), None)
