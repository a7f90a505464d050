"""What is wrong with training data before anything is spent on it: said once, in numbers.

Checked: that training ids are inference ids (template, BOS, end of turn), rows too long, rows longer than a step, duplicates, rows that
contradict each other, the same prompt taught with different replies, control tokens written as text; and a forecast of the lengths.
What `screened` finds cannot be learnt from and is left out, a line each; the rest is told.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Generic, TypeVar

from trueline.charter.turns import Message
from trueline.core.records import Preference
from trueline.data.conversations import Example
from trueline.data.unpaired import Labelled
from trueline.engine.loading import LocalModel
from trueline.engine.parity import parity
from trueline.engine.templates import encode_completion
from trueline.errors import TrainingError
from trueline.train.judged import Judged

T = TypeVar("T")
Pair = tuple[Sequence[Message], str]
PROBED = 64  # conversations whose template is checked, spread over the data


@dataclass(frozen=True, slots=True)
class Audit:
    """rows; tokens of those that fit; longest of all in tokens; too_long and duplicates in rows; alone: rows longer than the padded tokens of
    a step, each a step of its own; conflicts: prompts with more than one good reply; contradictions: rows of which another one says the
    opposite; controls: rows with a control token of the tokenizer written as text; template in words; `checked` conversations of which `off`
    have problems, a line each."""

    rows: int
    tokens: int
    longest: int
    too_long: int
    alone: int
    duplicates: int
    conflicts: int
    contradictions: int
    controls: int
    template: str
    checked: int
    off: int
    problems: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)

    def words(self) -> str:
        """One line for a person."""
        parts = [f"{self.rows} rows, {self.tokens} tokens, longest {self.longest}"]
        told = {
            "too long": self.too_long,
            "longer than batch_tokens, each a step of its own": self.alone,
            "duplicates": self.duplicates,
            "prompts with several replies": self.conflicts,
            "rows that contradict another": self.contradictions,
            "rows with control tokens as text": self.controls,
        }
        parts += [f"{n} {name}" for name, n in told.items() if n]
        parts += [f"{self.off} of {self.checked} checked conversations off the template ({self.problems[0]})"] if self.problems else []
        return "; ".join(parts)


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of any method as the audit sees them. sides: the conversations of each row; good: those that are taught as good, for the
    template and the conflicts; keys: equal for duplicates; opposed: for each row, the key of its contrary (None: it has none); one: whether a
    prompt is expected to have one good reply."""

    sides: Sequence[Sequence[Pair]]
    good: Sequence[Pair]
    keys: Sequence[object]
    opposed: Sequence[object | None]
    one: bool = True


def of_examples(examples: Sequence[Example]) -> Rows:
    """Demonstrations."""
    good: list[Pair] = [(e.prompt, e.reply) for e in examples]
    return Rows([(p,) for p in good], good, [e.digest() for e in examples], [None] * len(examples))


def of_preferences(pairs: Sequence[Preference]) -> Rows:
    """Pairs; the contrary of one has its sides changed."""
    good: list[Pair] = [(p.prompt, p.chosen) for p in pairs]
    both = [((p.prompt, p.chosen), (p.prompt, p.rejected)) for p in pairs]
    keys = [(p.prompt, p.chosen, p.rejected) for p in pairs]
    return Rows(both, good, keys, [(p.prompt, p.rejected, p.chosen) for p in pairs])


def of_labelled(rows: Sequence[Labelled]) -> Rows:
    """Single replies; the contrary of one has the other label. Several good replies to a prompt are the rule here and no conflict."""
    sides: list[Pair] = [(r.prompt, r.reply) for r in rows]
    keys = [(r.prompt, r.reply, r.desirable) for r in rows]
    return Rows([(p,) for p in sides], sides, keys, [(r.prompt, r.reply, not r.desirable) for r in rows], one=False)


def of_judged(rows: Sequence[Judged]) -> Rows:
    """Groups of replies of a reward model; the contrary of a pair has its replies changed."""
    sides: list[list[Pair]] = [[(r.prompt, reply) for reply in r.replies] for r in rows]
    keys = [(r.prompt, r.replies, r.ranks, r.level) for r in rows]
    turned = [(r.prompt, r.replies[::-1], r.ranks, r.level) if len(r.replies) == 2 and r.level < 0 else None for r in rows]
    return Rows(sides, [each[0] for each in sides], keys, turned, one=False)


def controls_of(tokenizer: Any) -> re.Pattern[str] | None:
    """Finds the tokenizer's control tokens in a text. A tokenizer reads them there as if the template had written them: a user's words could
    end a turn and begin another."""
    marked = {str(t.content) for t in getattr(tokenizer, "added_tokens_decoder", {}).values() if t.special}
    names = sorted({*marked, *map(str, tokenizer.all_special_tokens)} - {""}, key=lambda name: (-len(name), name))
    return re.compile("|".join(map(re.escape, names))) if names else None


def _control(pattern: re.Pattern[str] | None, sides: Sequence[Pair]) -> str:
    if pattern is None:
        return ""
    texts = (text for prompt, reply in sides for text in (*(m.content for m in prompt), reply))
    return next((found[0] for text in texts if (found := pattern.search(text))), "")


@dataclass(frozen=True, slots=True)
class Screened(Generic[T]):
    """The rows that can be learnt from, and a line for each that was left out."""

    rows: list[T]
    left_out: tuple[str, ...]


def _fault(local: LocalModel, pattern: re.Pattern[str] | None, sides: Sequence[Pair]) -> str:
    found = _control(pattern, sides)
    if found:
        return f"it holds the control token {found!r} of the model as text"
    if len(sides) > 1:
        ids = [tuple(encode_completion(local.tokenizer, prompt, reply)[1]) for prompt, reply in sides]
        if len(set(ids)) < len(ids):
            return "two of its replies are the same tokens for the model"
    return ""


def screened(local: LocalModel, rows: Sequence[T], sides: Callable[[T], Sequence[Pair]]) -> Screened[T]:
    """Leaves out rows with a control token of the model in their text, and rows of which two replies are the same tokens. Raises
    `TrainingError` where nothing is left, `ModelError` where the template refuses a conversation."""
    pattern, kept, left = controls_of(local.tokenizer), list[T](), list[str]()
    for n, row in enumerate(rows, 1):
        each = sides(row)
        fault = _fault(local, pattern, each)
        if fault:
            begins = next((m.content for m in each[0][0] if m.role == "user"), "")
            left.append(f"row {n} of those read, which begins {begins[:40]!r}: {fault}")
        else:
            kept.append(row)
    if rows and not kept:
        raise TrainingError(f"none of {len(rows)} rows can be learnt from, e.g. {left[0]}", remedy="mend the rows or the tokenizer")
    return Screened(kept, tuple(left))


def look(local: LocalModel, data: Rows, limit: int, budget: int | None = None) -> Audit:
    """The audit of rows of any method; `limit` in tokens a conversation, `budget` in padded tokens a step. Raises `ModelError` where the
    template refuses a conversation."""
    limit, good = min(limit, local.context), data.good
    step = max(1, len(good) // PROBED)
    checked = parity(local.tokenizer, good[::step][:PROBED])
    pattern = controls_of(local.tokenizer)
    tokens = longest = too_long = alone = controls = 0
    for sides in data.sides:
        sizes = [len(p) + len(c) for p, c in (encode_completion(local.tokenizer, m, r) for m, r in sides)]
        longest = max(longest, *sizes)
        controls += bool(_control(pattern, sides))
        if max(sizes) > limit:
            too_long += 1
        else:
            tokens += sum(sizes)
            alone += budget is not None and max(sizes) > budget
    replies: dict[tuple[Message, ...], set[str]] = defaultdict(set)
    for messages, reply in good:
        replies[tuple(messages)].add(reply)
    known = Counter(data.keys)
    return Audit(
        rows=len(data.sides),
        tokens=tokens,
        longest=longest,
        too_long=too_long,
        alone=alone,
        duplicates=sum(n - 1 for n in known.values()),
        conflicts=sum(len(r) > 1 for r in replies.values()) if data.one else 0,
        contradictions=sum(key is not None and key in known for key in data.opposed),
        controls=controls,
        template=checked.template,
        checked=checked.checked,
        off=len({p.split(":", 1)[0] for p in checked.problems}),
        problems=checked.problems,
    )


def audit_examples(local: LocalModel, examples: Sequence[Example], limit: int) -> Audit:
    """The audit of demonstrations; `limit` in tokens a row."""
    return look(local, of_examples(examples), limit)


def audit_pairs(local: LocalModel, pairs: Sequence[Preference], limit: int) -> Audit:
    """The audit of preferences. A pair counts as too long where one of its sides is."""
    return look(local, of_preferences(pairs), limit)


def demand(audit: Audit, where: str) -> Audit:
    """The audit itself, or `TrainingError` where training ids are not inference ids in most conversations: that is the template's
    fault, not a row's, and the model would learn what it is never asked."""
    if audit.checked and audit.off * 2 > audit.checked:
        what = f"{where}: {audit.off} of {audit.checked} checked conversations are off the template; {audit.problems[0]}"
        raise TrainingError(what, remedy="mend the chat template of the tokenizer")
    return audit
