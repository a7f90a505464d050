"""Prices of tokens on the command line: IN/OUT for a million tokens each."""

from __future__ import annotations

import math

from trueline.errors import DataError


def price_from(text: str) -> tuple[float, float]:
    """(input, output) price of a million tokens from IN/OUT. Raises `DataError`."""
    parts = text.split("/")
    try:
        found = [float(p) for p in parts]
    except ValueError:
        found = []
    if len(found) != 2 or not all(math.isfinite(p) and p >= 0 for p in found):
        raise DataError(f"{text!r:.40} is no price", remedy="write IN/OUT for a million tokens each, as 0.5/1.5")
    return found[0], found[1]
