"""Who is asking: the bearer key of a request, looked up by its hash."""

from __future__ import annotations

from starlette.requests import Request

from trueline.core.threads import aside
from trueline.store.database import Store
from trueline.store.keys import ApiKey, find


class KeyRefused(Exception):
    """The request has no valid key, and needs one (or gave a wrong one)."""


def bearer(request: Request) -> str:
    """The key in the Authorization header; empty where there is none."""
    kind, _, secret = request.headers.get("authorization", "").partition(" ")
    return secret.strip() if kind.lower() == "bearer" else ""


async def who(store: Store, request: Request, required: bool) -> ApiKey | None:
    """The key of a request. Without required keys, an unknown key counts as none (clients must send something).
    Raises `KeyRefused`."""
    secret = bearer(request)
    found = await aside(find, store, secret) if secret else None
    if found is None and required:
        raise KeyRefused("a valid API key is needed; send `Authorization: Bearer KEY`")
    return found
