"""Drafts clauses out of a document with a TARGET: each cites its source lines; nothing is invented where the model answers garbage."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from trueline.charter.turns import Message
from trueline.core.chat import ChatModel, ChatRequest, Sampling
from trueline.errors import ModelError

CHUNK = 40  # lines of the document a request
TASK = (
    "Below are numbered lines of a company's rules for an assistant. Find every rule in them. Answer with a JSON list and nothing else; one object a rule: "
    '{"id": "lower-case-words-with-hyphens", "kind": "principle" | "voice" | "scope" | "knowledge" | "high_stakes", "rule": "one sentence", "lines": [first, last]}.'
    " Use only what the lines say."
)
KINDS = ("principle", "voice", "scope", "knowledge", "high_stakes")


def parse_drafts(text: str, first: int, last: int) -> list[dict[str, Any]]:
    """The valid objects of an answer; those with a wrong form or lines outside the chunk are dropped. Raises `ModelError`
    where the answer is no JSON list at all."""
    start, end = text.find("["), text.rfind("]")
    try:
        raw = json.loads(text[start : end + 1]) if 0 <= start < end else None
    except (json.JSONDecodeError, RecursionError):
        raw = None
    if not isinstance(raw, list):
        raise ModelError(f"the TARGET answered no JSON list but {text[:60]!r}", remedy="use a TARGET that follows instructions")
    out = []
    for row in raw:
        lines = row.get("lines") if isinstance(row, Mapping) else None
        good = (
            isinstance(row, Mapping)
            and isinstance(lines, list)
            and len(lines) == 2
            and all(isinstance(n, int) for n in lines)
            and first <= lines[0] <= lines[1] <= last
            and row.get("kind") in KINDS
            and isinstance(row.get("rule"), str)
            and row["rule"].strip()
            and re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", str(row.get("id", "")))
        )
        if good:
            out.append({"id": row["id"], "kind": row["kind"], "rule": row["rule"].strip(), "lines": lines})
    return out


async def draft_clauses(model: ChatModel, lines: Sequence[str], progress: Callable[..., None]) -> list[dict[str, Any]]:
    """Drafts from all chunks of the document. Raises `ModelError` where nothing usable came back."""
    out: list[dict[str, Any]] = []
    chunks = range(0, len(lines), CHUNK)
    try:
        for done, start in enumerate(chunks, 1):
            part = lines[start : start + CHUNK]
            if any(line.strip() for line in part):
                numbered = "\n".join(f"{start + i + 1}: {line}" for i, line in enumerate(part))
                answer = await model.reply(ChatRequest((Message("user", f"{TASK}\n\n{numbered}"),), Sampling(max_tokens=2000)))
                out += parse_drafts(answer.text, start + 1, start + len(part))
            progress(done, len(chunks))
    finally:
        await model.close()
    if not out:
        raise ModelError(
            "the TARGET found no rule with valid source lines in this document", remedy="check the document or use another TARGET"
        )
    return out


def write_drafts(path: Path, source: Path, lines: Sequence[str], drafts: Sequence[Mapping[str, Any]]) -> None:
    """Writes the drafts with the lines that each cites. The file is no charter: `check` refuses it until a person has moved the clauses."""
    out = [
        "# DRAFTS, not a charter. Each clause cites its source; complete it with examples and near misses, then move it into charter.yaml.",
        f"# source: {source}",
        "drafts:",
    ]
    seen: dict[str, int] = {}
    for d in drafts:
        seen[d["id"]] = seen.get(d["id"], 0) + 1
        name = d["id"] if seen[d["id"]] == 1 else f"{d['id']}-{seen[d['id']]}"
        first, last = d["lines"]
        out += [
            f"  - id: {name}",
            f"    kind: {d['kind']}",
            f"    rule: {json.dumps(d['rule'], ensure_ascii=False)}",
            "    status: draft",
            f"    source: {json.dumps(f'{source.name}:{first}-{last}')}",
        ]
        out += [f"    # {n}: {lines[n - 1].strip()}" for n in range(first, last + 1)]
    path.write_text("\n".join(out) + "\n", encoding="utf-8")
