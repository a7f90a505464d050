"""The one way from the async edge to sync rooms (store, guard): a worker thread, so that no request waits for another's disk."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import ParamSpec, TypeVar

import anyio.to_thread

P = ParamSpec("P")
T = TypeVar("T")


async def aside(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Runs `call` in a worker thread and returns its result; its errors come through."""
    return await anyio.to_thread.run_sync(partial(call, *args, **kwargs))
