"""Which families teach and which test: decided by the family's digest alone, so that they can never cross."""

from __future__ import annotations

import hashlib
from typing import Literal

Side = Literal["teach", "test"]


def side_of(family: str) -> Side:
    """The side of a family: a property of its name, stable over versions and machines."""
    return "teach" if hashlib.sha256(family.encode()).digest()[0] < 128 else "test"
