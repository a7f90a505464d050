"""Prompts for reinforcement learning, from any standard row: what a model is asked, without what was answered.

Fields: `prompt` (a string or messages), or `messages` (a trailing assistant turn is taken off), or `chosen` and `rejected` that begin
with the same turns. `source` is kept; all other fields are passed over. A prompt that stood before is left out and counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trueline.charter.digests import digest_of
from trueline.charter.turns import Message, messages_from
from trueline.data.contamination import fingerprint
from trueline.data.conversations import TeachesNothing, blank, implicit_prompt, read_rows
from trueline.errors import DataError


@dataclass(frozen=True, slots=True)
class Prompt:
    """A conversation that the assistant goes on; its last turn is the user's or a tool's. `source` says where it came from."""

    messages: tuple[Message, ...]
    source: str = ""

    def digest(self) -> str:
        """Content address; the source does not belong to it."""
        return digest_of([m.to_dict() for m in self.messages])

    def family(self) -> str:
        """Digest of the first user's words, without case, layout and punctuation: what grew out of one opening is one family. A prompt
        without words there (a drawing, a tool's answer) goes by its first turn as it is written."""
        spoken = next((m for m in self.messages if m.role == "user"), None)
        words = fingerprint((spoken,)) if spoken else ""
        return digest_of(words or next((m.content for m in self.messages if m.role != "system"), ""))


@dataclass(frozen=True, slots=True)
class PromptFile:
    """The prompts of a file, each once, and one line (file, line, reason) for each row that was left out."""

    prompts: list[Prompt]
    left_out: tuple[str, ...]


def prompt_from(row: Mapping[str, Any]) -> Prompt:
    """One prompt. Raises `DataError` that names the field, and `TeachesNothing` where the user says nothing."""
    if row.get("prompt"):
        turns = messages_from(row["prompt"])
    elif row.get("messages"):
        turns = messages_from(row["messages"])
        turns = turns[:-1] if turns[-1].role == "assistant" else turns
    elif row.get("chosen") and row.get("rejected"):
        turns = implicit_prompt(row)
    else:
        what = f"'prompt' is missing or empty, got keys {', '.join(sorted(row)) or 'none'}"
        raise DataError(what, remedy="add 'prompt', or 'messages', or 'chosen' and 'rejected' with the same first turns")
    last = turns[-1].role if turns else "nothing before the reply"
    if last not in ("user", "tool"):
        raise DataError(f"the prompt must end with the user or a tool, got {last}", remedy="end with the turn that is to be answered")
    if last == "user" and blank(turns[-1].content):
        raise TeachesNothing("the user's last turn is empty", remedy="remove the row")
    return Prompt(turns, str(row.get("source") or ""))


def read_prompts(path: Path) -> PromptFile:
    """All prompts of a `.jsonl` or `.jsonl.gz` file, in order, each once. Raises `DataError` (file:line) for a malformed row, and where
    no prompt is left."""
    seen: set[str] = set()

    def once(row: Mapping[str, Any]) -> Prompt:
        prompt = prompt_from(row)
        if prompt.digest() in seen:
            raise TeachesNothing("this prompt stood in the file before", remedy="remove the row")
        seen.add(prompt.digest())
        return prompt

    return PromptFile(*read_rows(path, once, "prompt"))


def split_prompts(prompts: Sequence[Prompt], held_out: float, seed: int = 0) -> tuple[list[Prompt], list[Prompt]]:
    """(train, held out): about the share `held_out` (0 to 1, below 1) of the families, by their digests salted with `seed`. The side of
    a prompt does not depend on the others. Raises `DataError` for another share."""
    if not 0 <= held_out < 1:
        raise DataError(f"the share held out must be at least 0 and below 1, got {held_out}", remedy="give e.g. 0.1")
    train: list[Prompt] = []
    test: list[Prompt] = []
    for p in prompts:
        share = int(digest_of(["prompts", seed, p.family()])[:8], 16) / 2**32
        (test if share < held_out else train).append(p)
    return train, test
