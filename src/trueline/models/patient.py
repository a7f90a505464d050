"""Patience with a server that says "too many requests", round any `ChatModel`: what a long measurement needs, and a gateway must not have."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from trueline.core.chat import ChatModel, ChatReply, ChatRequest, TokenChat
from trueline.models.wire import RateLimited

T = TypeVar("T")
LONGEST_PAUSE = 30.0  # seconds between two tries of one request


class PatientChat:
    """Asks again, ever more slowly, while the server limits the rate and still answers now and then: it gives up once nobody behind this
    wrapper was answered for `patience` seconds. All other errors are passed on at once."""

    def __init__(
        self,
        inner: ChatModel,
        *,
        patience: float = 120.0,
        seed: int = 0,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._inner, self._patience, self._random, self._sleep, self._now = inner, patience, random.Random(seed), sleep, now
        self._answered: float | None = None

    @property
    def name(self) -> str:
        """The TARGET string of the model inside."""
        return self._inner.name

    def identity(self) -> Mapping[str, Any]:
        """Of the model inside: patience changes no reply."""
        return self._inner.identity()

    async def reply(self, request: ChatRequest) -> ChatReply:
        """The answer, whenever it comes. Raises `RateLimited` once patience is out."""
        return await self._patiently(lambda: self._inner.reply(request))

    async def first_token(self, request: ChatRequest) -> Mapping[str, float]:
        """As the model inside, which must be a `TokenChat`. Raises `RateLimited` once patience is out."""
        inner = self._inner
        assert isinstance(inner, TokenChat), "asked of a model that has it"
        return await self._patiently(lambda: inner.first_token(request))

    async def _patiently(self, ask: Callable[[], Awaitable[T]]) -> T:
        began, pause = self._now(), 1.0
        while True:
            try:
                answer = await ask()
            except RateLimited:
                if self._now() - max(began, self._answered or began) > self._patience:
                    raise
                await self._sleep(pause * (0.5 + self._random.random()))
                pause = min(2 * pause, LONGEST_PAUSE)
            else:
                self._answered = self._now()
                return answer

    async def close(self) -> None:
        """Closes the model inside."""
        await self._inner.close()
