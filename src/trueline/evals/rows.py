"""A reply and its grade as one row; what a probe gets that nobody answered, and when that is so of too many."""

from __future__ import annotations

from collections.abc import Sequence

from trueline.charter.probes import Probe
from trueline.core.chat import ChatReply
from trueline.core.evaluations import GradedReply
from trueline.core.records import Grade
from trueline.errors import ModelError, ModelUnavailable
from trueline.evals.graders.charter_grader import UNSEEN
from trueline.evals.journal import NO_ANSWER
from trueline.models.wire import RequestRefused, Unreadable

OF_THIS_REQUEST = frozenset({400, 413, 422})  # HTTP: this request is at fault; other refusals (key, name) are of them all
NOT_TAKEN = "not taken"
IN_A_ROW = 10  # so many probes in vain, and nobody answered in between: the target is gone


def row_of(probe: Probe, sample: int, reply: ChatReply, grade: Grade) -> GradedReply:
    """The row of a graded reply."""
    return GradedReply(
        probe=probe.id,
        clause=probe.clause,
        kind=probe.kind,
        measure=probe.measure,
        family=probe.family,
        origin=probe.origin,
        sample=sample,
        reply=reply.text,
        result=grade.result,
        seen=grade.seen,
        reason=grade.reason,
        grader=grade.grader,
        pair=probe.expect.pair,
        blocked=reply.blocked,
        version=f"{reply.model} {reply.fingerprint}".strip(),
        decided=reply.decided,
        action=reply.action,
        decided_clause=reply.decided_clause,
        seconds=round(reply.seconds, 4),
        input_tokens=reply.input_tokens,
        output_tokens=reply.output_tokens,
    )


class Breaker:
    """Turns the errors of single probes into grades, and ends the run where they are not of single probes."""

    def __init__(self) -> None:
        self.in_a_row = 0

    def answered(self) -> None:
        """The target is there."""
        self.in_a_row = 0

    def grade(self, e: ModelError) -> Grade:
        """An unscored grade that says why, or raises the error: where it is of all requests (a wrong key), and where `IN_A_ROW` probes went
        unanswered one after the other (the target is gone, or limits the rate beyond all patience)."""
        if isinstance(e, RequestRefused):
            if e.status not in OF_THIS_REQUEST:
                raise e
            self.answered()
            return Grade("unscored", "", NOT_TAKEN, str(e))
        if not isinstance(e, ModelUnavailable | Unreadable):
            raise e
        self.in_a_row += 1
        if self.in_a_row >= IN_A_ROW:
            raise e
        return Grade("unscored", "", NO_ANSWER, str(e))


def nothing(rows: Sequence[GradedReply], may_be_silent: bool) -> str | None:
    """Why an evaluation in which no user would have seen a word of the model says nothing, or None. What a guard says in its place is
    no sign of life."""
    rows = [r for r in rows if r.from_model]
    if not rows:
        return None
    if all(r.seen in (NOT_TAKEN, NO_ANSWER) for r in rows):
        return f"not one of {len(rows)} requests was {'taken' if rows[0].seen == NOT_TAKEN else 'answered'}: {rows[0].reason}"
    if may_be_silent or any(r.reply.strip() or r.blocked for r in rows):
        return None
    why = next((r.reason for r in rows if r.seen == UNSEEN), "the server answered, with no text in it")
    return f"not one of {len(rows)} replies has a word that a user would see: {why}"
