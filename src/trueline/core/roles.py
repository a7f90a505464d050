"""Who may decide: lists of roles of which a reviewer needs one, where `A and B` is one that needs both."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import product

AND = " and "


def jointly(lists: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """One list for several that must all be satisfied: the roles that stand in every one, else what must be had together."""
    common = [role for role in lists[0] if all(role in other for other in lists)]
    together = [AND.join(dict.fromkeys(roles)) for roles in product(*lists)]
    return tuple(dict.fromkeys(common or together))


def entitling(roles: Collection[str], by: Sequence[str]) -> str | None:
    """Which entry of `by` these roles satisfy; None where they satisfy none."""
    return next((one for one in by if one in roles or set(one.split(AND)) <= set(roles)), None)
