"""Review rules: who must look, how soon, and what happens if nobody does."""

from __future__ import annotations

from dataclasses import dataclass

from trueline.charter.compile.guarding import HELD
from trueline.charter.schema import Charter


@dataclass(frozen=True, slots=True)
class ReviewRule:
    """`always`: held whatever a detector says, on the named routes, keys or tools; else on detection."""

    clause: str
    always: bool
    on: tuple[str, ...]
    by: tuple[str, ...]
    approvals: int
    within_seconds: int
    reply: str


def review_rules(charter: Charter) -> tuple[ReviewRule, ...]:
    """One rule a high-stakes clause."""
    return tuple(
        ReviewRule(
            h.id,
            h.review.when == "always",
            h.review.on,
            h.review.by,
            h.review.approvals,
            h.review.within_seconds,
            h.reply or HELD,
        )
        for h in charter.high_stakes
    )
