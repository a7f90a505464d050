"""Waiting for a person: looks at the database, so that a decision taken through another gateway or after a restart arrives as well."""

from __future__ import annotations

import asyncio
import logging
import time
from datetime import timedelta

from trueline.core.clock import iso
from trueline.core.threads import aside
from trueline.errors import StoreError
from trueline.store import exchanges, holds
from trueline.store.database import Store
from trueline.store.exchanges import Exchange
from trueline.store.holds import Hold

logger = logging.getLogger("trueline.gateway")
ABANDONED = timedelta(hours=1)  # no stream lasts as long: another gateway on this database may have younger ones under way


async def look(store: Store, exchange: str) -> tuple[Exchange | None, Hold | None]:
    """An exchange as it stands now, with its hold. What is overdue is refused first."""

    def _read() -> tuple[Exchange | None, Hold | None]:
        hold = holds.of_exchange(store, exchange)
        if hold is not None and hold.state == "pending" and hold.expires <= store.now():
            holds.expire_due(store)
        # the exchange last: it is completed in the transaction that decides the hold
        hold = holds.of_exchange(store, exchange)
        return exchanges.get(store, exchange), hold

    return await aside(_read)


async def wait(store: Store, exchange: str, seconds: float, poll: float) -> tuple[Exchange | None, Hold | None]:
    """Waits until the hold of an exchange is resolved, at most `seconds`; looks every `poll` seconds."""
    until = time.monotonic() + seconds
    while True:
        found, hold = await look(store, exchange)
        left = until - time.monotonic()
        if found is None or found.state != "held" or left <= 0:
            return found, hold
        await asyncio.sleep(min(poll, left))


async def sweep(store: Store, every: float = 1.0) -> None:
    """Refuses overdue holds for as long as the gateway runs, whatever fails meanwhile; first closes what a killed gateway left open."""
    begun = False
    while True:
        try:
            await aside(holds.expire_due, store)
            if not begun:
                await aside(exchanges.abandon, store, iso(store.clock() - ABANDONED))
                begun = True
        except StoreError as e:
            logger.warning("could not look for overdue holds: %s", e)
        except Exception:
            logger.exception("could not look for overdue holds")
        await asyncio.sleep(every)
