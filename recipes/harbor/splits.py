"""Which families teach and which test: the same rule as `trueline.charter.splits` (the recipe needs no Trueline)."""

from __future__ import annotations

import functools
import hashlib


@functools.cache
def side_of(family: str) -> str:
    """'teach' or 'test', by the family's digest alone."""
    return "teach" if hashlib.sha256(family.encode()).digest()[0] < 128 else "test"
