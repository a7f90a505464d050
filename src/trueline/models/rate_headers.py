"""What servers say about their rate limits in headers, as seconds to wait: Retry-After, and the limits of OpenAI's and Anthropic's style."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime

LONGEST_WAIT = 60.0  # seconds; a server that asks for more is asked again after this
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|h|m|s)")
_UNIT = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
# (what is left, when it is full again)
LIMITS = tuple(
    pair
    for what in ("requests", "tokens")
    for pair in (
        (f"x-ratelimit-remaining-{what}", f"x-ratelimit-reset-{what}"),
        (f"anthropic-ratelimit-{what}-remaining", f"anthropic-ratelimit-{what}-reset"),
    )
)


def _clipped(seconds: float) -> float | None:
    return min(max(0.0, seconds), LONGEST_WAIT) if math.isfinite(seconds) else None


def retry_after(told: str) -> float | None:
    """Seconds to wait, from a number or an HTTP date; None for anything else, for a server may send what it likes."""
    try:
        found = float(told)
    except ValueError:
        try:
            found = parsedate_to_datetime(told).timestamp() - time.time() if told else math.nan
        except (ValueError, OverflowError):
            return None
    return _clipped(found)


def duration(told: str) -> float | None:
    """Seconds of `6m0s`, `20ms`, `1.5` or a time of day in RFC 3339; None for anything else."""
    try:
        return _clipped(float(told))
    except ValueError:
        pass
    parts = _PART.findall(told)
    if parts and "".join(n + u for n, u in parts) == told.strip():
        return _clipped(sum(float(n) * _UNIT[u] for n, u in parts))
    try:
        return _clipped(datetime.fromisoformat(told).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None


def asked_to_wait(headers: Mapping[str, str]) -> float | None:
    """Seconds after which a server that answered "not now" says to come again; None where it says nothing."""
    exact = headers.get("retry-after-ms")
    if exact is not None and (found := duration(exact + "ms")) is not None:
        return found
    told = retry_after(headers.get("retry-after", ""))
    return told if told is not None else used_up(headers)


def used_up(headers: Mapping[str, str]) -> float | None:
    """Seconds until a limit that is used up is there again; None where something is left or nothing is said."""
    waits = [
        found for left, full in LIMITS if headers.get(left, "").strip() == "0" and (found := duration(headers.get(full, ""))) is not None
    ]
    return max(waits, default=None)
