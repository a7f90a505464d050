"""The helpful rows by the helpful-only model itself: its own replies to what must be answered (2212.08073, section 3.2, mixes such rows in).

In order: ask as many as are still missing, judge each reply, go on until there are enough or none is left to ask. No human label is used.
What it leaves out on purpose: how a reply is graded; the verdict comes in as a function.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from trueline.train.constitution.asking import Asker, Progress, side_by_side
from trueline.train.constitution.records import Answer, RedTeamPrompt
from trueline.train.constitution.revising import NOT_TAKEN, ReviseSettings, first_reply

Judge = Callable[[RedTeamPrompt, str], Awaitable[str]]
"""(prompt, reply) -> why the reply is unfit to learn from, "" where it is fit."""


@dataclass(frozen=True, slots=True)
class OwnReply:
    """A prompt that must be answered, and what the model said. dropped: why it is not learnt from, "" where it is."""

    prompt: RedTeamPrompt
    reply: str
    dropped: str

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {"prompt": self.prompt.to_dict(), "reply": self.reply, "dropped": self.dropped or None}


def counts(replies: Sequence[OwnReply]) -> dict[str, Any]:
    """How many were asked, kept, and left out by reason."""
    reasons = Counter(r.dropped for r in replies if r.dropped)
    return {"of": len(replies), "kept": len(replies) - reasons.total(), "reasons": dict(sorted(reasons.items()))}


def _unsaid(a: Answer) -> str:
    if a.refused:
        return NOT_TAKEN
    if not a.text:
        return "empty"
    return "cut off at its longest" if a.cut else ""


async def own_replies(
    writer: Asker, prompts: Sequence[RedTeamPrompt], wanted: int, judge: Judge | None, s: ReviseSettings, progress: Progress | None = None
) -> list[OwnReply]:
    """Replies to the first prompts, in order, until `wanted` are fit to learn from or no prompt is left. judge: None where nobody grades.
    Raises the model's errors; what was answered is in the journal."""

    async def one(prompt: RedTeamPrompt) -> OwnReply:
        said = await first_reply(writer, prompt, s)
        why = _unsaid(said)
        if not why and judge is not None:
            why = await judge(prompt, said.text)
        return OwnReply(prompt, said.text, why)

    out: list[OwnReply] = []
    while (missing := wanted - sum(not r.dropped for r in out)) > 0 and len(out) < len(prompts):
        out += await side_by_side(prompts[len(out) : len(out) + missing], one, s.concurrency)
        if progress is not None:
            progress(min(wanted, sum(not r.dropped for r in out)), wanted)
    return out
