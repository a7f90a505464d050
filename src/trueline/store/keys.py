"""API keys of the gateway's clients: only their SHA-256 is kept (they are 256 random bits, so no slow hash is needed)."""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass

from sqlalchemy import delete, insert, select, update

from trueline.charter.digests import sha256_text
from trueline.errors import StoreError
from trueline.store.database import Store
from trueline.store.log import append
from trueline.store.tables import api_keys

LONGEST_NAME = 64  # as the database keeps it
SHORTEST = 16  # characters; shorter ones can be guessed


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A client's key. `wait`: seconds that its held requests wait for a decision (None: as the gateway does)."""

    name: str
    created: str
    wait: float | None
    revoked: str | None


def new_secret() -> str:
    """A fresh key, to be shown once."""
    return f"tl-{secrets.token_urlsafe(32)}"


def put(store: Store, name: str, secret: str, *, wait: float | None = None) -> None:
    """Registers a key under a name, or gives the name a new one. Raises `StoreError` for a key that can be guessed."""
    digest = secret.removeprefix("sha256:") if secret.startswith("sha256:") else sha256_text(secret)
    if len(secret) < SHORTEST or len(digest) != 64:
        what = f"the key of {name!r} has {len(secret)} characters, expected at least {SHORTEST}"
        raise StoreError(what, remedy=f"use a random one, such as {new_secret()[:7]}...")
    if not 0 < len(name) <= LONGEST_NAME:
        raise StoreError(f"the key's name {name!r:.40} has {len(name)} characters, expected 1 to {LONGEST_NAME}", remedy="shorten it")
    now = store.now()
    with store.write() as conn:
        found = conn.execute(select(api_keys).where(api_keys.c.name == name)).first()
        if found is not None and (found.hash, found.wait, found.revoked) == (digest, wait, None):
            return
        conn.execute(delete(api_keys).where(api_keys.c.name == name))
        conn.execute(insert(api_keys).values(name=name, hash=digest, created=now, wait=wait, revoked=None))
        append(conn, now, "key.added", name, {"key": digest})


def revoke(store: Store, name: str) -> None:
    """The key stops working at once."""
    now = store.now()
    with store.write() as conn:
        done = conn.execute(update(api_keys).where(api_keys.c.name == name, api_keys.c.revoked.is_(None)).values(revoked=now))
        if done.rowcount:
            append(conn, now, "key.revoked", name, {})


def every(store: Store) -> tuple[ApiKey, ...]:
    """All keys, without their hashes."""
    with store.read() as conn:
        return tuple(ApiKey(r.name, r.created, r.wait, r.revoked) for r in conn.execute(select(api_keys).order_by(api_keys.c.name)))


def find(store: Store, secret: str) -> ApiKey | None:
    """The valid key with this secret; None where there is none. Compares every hash in constant time."""
    digest, found = sha256_text(secret), None
    with store.read() as conn:
        for r in conn.execute(select(api_keys).where(api_keys.c.revoked.is_(None))):
            if hmac.compare_digest(r.hash, digest):
                found = ApiKey(r.name, r.created, r.wait, r.revoked)
    return found
