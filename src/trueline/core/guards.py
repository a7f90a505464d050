"""The port `GuardPort`: what is asked of a guard, and its public fake. `trueline.guard` fits; so does anything else that keeps the promise."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from trueline.charter.turns import Message
from trueline.core.records import Verdict


class StreamCheck(Protocol):
    """Checks one reply while it is made."""

    def feed(self, text: str) -> str:
        """Takes the next piece; returns what of all that was fed is now safe to show (already redacted)."""

    def finish(self) -> tuple[str, Verdict]:
        """The rest that is safe to show, and the verdict on the whole."""


class GuardPort(Protocol):
    """Checks questions and replies. Whatever it raises closes the way for this request: never an unguarded answer."""

    def identity(self) -> Mapping[str, Any]:
        """JSON-able facts that decide its verdicts."""

    @property
    def may_hold_output(self) -> bool:
        """Whether a reply can be found to need a person only once it is read. Then nothing is shown before all of it was."""

    def plain(self, text: str) -> str:
        """The text without characters that people do not see and machines do. Character by character: cuts make no difference."""

    def check_input(self, messages: Sequence[Message]) -> Verdict:
        """The verdict on a conversation: allow, refuse, redirect or hold."""

    def check_output(self, messages: Sequence[Message], text: str) -> Verdict:
        """The verdict on a finished reply: allow, redact, refuse, redirect or hold."""

    def streaming(self, messages: Sequence[Message]) -> StreamCheck:
        """A check for one reply in pieces; it also does the redacting."""


ALLOW = Verdict("allow")


@dataclass(slots=True)
class ScriptedGuard:
    """The fake of `GuardPort`: two functions from text to a verdict. Its stream check shows whole sentences only; text that the
    verdict redacts is replaced by `[redacted]` at the offsets of its findings."""

    on_input: Callable[[str], Verdict] = lambda text: ALLOW
    on_output: Callable[[str], Verdict] = lambda text: ALLOW
    may_hold_output: bool = False
    seen: list[str] = field(default_factory=list)
    name: str = "scripted"

    def identity(self) -> Mapping[str, Any]:
        """Its name: the fake has nothing else."""
        return {"scripted": self.name}

    def plain(self, text: str) -> str:
        """The text as it is."""
        return text

    def check_input(self, messages: Sequence[Message]) -> Verdict:
        """Asks the first function about what the user and the tools said."""
        text = "\n".join(m.content for m in messages if m.role in ("user", "tool"))
        self.seen.append(text)
        return self.on_input(text)

    def check_output(self, messages: Sequence[Message], text: str) -> Verdict:
        """Asks the second function."""
        return self.on_output(text)

    def streaming(self, messages: Sequence[Message]) -> StreamCheck:
        """A check that asks the second function at the end of each sentence."""
        return _ScriptedStream(self.on_output)


@dataclass(slots=True)
class _ScriptedStream:
    judge: Callable[[str], Verdict]
    text: str = ""
    shown: int = 0
    stopped: Verdict | None = None

    def feed(self, text: str) -> str:
        """Shows what ends a sentence, if that is allowed."""
        self.text += text
        if self.stopped is None and text.rstrip().endswith((".", "!", "?")):
            verdict = self.judge(self.text)
            if verdict.action == "allow":
                piece, self.shown = self.text[self.shown :], len(self.text)
                return piece
            if verdict.action != "redact":
                self.stopped = verdict
        return ""

    def finish(self) -> tuple[str, Verdict]:
        """The rest and the verdict."""
        verdict = self.stopped or self.judge(self.text)
        if verdict.action not in ("allow", "redact"):
            return "", verdict
        text, rest = self.text, self.text[self.shown :]
        if verdict.action == "redact":
            for f in sorted(verdict.findings, key=lambda f: -f.start):
                text = text[: f.start] + "[redacted]" + text[f.end :]
            rest = text[self.shown :]
        return rest, verdict
