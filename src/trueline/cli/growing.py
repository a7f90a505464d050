"""Grows probes: asks a TARGET for new prompts per clause and kind, drops repeats, names families, and leaves the side to the digest."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from trueline.charter.compile.rubric import TASK, rule_of
from trueline.charter.compile.written import written_probes
from trueline.charter.probe_files import append_probe, read_probes
from trueline.charter.probes import OUTCOME_OF, Kind, Probe, probe_id
from trueline.charter.splits import side_of
from trueline.charter.turns import Message
from trueline.cli.project import Project
from trueline.core.chat import ChatModel, ChatRequest, Sampling
from trueline.data.contamination import fingerprint

ROUND = 8  # prompts asked for in one request
TRIES = 4  # rounds without anything new before a clause is left


def _plain_lines(text: str) -> list[str]:
    """One prompt a line, without bullets, numbers and quotes; headings and empty lines fall away."""
    out = []
    for line in text.splitlines():
        bare = re.sub(r"^\s*(?:[-*•]|\d+[.)])\s*", "", line).strip().strip('"')
        if 6 <= len(bare) <= 600 and not bare.endswith(":"):
            out.append(bare)
    return out


def _request(project: Project, clause: str, kind: Kind, examples: list[str], seed: int) -> ChatRequest:
    shown = "\n".join(f"- {e}" for e in examples[:5])
    text = (
        f"Rule of an assistant: {rule_of(project.loaded.charter, clause)}\nWhat must happen: {TASK[OUTCOME_OF[kind]]}\n"
        f"Messages of users like these:\n{shown}\nWrite {ROUND} new ones on other subjects in other words, one a line, nothing else."
    )
    return ChatRequest((Message("user", text),), Sampling(temperature=1.0, top_p=0.95, max_tokens=600, seed=seed))


async def grow_probes(
    model: ChatModel, project: Project, path: Path, wanted: int, seed: int, progress: Callable[..., None]
) -> tuple[int, int]:
    """(drafts in the file, answers dropped). A killed run goes on where it was: drafts are counted from the file."""
    templates: dict[tuple[str, Kind], list[Probe]] = {}
    for p in written_probes(project.loaded.charter):
        if p.kind != "fairness":
            templates.setdefault((p.clause, p.kind), []).append(p)
    drafts = list(read_probes(path))
    seen = {fingerprint(p.messages) for p in (*drafts, *project.probes, *written_probes(project.loaded.charter))}
    dropped = 0
    try:
        for done, ((clause, kind), known) in enumerate(templates.items(), 1):
            have = sum((p.clause, p.kind) == (clause, kind) for p in drafts)
            empty, turn = 0, have
            while have < wanted and empty < TRIES:
                answer = await model.reply(_request(project, clause, kind, [p.messages[-1].content for p in known], seed + turn))
                turn += 1
                fresh = 0
                for text in _plain_lines(answer.text):
                    messages = (Message("user", text),)
                    mark = fingerprint(messages)
                    if not mark or mark in seen or have >= wanted:
                        dropped += 1
                        continue
                    seen.add(mark)
                    family = f"{clause}/{kind}/{mark[:80]}"
                    found = Probe(
                        probe_id(clause, kind, family, messages), clause, kind, messages, family, side_of(family), "grown", known[0].expect
                    )
                    append_probe(path, found)
                    drafts.append(found)
                    have, fresh = have + 1, fresh + 1
                empty = 0 if fresh else empty + 1
            progress(done, len(templates))
    finally:
        await model.close()
    return len(drafts), dropped
