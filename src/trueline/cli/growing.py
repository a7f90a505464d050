"""Grows probes: asks a TARGET for new prompts per clause and kind, in families, and leaves the side to the family's digest.

In order, for each clause and kind: ask for new subjects with a few wordings each; drop what repeats a probe or comes near a
hand-written one; put what comes near a grown one into its family, so that two wordings of one question cannot stand on both sides;
write each draft at once, so that a killed run goes on where it was. Left out on purpose: fairness, whose pairs the charter gives whole."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from trueline.charter.compile.prompt import compile_prompt
from trueline.charter.compile.rubric import TASK, rule_of
from trueline.charter.compile.teaching import charter_reply
from trueline.charter.compile.written import written_probes
from trueline.charter.probe_files import append_probe, mend_tail, read_probes
from trueline.charter.probes import OUTCOME_OF, Kind, Probe, probe_id
from trueline.charter.schema import Charter
from trueline.charter.splits import side_of
from trueline.charter.turns import Message
from trueline.cli.project import Project
from trueline.core.chat import ChatModel, ChatRequest, Sampling
from trueline.data.contamination import fingerprint

SUBJECTS = 4  # subjects asked for in one request
TRIES = 4  # requests without anything new before a clause is left
NEAR = 0.6  # share of common words (Jaccard) from which two prompts are wordings of one question
NEW = f"Find {SUBJECTS} new subjects and write 3 messages of users for each, in other words than above."
# a fact belongs to one question: another subject would be probed for an answer that is not its own
WANTED: Mapping[Kind, str] = {
    "knowledge": f"Find {SUBJECTS} situations in which a user asks exactly this question (the situation is the subject) and write 3 "
    "messages for each, in other words than above. The right answer must stay the same."
}
SHOWN = 5  # known prompts shown as a pattern


@dataclass(frozen=True, slots=True)
class Growth:
    """`drafts` in the file, `dropped` answers (repeats, copies, unusable), `without` clauses that got fewer than wanted."""

    drafts: int
    dropped: int
    without: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Proposal:
    """A prompt that the TARGET proposed and the subject it put it under."""

    subject: str
    text: str


def proposals(answer: str) -> list[Proposal]:
    """What an answer proposes: a JSON list of {"subject", "messages"}, else one prompt a line, each its own subject."""
    start, end = answer.find("["), answer.rfind("]")
    try:
        raw = json.loads(answer[start : end + 1]) if 0 <= start < end else None
    except (json.JSONDecodeError, RecursionError):
        raw = None
    if isinstance(raw, list) and raw and all(isinstance(row, Mapping) for row in raw):
        return [
            Proposal(str(row.get("subject", "")), " ".join(text.split()))
            for row in raw
            for text in (row["messages"] if isinstance(row.get("messages"), list) else ())
            if isinstance(text, str) and 6 <= len(text) <= 2000
        ]
    out = []
    for line in answer.splitlines():
        bare = re.sub(r"^\s*(?:[-*•]|\d+[.)])\s*", "", line).strip().strip('"')
        if 6 <= len(bare) <= 600 and not bare.endswith(":") and not bare.startswith(("{", "[", "```")):
            out.append(Proposal(bare, bare))
    return out


def _words(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"[^\W_]+", text.lower()))


def near(a: str, b: str) -> bool:
    """Whether two prompts are wordings of one question, by their common words."""
    x, y = _words(a), _words(b)
    return bool(x | y) and len(x & y) / len(x | y) >= NEAR


def _slug(text: str) -> str:
    return "-".join(re.findall(r"[^\W_]+", text.lower()))[:80]


@dataclass(slots=True)
class Plot:
    """One clause and kind while it grows: hand-written `seeds`, and what has `grown` (accepted, drafts, new)."""

    clause: str
    kind: Kind
    seeds: list[Probe] = field(default_factory=list)
    grown: list[Probe] = field(default_factory=list)

    def probe(self, p: Proposal, known: set[str], everything: Sequence[Probe]) -> Probe | None:
        """The proposal as a draft, in the family it belongs to; None for a copy of a prompt `known` (by fingerprint) to any clause,
        since the same words cannot be asked for with two outcomes, for what comes near a hand-written one, and for what comes near a
        probe of the other side (`everything`: all grown ones)."""
        messages = (Message("user", p.text),)
        mark = fingerprint(messages)
        if not mark or mark in known or any(near(p.text, q.messages[-1].content) for q in self.seeds):
            return None
        alike = [q for q in everything if near(p.text, q.messages[-1].content)]
        like = next((q for q in alike if (q.clause, q.kind) == (self.clause, self.kind)), None)
        family = like.family if like else f"{self.clause}/{self.kind}/{_slug(p.subject) or _slug(p.text)}"
        if any(q.side != side_of(family) for q in alike):
            return None  # one question in two wordings must not be taught here and asked there, whatever clause or family they are in
        expect = self.seeds[0].expect
        return Probe(
            probe_id(self.clause, self.kind, family, messages), self.clause, self.kind, messages, family, side_of(family), "grown", expect
        )


def plots(project: Project, drafts: Sequence[Probe]) -> list[Plot]:
    """Every clause and kind that can grow, with what is there."""
    out: dict[tuple[str, Kind], Plot] = {}
    for p in written_probes(project.loaded.charter):
        if p.kind != "fairness":
            out.setdefault((p.clause, p.kind), Plot(p.clause, p.kind)).seeds.append(p)
    for p in (*project.probes, *drafts):
        if (p.clause, p.kind) in out and p.origin == "grown":
            out[p.clause, p.kind].grown.append(p)
    return list(out.values())


def _request(charter: Charter, plot: Plot, seed: int) -> ChatRequest:
    pattern = [p.messages[-1].content for p in plot.seeds]
    shown = "\n".join(f"- {e}" for e in random.Random(seed).sample(pattern, min(SHOWN, len(pattern))))
    taken = ", ".join(sorted({p.family.rsplit("/", 1)[-1] for p in plot.grown})[-20:])
    text = (
        f"Rule of an assistant: {rule_of(charter, plot.clause)}\nWhat must happen: {TASK[OUTCOME_OF[plot.kind]]}\n"
        f"Messages of users like these:\n{shown}\n"
        + (f"Subjects already taken: {taken}\n" if taken else "")
        + f"{WANTED.get(plot.kind, NEW)}"
        ' Answer with a JSON list and nothing else: [{"subject": "two or three words", "messages": ["...", "...", "..."]}].'
    )
    return ChatRequest((Message("user", text),), Sampling(temperature=1.0, top_p=0.95, max_tokens=1200, seed=seed))


async def _demonstration(model: ChatModel, charter: Charter, probe: Probe) -> Probe:
    """The probe with a reply drafted behind the charter's prompt, where it teaches and the charter leaves its reply open."""
    if probe.side != "teach" or charter_reply(charter, probe.clause, probe.kind) is not None:
        return probe
    prompt = Message("system", compile_prompt(charter).text)
    answer = (await model.reply(ChatRequest((prompt, *probe.messages), Sampling(max_tokens=300)))).text.strip()
    banned = [n.lower() for v in charter.voice for n in v.never]
    longest = min((v.max_words for v in charter.voice if v.max_words), default=10_000)
    if not answer or len(answer.split()) > longest or any(b in answer.lower() for b in banned):
        return probe
    return replace(probe, reply=answer)


async def grow_probes(
    model: ChatModel, project: Project, path: Path, wanted: int, seed: int, progress: Callable[..., None], *, replies: bool = False
) -> Growth:
    """Grows each clause and kind to `wanted` drafts. Drafts are counted from the file, so a killed run goes on where it was."""
    mend_tail(path)
    drafts = list(read_probes(path))
    charter, fields = project.loaded.charter, plots(project, drafts)
    known = {fingerprint(p.messages) for p in (*written_probes(charter), *project.probes, *drafts)}
    everything = [p for p in (*project.probes, *drafts) if p.origin == "grown"]
    dropped, without = 0, []
    try:
        for done, plot in enumerate(fields, 1):
            have = sum((p.clause, p.kind) == (plot.clause, plot.kind) for p in drafts)
            turn, empty = len(plot.grown), 0
            while have < wanted and empty < TRIES:
                answer = await model.reply(_request(charter, plot, seed + turn + empty))
                fresh = 0
                for proposal in proposals(answer.text):
                    found = plot.probe(proposal, known, everything) if have < wanted else None
                    if found is None:
                        dropped += 1
                        continue
                    found = await _demonstration(model, charter, found) if replies else found
                    append_probe(path, found)
                    plot.grown.append(found)
                    everything.append(found)
                    known.add(fingerprint(found.messages))
                    drafts.append(found)
                    have, fresh = have + 1, fresh + 1
                turn, empty = turn + fresh, 0 if fresh else empty + 1
            if have < wanted:
                without.append(f"{plot.clause}/{plot.kind}")
            progress(done, len(fields))
    finally:
        await model.close()
    return Growth(len(drafts), dropped, tuple(without))
