"""A tuned prompt as a diff on the charter's compilation: operations in order, never a text of its own.

The charter stays the source of truth: a diff names its digest and is refused when the charter has changed. Operations: `open` (the first
line without the purpose), `leave_out` a clause, `move` it first or last, `word` it (by a variant of the table, or by a text that a model
proposed and that passed the checks), `remind` of it at the end, `show` a demonstration of the teach side."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from trueline.charter.compile.teaching import Demonstration
from trueline.charter.compile.wordings import wordings
from trueline.charter.digests import digest_of
from trueline.charter.schema import Charter
from trueline.charter.turns import Message
from trueline.errors import CharterError

Name = Annotated[str, Field(min_length=1)]
AGAIN = "search again with `trueline tune-prompt`"


class Part(BaseModel):
    """Frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Open(Part):
    """The first line: only who the assistant is, without its purpose."""

    op: Literal["open"] = "open"
    line: Literal["name"] = "name"


class LeaveOut(Part):
    """The clause has no sentence in the prompt."""

    op: Literal["leave_out"] = "leave_out"
    clause: Name


class Move(Part):
    """The clause's sentence stands first or last among the rules."""

    op: Literal["move"] = "move"
    clause: Name
    to: Literal["first", "last"]


class Word(Part):
    """The clause in other words: a `variant` of the table, or a `text` that the model `by` proposed. One of the two."""

    op: Literal["word"] = "word"
    clause: Name
    variant: Name | None = None
    text: Name | None = None
    by: str | None = None


class Remind(Part):
    """The clause's sentence again at the end of the prompt."""

    op: Literal["remind"] = "remind"
    clause: Name


class Show(Part):
    """A demonstration (by the digest of its conversation) as a few-shot example, in the order of the operations."""

    op: Literal["show"] = "show"
    demonstration: Name


Operation = Annotated[Open | LeaveOut | Move | Word | Remind | Show, Field(discriminator="op")]


@dataclass(frozen=True, slots=True)
class PromptDiff:
    """`charter`: the digest that the operations belong to."""

    charter: str
    operations: tuple[Open | LeaveOut | Move | Word | Remind | Show, ...] = ()

    @property
    def shown(self) -> tuple[str, ...]:
        """The demonstrations that it shows, in order."""
        return tuple(o.demonstration for o in self.operations if isinstance(o, Show))

    def to_list(self) -> list[dict[str, str]]:
        """JSON form of the operations, without what is empty."""
        return [o.model_dump(exclude_none=True) for o in self.operations]


@dataclass(slots=True)
class Draft:
    """A prompt while operations are applied: the first line, (clause, sentence) in order, clauses to remind of."""

    first: str
    lines: list[tuple[str, str]]
    reminders: list[str] = field(default_factory=list)

    def at(self, clause: str) -> int:
        """Where the clause stands. Raises `CharterError` where it does not."""
        for i, (name, _) in enumerate(self.lines):
            if name == clause:
                return i
        raise CharterError(f"the tuned prompt names the clause {clause!r}, which has no sentence in the prompt (any more)", remedy=AGAIN)

    def text(self) -> str:
        """The prompt: first line, rules, reminder."""
        sentences = dict(self.lines)
        last = [f"Remember: {' '.join(sentences[c] for c in self.reminders)}"] if self.reminders else []
        return "\n".join(["\n- ".join([self.first, *(s for _, s in self.lines)]), *last])


def _open(draft: Draft, charter: Charter, _: Open) -> None:
    draft.first = f"You are the assistant of {charter.name.removesuffix(' assistant')}."


def _leave_out(draft: Draft, _: Charter, op: LeaveOut) -> None:
    del draft.lines[draft.at(op.clause)]


def _move(draft: Draft, _: Charter, op: Move) -> None:
    line = draft.lines.pop(draft.at(op.clause))
    draft.lines.insert(0 if op.to == "first" else len(draft.lines), line)


def _word(draft: Draft, charter: Charter, op: Word) -> None:
    at = draft.at(op.clause)
    if (op.variant is None) == (op.text is None):
        raise CharterError(f"`word` of {op.clause!r} needs a variant or a text, one of the two", remedy="mend the operation")
    text = op.text
    if op.variant is not None:
        known = wordings(charter, op.clause, draft.lines[at][1])
        if op.variant not in known:
            what = f"the clause {op.clause!r} has no wording {op.variant!r:.40}, only {', '.join(known) or 'its own'}"
            raise CharterError(what, remedy=AGAIN)
        text = known[op.variant]
    assert text is not None
    draft.lines[at] = (op.clause, text)


def _remind(draft: Draft, _: Charter, op: Remind) -> None:
    draft.at(op.clause)
    if op.clause not in draft.reminders:
        draft.reminders.append(op.clause)


APPLY = {Open: _open, LeaveOut: _leave_out, Move: _move, Word: _word, Remind: _remind}


def applied(charter: Charter, first: str, lines: Iterable[tuple[str, str]], operations: Iterable[object]) -> Draft:
    """The compilation with the operations applied in order. Raises `CharterError` that names the clause or wording that is not there."""
    draft = Draft(first, list(lines))
    for op in operations:
        if not isinstance(op, Show):
            APPLY[type(op)](draft, charter, op)  # type: ignore[index, operator]
    gone = [c for c in draft.reminders if c not in dict(draft.lines)]
    if gone:
        raise CharterError(f"the tuned prompt leaves out {gone[0]!r} and reminds of it", remedy="remove one of the two operations")
    return draft


def name_of(demonstration: Demonstration) -> str:
    """The name of a demonstration: its conversation and reply decide (16 hex digits)."""
    return digest_of([[m.to_dict() for m in demonstration.prompt], demonstration.reply])[:16]


def named(demonstrations: Iterable[Demonstration]) -> dict[str, Demonstration]:
    """Demonstrations by name."""
    return {name_of(d): d for d in demonstrations}


def shots_of(diff: PromptDiff, known: Mapping[str, Demonstration]) -> tuple[Message, ...]:
    """The few-shot messages of a diff. Raises `CharterError` for a demonstration that is not there (any more)."""
    out: list[Message] = []
    for name in diff.shown:
        if name not in known:
            what = f"the tuned prompt shows the demonstration {name}, which is not among the accepted probes of the teach side"
            raise CharterError(what, remedy=f"give it the probes it was searched with, or {AGAIN}")
        out += [*known[name].prompt, Message("assistant", known[name].reply)]
    return tuple(out)


def checked(diff: PromptDiff, digest: str) -> PromptDiff:
    """The diff itself. Raises `CharterError` where it belongs to another charter than the one with this digest."""
    if diff.charter != digest:
        what = f"this tuned prompt was searched for charter {diff.charter[:12]}, this one is {digest[:12]}"
        raise CharterError(what, remedy=AGAIN)
    return diff


def quoted_in(text: str, questions: Sequence[str]) -> tuple[str, ...]:
    """Which of the questions stand word for word in a prompt: whoever reads them there has been told their answer, or nearly."""
    flat = " ".join(text.split())
    return tuple(q for q in questions if " ".join(q.split()) in flat)
