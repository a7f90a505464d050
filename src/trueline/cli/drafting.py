"""Drafts clauses out of a document with a TARGET: each cites its source lines; nothing is invented where the model answers garbage.

In order: cut the document into chunks of numbered lines, ask for a JSON list of rules per chunk, drop what is malformed or cites lines
that are not there or are blank, and write the rest in the shape of a charter with `status: draft`. Left out on purpose: replies and gate
rules, which a company must decide itself; their places stand empty."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trueline.charter.turns import Message
from trueline.core.chat import ChatModel, ChatRequest, Sampling
from trueline.errors import ModelError

CHUNK = 40  # lines of the document a request
TASK = (
    "Below are numbered lines of a company's rules for an assistant. Find every rule in them. Answer with a JSON list and nothing else; one object a rule: "
    '{"id": "lower-case-words-with-hyphens", "kind": "principle" | "voice" | "scope" | "knowledge" | "high_stakes", "rule": "one sentence", "lines": [first, last], '
    '"examples": ["messages of users to which the rule applies"], "near_misses": ["messages that look alike and may be answered"]}.'
    " Use only what the lines say."
)


@dataclass(frozen=True, slots=True)
class Draft:
    """A clause nobody has accepted yet: `kind` names its section, `first` and `last` the lines it cites (from 1)."""

    id: str
    kind: str
    rule: str
    first: int
    last: int
    examples: tuple[str, ...] = ()
    near_misses: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON form, for `--json`."""
        return {"id": self.id, "kind": self.kind, "rule": self.rule, "lines": [self.first, self.last]}


@dataclass(frozen=True, slots=True)
class Drafted:
    """The drafts of a document and how many answers were dropped as malformed or citing nothing."""

    drafts: tuple[Draft, ...]
    dropped: int


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _list(texts: Sequence[str]) -> str:
    return "[" + ", ".join(_quoted(t) for t in texts) + "]"


def _principle(d: Draft) -> list[str]:
    return [f"rule: {_quoted(d.rule)}", 'refuse_with: ""', f"ask: {{refuse: {_list(d.examples)}, answer: {_list(d.near_misses)}}}"]


def _voice(d: Draft) -> list[str]:
    asks = ", ".join(f'{{ask: {_quoted(e)}, good: "", bad: ""}}' for e in d.examples)
    return [f"rule: {_quoted(d.rule)}", f"examples: [{asks}]"]


def _scope(d: Draft) -> list[str]:
    return [f"describe: {_quoted(d.rule)}", f"examples: {_list(d.examples)}"]


def _knowledge(d: Draft) -> list[str]:
    return [f"# {d.rule}", f"ask: {_list(d.examples)}", 'expect: ""']


def _high_stakes(d: Draft) -> list[str]:
    lists = [f"examples: {_list(d.examples)}", f"near_misses: {_list(d.near_misses)}"]
    return [f"describe: {_quoted(d.rule)}", 'reply: ""', *lists, "review: {when: detected, by: [], within: 4h, on_timeout: refuse}"]


# kind -> (section of the charter, the clause's own lines); sections in the order of a charter
SHAPES: Mapping[str, tuple[str, Callable[[Draft], list[str]]]] = {
    "voice": ("voice", _voice),
    "scope": ("scope", _scope),
    "knowledge": ("knowledge", _knowledge),
    "principle": ("principles", _principle),
    "high_stakes": ("high_stakes", _high_stakes),
}


def _texts(raw: object) -> tuple[str, ...]:
    return tuple(t.strip() for t in raw if isinstance(t, str) and t.strip()) if isinstance(raw, list) else ()


def _draft(row: object, chunk: Mapping[int, str]) -> Draft | None:
    """A draft of one object, or None where its form is wrong or its citation holds nothing."""
    if not isinstance(row, Mapping):
        return None
    cited, kind, rule, name = row.get("lines"), row.get("kind"), row.get("rule"), str(row.get("id", ""))
    if not (isinstance(cited, list) and len(cited) == 2 and all(type(n) is int for n in cited) and cited[0] <= cited[1]):
        return None
    if cited[0] not in chunk or cited[1] not in chunk or not any(chunk[n].strip() for n in range(cited[0], cited[1] + 1)):
        return None
    if (
        not isinstance(kind, str)
        or kind not in SHAPES
        or not isinstance(rule, str)
        or not rule.strip()
        or not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name)
    ):
        return None
    return Draft(
        name[:64].rstrip("-"), kind, " ".join(rule.split()), cited[0], cited[1], _texts(row.get("examples")), _texts(row.get("near_misses"))
    )


def parse_drafts(text: str, chunk: Mapping[int, str]) -> Drafted:
    """The valid objects of an answer about `chunk` (line number -> text). Raises `ModelError` where it is no JSON list at all."""
    start, end = text.find("["), text.rfind("]")
    try:
        raw = json.loads(text[start : end + 1]) if 0 <= start < end else None
    except (json.JSONDecodeError, RecursionError):
        raw = None
    if not isinstance(raw, list):
        raise ModelError(f"the TARGET answered no JSON list but {text[:60]!r}", remedy="use a TARGET that follows instructions")
    found = [_draft(row, chunk) for row in raw]
    return Drafted(tuple(d for d in found if d is not None), found.count(None))


async def draft_clauses(model: ChatModel, lines: Sequence[str], progress: Callable[..., None]) -> Drafted:
    """Drafts from all chunks of the document. Raises `ModelError` where nothing usable came back."""
    drafts: list[Draft] = []
    dropped, chunks = 0, range(0, len(lines), CHUNK)
    try:
        for done, start in enumerate(chunks, 1):
            part = {start + i + 1: line for i, line in enumerate(lines[start : start + CHUNK])}
            if any(line.strip() for line in part.values()):
                numbered = "\n".join(f"{n}: {line}" for n, line in part.items())
                answer = await model.reply(ChatRequest((Message("user", f"{TASK}\n\n{numbered}"),), Sampling(max_tokens=4000)))
                found = parse_drafts(answer.text, part)
                drafts += found.drafts
                dropped += found.dropped
            progress(done, len(chunks))
    finally:
        await model.close()
    if not drafts:
        what = f"the TARGET found no rule with valid source lines in this document ({dropped} answers dropped)"
        raise ModelError(what, remedy="check the document or use another TARGET")
    return Drafted(tuple(drafts), dropped)


def write_drafts(path: Path, source: Path, lines: Sequence[str], drafts: Sequence[Draft]) -> None:
    """Writes the drafts in the shape of a charter, each with the lines it cites. `check` refuses every clause that still has
    `status: draft`."""
    out = [
        "# DRAFTS, not a charter. Each clause cites its source. To accept one: read it beside the cited lines, fill what is empty,",
        "# remove its `status` and `source`, and move it into charter.yaml. `trueline check` refuses what is still a draft.",
        f"# source: {source}",
    ]
    seen: dict[str, int] = {}
    for kind, (section, shape) in SHAPES.items():
        of_kind = [d for d in drafts if d.kind == kind]
        if of_kind:
            out.append(f"{section}:")
            deeper = "  inside:" if kind == "scope" else ""
            out += [deeper] if deeper else []
        pad = "    " if kind == "scope" else "  "
        for d in of_kind:
            seen[d.id] = seen.get(d.id, 0) + 1
            out.append(f"{pad}- id: {d.id if seen[d.id] == 1 else f'{d.id}-{seen[d.id]}'}")
            own = ["status: draft", f"source: {_quoted(f'{source.name}:{d.first}-{d.last}')}"]
            own += [f"# {n}: {lines[n - 1].strip()}" for n in range(d.first, d.last + 1)]
            out += [f"{pad}  {line}" for line in own + shape(d)]
    path.write_text("\n".join(out) + "\n", encoding="utf-8")
