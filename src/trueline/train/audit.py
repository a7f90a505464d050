"""What is wrong with training data before anything is spent on it: said once, in numbers.

Checked: that training ids are inference ids (template, BOS, end of turn), rows too long, duplicates, the same prompt taught
with different replies, lengths; and a forecast of the steps.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from trueline.charter.turns import Message
from trueline.core.records import Preference
from trueline.data.conversations import Example
from trueline.engine.loading import LocalModel
from trueline.engine.parity import parity
from trueline.engine.templates import encode_completion
from trueline.errors import TrainingError

Pair = tuple[Sequence[Message], str]
PROBED = 64  # conversations whose template is checked, spread over the data


@dataclass(frozen=True, slots=True)
class Audit:
    """rows; tokens of those that fit; longest of all in tokens; too_long and duplicates in rows; conflicts: prompts with more
    than one good reply; template in words; `checked` conversations of which `off` have problems, a line each."""

    rows: int
    tokens: int
    longest: int
    too_long: int
    duplicates: int
    conflicts: int
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
        told = {"too long": self.too_long, "duplicates": self.duplicates, "prompts with several replies": self.conflicts}
        parts += [f"{n} {name}" for name, n in told.items() if n]
        parts += [f"{self.off} of {self.checked} checked conversations off the template ({self.problems[0]})"] if self.problems else []
        return "; ".join(parts)


def _audit(local: LocalModel, good: Sequence[Pair], all_rows: Sequence[tuple[Pair, ...]], keys: Sequence[Any], limit: int) -> Audit:
    step = max(1, len(good) // PROBED)
    checked = parity(local.tokenizer, good[::step][:PROBED])
    tokens = longest = too_long = 0
    for row in all_rows:
        sizes = [len(p) + len(c) for p, c in (encode_completion(local.tokenizer, m, r) for m, r in row)]
        longest = max(longest, *sizes)
        if max(sizes) > limit:
            too_long += 1
        else:
            tokens += sum(sizes)
    replies: dict[tuple[Message, ...], set[str]] = defaultdict(set)
    for messages, reply in good:
        replies[tuple(messages)].add(reply)
    duplicates = sum(n - 1 for n in Counter(keys).values())
    conflicts = sum(len(r) > 1 for r in replies.values())
    off = len({p.split(":", 1)[0] for p in checked.problems})
    return Audit(len(all_rows), tokens, longest, too_long, duplicates, conflicts, checked.template, checked.checked, off, checked.problems)


def audit_examples(local: LocalModel, examples: Sequence[Example], limit: int) -> Audit:
    """The audit of demonstrations; `limit` in tokens a row."""
    good: list[Pair] = [(e.prompt, e.reply) for e in examples]
    return _audit(local, good, [(p,) for p in good], [e.digest() for e in examples], min(limit, local.context))


def audit_pairs(local: LocalModel, pairs: Sequence[Preference], limit: int) -> Audit:
    """The audit of preferences. A pair counts as too long where one of its sides is."""
    good: list[Pair] = [(p.prompt, p.chosen) for p in pairs]
    both = [((p.prompt, p.chosen), (p.prompt, p.rejected)) for p in pairs]
    return _audit(local, good, both, [(p.prompt, p.chosen, p.rejected) for p in pairs], min(limit, local.context))


def demand(audit: Audit, where: str) -> Audit:
    """The audit itself, or `TrainingError` where training ids are not inference ids in most conversations: that is the template's
    fault, not a row's, and the model would learn what it is never asked."""
    if audit.checked and audit.off * 2 > audit.checked:
        what = f"{where}: {audit.off} of {audit.checked} checked conversations are off the template; {audit.problems[0]}"
        raise TrainingError(what, remedy="mend the chat template of the tokenizer")
    return audit
