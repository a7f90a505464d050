"""How often a token may be guessed: after three wrong ones each further try waits twice as long as the one before, a minute at most.

A *subject* is whom the failures are counted against: the reviewer, in a browser from which they have entered before, else the
client's address. So a stranger who guesses makes nobody wait but those behind the same address who have never entered from their
browser, and those a minute at most. Kept in memory, bounded: a restart forgets, and so does a quarter of an hour without a failure. A right
token takes nothing back, or one who has a token could wipe out the guesses they make at the others.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network

from trueline.core.clock import Clock, utc_now

FREE = 2  # wrong tokens without a pause after them: people mistype
FIRST = 1.0  # seconds after the next one; doubled by each
LONGEST = 60.0  # seconds
FORGOTTEN = 900.0  # seconds without a failure
MOST = 10_000  # subjects; the one whose last failure is the oldest is forgotten first
TOLD = 30  # failures a minute that are written down one by one


@dataclass(slots=True)
class _Failures:
    count: int
    last: float


def pause_after(failures: int) -> float:
    """Seconds to wait after this many wrong tokens."""
    return 0.0 if failures <= FREE else min(LONGEST, FIRST * 2.0 ** min(failures - FREE - 1, 10))


def network_of(host: str | None) -> str:
    """The address that failures are counted against: of IPv6 the /64, of which one client has all; what is no address as it is."""
    try:
        found = ip_address((host or "").partition("%")[0])
    except ValueError:
        return f"{host or 'this machine':.60}"
    if isinstance(found, IPv6Address):
        return str(found.ipv4_mapped or ip_network((found, 64), strict=False))
    return str(found)


class Attempts:
    """Failures by subject. No call waits or yields: between `wait` and `failed` of one request no other request is served."""

    def __init__(self, clock: Clock = utc_now) -> None:
        self._clock = clock
        self._failed: OrderedDict[str, _Failures] = OrderedDict()
        self._minute, self._told, self._untold = 0, 0, 0

    def __len__(self) -> int:
        return len(self._failed)

    def wait(self, subject: str) -> float:
        """Seconds until this subject may try again; 0 where it may now."""
        found, now = self._failed.get(subject), self._clock().timestamp()
        if found is None:
            return 0.0
        if now - found.last > FORGOTTEN:
            del self._failed[subject]
            return 0.0
        pause = pause_after(found.count)
        return max(0.0, min(pause, found.last + pause - now))  # a clock that was set back makes nobody wait longer

    def failed(self, subject: str) -> int:
        """Counts a wrong token; returns how many there were."""
        now, found = self._clock().timestamp(), self._failed.pop(subject, None)
        count = found.count + 1 if found is not None and now - found.last <= FORGOTTEN else 1
        self._failed[subject] = _Failures(count, now)
        while len(self._failed) > MOST:
            self._failed.popitem(last=False)
        return count

    def turned_away(self) -> None:
        """Counts a try during a pause: it is not looked at, does not make the pause longer, and is told in sum alone."""
        self._untold += 1

    def to_tell(self) -> int | None:
        """Whether this failure is to be written down: how many went untold before it, or None once a minute has had enough of them
        (the log is kept for ever, and a stranger must not fill it)."""
        minute = int(self._clock().timestamp() // 60)
        if minute != self._minute:
            self._minute, self._told = minute, 0
        if self._told >= TOLD:
            self._untold += 1
            return None
        before, self._untold, self._told = self._untold, 0, self._told + 1
        return before
