"""A fault: something fatal in a charter beyond its form, with its place."""

from __future__ import annotations

from dataclasses import dataclass

from trueline.charter.yaml_document import Place


@dataclass(frozen=True, slots=True)
class Fault:
    """Something fatal: where, what, and how to mend it."""

    at: Place
    what: str
    remedy: str
