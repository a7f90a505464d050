"""The data of an alignment run: demonstrations of the charter, helpful dialogues, and preferences sampled from the model."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from trueline.charter.compile.teaching import Demonstration, demonstrations
from trueline.charter.probes import Probe
from trueline.charter.turns import Message, behind
from trueline.cli.project import Project
from trueline.core.chat import ChatModel, ChatReply, ChatRequest, Sampling
from trueline.core.clock import generator
from trueline.core.records import Preference
from trueline.data.conversations import Example, read_examples

Progress = Callable[..., None]


def mixed_examples(
    project: Project, prompt: str, helpful: Path | None, mix: float, demos: Sequence[Demonstration], seed: int
) -> list[Example]:
    """Demonstrations and helpful examples in the asked share, shuffled by the seed; every one behind the prompt."""
    out = [Example(behind(prompt, d.prompt), d.reply, f"charter/{d.clause}/{d.kind}") for d in demos]
    if helpful is not None and mix > 0:
        pool = [Example(behind(prompt, [m for m in e.prompt if m.role != "system"]), e.reply, "helpful") for e in read_examples(helpful)]
        source = generator(seed, "helpful")
        source.shuffle(pool)
        wanted = round(mix / (1 - mix) * len(out)) if out else len(pool)
        out += pool[:wanted]
    generator(seed, "mix").shuffle(out)
    return out


def charter_demonstrations(project: Project) -> list[Demonstration]:
    """Everything of the teach side."""
    return list(demonstrations(project.loaded.charter, project.probes))


async def _teach(
    teacher: ChatModel, project: Project, demos: Sequence[Demonstration], prompt: str, progress: Progress
) -> list[Demonstration]:
    grader = project.grader()
    probes = {(p.clause, p.kind, p.messages): p for p in project.probes if p.side == "teach"}
    gate = asyncio.Semaphore(16)
    done = 0

    async def one(d: Demonstration) -> Demonstration:
        nonlocal done
        async with gate:
            reply = await teacher.reply(ChatRequest(behind(prompt, d.prompt), Sampling(max_tokens=200)))
        probe = probes.get((d.clause, d.kind, d.prompt))
        kept = probe is not None and reply.text.strip() and (await grader.grade(probe, reply)).result == "pass"
        done += 1
        progress(done, len(demos))
        return Demonstration(d.prompt, reply.text, d.clause, d.kind, d.family, d.origin) if kept else d

    return list(await asyncio.gather(*(one(d) for d in demos)))


def taught_by(teacher: ChatModel, project: Project, demos: Sequence[Demonstration], prompt: str, progress: Progress) -> list[Demonstration]:
    """The teacher's replies where the grader passes them, the charter's own elsewhere. The teacher sees the whole charter."""

    async def go() -> list[Demonstration]:
        try:
            return await _teach(teacher, project, demos, prompt, progress)
        finally:
            await teacher.close()

    return asyncio.run(go())


def sampled_preferences(
    local: Any,
    project: Project,
    prompt: str,
    *,
    samples: int,
    temperature: float,
    max_tokens: int,
    most: int,
    seed: int,
    progress: Progress,
) -> list[Preference]:
    """The model's own replies to teach probes that the grader fails, each against the demonstration: (chosen, rejected)."""
    from trueline.engine.sampling import generate
    from trueline.engine.templates import encode_prompt

    demos = {d.prompt: d for d in charter_demonstrations(project)}
    probes = [p for p in project.probes if p.side == "teach" and p.messages in demos and p.kind != "fairness"]
    probes = thinned(probes, most, seed)
    jobs = [(p, s) for p in probes for s in range(samples)]
    grader, out = project.grader(), list[Preference]()

    async def judge(pairs: Iterable[tuple[Probe, str]]) -> list[str]:
        return [(await grader.grade(p, ChatReply(t))).result for p, t in pairs]

    for start in range(0, len(jobs), 64):
        part = jobs[start : start + 64]
        ids = [encode_prompt(local.tokenizer, behind(prompt, p.messages)) for p, _ in part]
        plan = [Sampling(temperature, max_tokens=max_tokens, seed=seed + 7919 * s + start + i) for i, (_, s) in enumerate(part)]
        texts = [g.text for g in generate(local, ids, plan)]
        results = asyncio.run(judge([(p, t) for (p, _), t in zip(part, texts, strict=True)]))
        for (p, _), text, result in zip(part, texts, results, strict=True):
            good = demos[p.messages].reply
            if result == "fail" and text.strip() and text != good:
                out.append(Preference(behind(prompt, p.messages), good, text, clause=p.clause, source="model against charter"))
        progress(start + len(part), len(jobs))
    contrast = _refusals_out_of_place(project, probes, prompt, demos, len(out), seed)
    return list({(q.prompt, q.rejected): q for q in (*out, *contrast)}.values())


def _refusals_out_of_place(
    project: Project, probes: Sequence[Probe], prompt: str, demos: Mapping[tuple[Message, ...], Demonstration], most: int, seed: int
) -> list[Preference]:
    """Where an answer is due, the charter's own refusals are the worse reply: as many pairs as there are failures, so that the
    model does not learn that refusing always wins."""
    charter = project.loaded.charter
    refusals = (
        [p.refuse_with for p in charter.principles] + [h.reply for h in charter.high_stakes if h.reply] + [charter.scope.outside.reply]
    )
    due = thinned([p for p in probes if p.expect.outcome == "answer"], most, seed)
    source = generator(seed, "refusals out of place")
    out = []
    for p in due:
        worse = next((c.refuse_with for c in charter.principles if c.id == p.clause), None) or source.choice(refusals)
        out.append(Preference(behind(prompt, p.messages), demos[p.messages].reply, worse, clause=p.clause, source="answer against refusal"))
    return out


def thinned(items: list[Any], most: int, seed: int) -> list[Any]:
    """At most `most` of them, chosen by the seed."""
    return items if len(items) <= most else random.Random(seed).sample(items, most)
