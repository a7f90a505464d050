"""The canonical form of a charter: what it says, without comments, order of keys or layout."""

from __future__ import annotations

from typing import Any

from trueline.charter.digests import digest_of
from trueline.charter.schema import Charter


def canonical_form(charter: Charter) -> dict[str, Any]:
    """All values including defaults, as plain JSON-able data; lists keep their order, for order is meaning there.

    `inherits` stands there only where a family is left out: a charter written before there was anything to inherit keeps its digest."""
    form = charter.model_dump(mode="json")
    if not charter.inherits.without:
        del form["inherits"]
    return form


def charter_digest(charter: Charter) -> str:
    """SHA-256 of the canonical form, 64 hex digits: the charter's version."""
    return digest_of(canonical_form(charter))
