"""`prompt.yaml`: a tuned prompt on disk. It holds the diff, where it came from and the digest of what it compiles to, and no prompt text of
its own: whoever uses it compiles the charter again and refuses it where charter, probes or Trueline now give other words than were measured."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from trueline.charter.compile.diff import AGAIN, Operation, Part, PromptDiff, checked, named, quoted_in, shots_of
from trueline.charter.compile.prompt import tuned_prompt
from trueline.charter.compile.teaching import demonstrations
from trueline.charter.compile.written import written_probes
from trueline.charter.digests import digest_of
from trueline.charter.parse import LoadedCharter, read_yaml, validate
from trueline.charter.probes import Probe
from trueline.charter.turns import Message
from trueline.errors import CharterError


class TunedFile(Part):
    """`charter`: digest of the charter; `probes`: file with the demonstrations, beside this file (null: beside the charter); `target`, `seed`,
    `requests`: how it was searched; `tokens` of prompt and few-shots as `counted`; `text`: digest of what it compiles to; `searched`: names of the
    hand-written questions that the search asked; `looks`: prompts that were judged on the held-out probes; `scores`: what was found, for people."""

    tuned_prompt: Literal[1]
    charter: str
    probes: str | None = None
    target: str
    seed: int
    requests: int
    tokens: int
    counted: str
    text: str
    searched: tuple[str, ...] = ()
    looks: Annotated[int, Field(ge=0)] = 0
    scores: Mapping[str, Any] = {}
    operations: tuple[Operation, ...] = ()

    @property
    def diff(self) -> PromptDiff:
        """The operations with the charter that they belong to."""
        return PromptDiff(self.charter, self.operations)


@dataclass(frozen=True, slots=True)
class Tuned:
    """What a diff compiles to: the system prompt and the few-shot messages. `known`: hand-written questions that the search asked or the prompt
    quotes, which are no held-out evidence about it; `looks`: prompts that were judged on the held-out probes before it was chosen."""

    text: str
    shots: tuple[Message, ...]
    known: tuple[tuple[Message, ...], ...] = ()
    looks: int = 0

    @property
    def digest(self) -> str:
        """Of what the model is shown."""
        return digest_of([self.text, [m.to_dict() for m in self.shots]])


def question_name(messages: Sequence[Message]) -> str:
    """The name of a question: its words decide (16 hex digits)."""
    return digest_of([m.to_dict() for m in messages])[:16]


def _quoted(value: Any) -> str:
    """JSON that YAML reads as the same text: it would fold a raw line or paragraph separator, and split an escaped pair of surrogates."""
    text = json.dumps(value, ensure_ascii=False)
    for odd in "\u0085\u2028\u2029":
        text = text.replace(odd, f"\\u{ord(odd):04x}")
    return text


def write_tuned(path: Path, file: TunedFile) -> None:
    """Writes it whole or not at all, an operation a line."""
    head = file.model_dump(exclude={"operations"})
    lines = ["# A diff on the charter's compilation, found by `trueline tune-prompt`. The charter stays the source of truth."]
    lines += [f"{key}: {_quoted(value)}" for key, value in head.items()]
    rows = [f"  - {_quoted(op)}" for op in file.diff.to_list()]
    lines += ["operations:", *rows] if rows else ["operations: []"]
    beside = path.with_name(path.name + ".part")
    beside.write_text("\n".join(lines) + "\n", encoding="utf-8")
    beside.replace(path)


def read_tuned(path: Path) -> TunedFile:
    """Reads a `prompt.yaml`. Raises `CharterError` (file:line)."""
    return validate(read_yaml(path), TunedFile, path, CharterError)


def compiled(file: TunedFile, loaded: LoadedCharter, probes: Iterable[Probe], path: Path) -> Tuned:
    """The text and the few-shots, exactly as they were measured. Raises `CharterError` where the charter, a demonstration or the compilation
    has changed since."""
    try:
        diff = checked(file.diff, loaded.digest)
        text = tuned_prompt(loaded.charter, diff).text
        written = written_probes(loaded.charter)
        quoted = set(quoted_in(text, [p.messages[-1].content for p in written]))
        known = (p.messages for p in written if question_name(p.messages) in file.searched or p.messages[-1].content in quoted)
        shots = shots_of(diff, named(demonstrations(loaded.charter, probes, written=False)))
        made = Tuned(text, shots, tuple(dict.fromkeys(known)), file.looks)
    except CharterError as e:
        raise CharterError(e.what, remedy=e.remedy, file=path) from None
    if made.digest != file.text:
        raise CharterError("this tuned prompt compiles to other words than were measured", remedy=AGAIN, file=path)
    return made
