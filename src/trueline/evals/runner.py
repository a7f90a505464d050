"""Runs a suite on a model: concurrent, journalled row by row, resumed without asking anything twice.

In order: read the journal, ask what is missing, grade each reply, write it at once; then judge fairness pairs as pairs.
What it leaves out on purpose: rates, intervals and verdicts (the gate's business).
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from trueline.charter.digests import digest_of
from trueline.charter.probes import Probe
from trueline.core.chat import ChatModel, ChatReply, ChatRequest, Sampling
from trueline.core.clock import iso, utc_now
from trueline.core.evaluations import Evaluation, GradedReply
from trueline.core.ports import Grader
from trueline.core.records import Grade
from trueline.data.evaluations import graded_from
from trueline.data.jsonl import read_jsonl
from trueline.errors import DataError, ModelError
from trueline.evals.fairness import judge_pairs
from trueline.evals.graders.charter_grader import UNSEEN
from trueline.evals.suites import Suite
from trueline.models.wire import RequestRefused

Progress = Callable[[int, int], None]
OF_THIS_REQUEST = frozenset({400, 413, 422})  # HTTP: this request is at fault; other refusals (key, name) are of them all
NOT_TAKEN = "not taken"


async def ask(model: ChatModel, grader: Grader, probe: Probe, sampling: Sampling, sample: int) -> GradedReply:
    """One probe, asked and graded. A request that the server will not take (too long, say) is unscored: no failure of the model."""
    try:
        reply = await model.reply(ChatRequest(probe.messages, replace(sampling, seed=sampling.seed + sample)))
        grade = await grader.grade(probe, reply)
    except RequestRefused as e:
        if e.status not in OF_THIS_REQUEST:
            raise
        reply, grade = ChatReply(""), Grade("unscored", "", NOT_TAKEN, str(e))
    return GradedReply(
        probe=probe.id,
        clause=probe.clause,
        kind=probe.kind,
        measure=probe.measure,
        family=probe.family,
        origin=probe.origin,
        sample=sample,
        reply=reply.text,
        result=grade.result,
        seen=grade.seen,
        reason=grade.reason,
        grader=grade.grader,
        pair=probe.expect.pair,
        blocked=reply.blocked,
        version=f"{reply.model} {reply.fingerprint}".strip(),
        decided=reply.decided,
        action=reply.action,
        decided_clause=reply.decided_clause,
        seconds=round(reply.seconds, 4),
        input_tokens=reply.input_tokens,
        output_tokens=reply.output_tokens,
    )


def _journal(path: Path, key: str) -> dict[tuple[str, int], GradedReply]:
    """Rows of an interrupted run of the same model, suite, settings and graders; a torn last line is dropped."""
    if not path.exists():
        return {}
    lines = path.read_bytes().split(b"\n")[:-1]
    if not lines or lines[0] != json.dumps({"key": key}).encode():
        path.unlink()
        return {}
    path.write_bytes(b"\n".join(lines) + b"\n")
    rows: dict[tuple[str, int], GradedReply] = {}
    for number, row in read_jsonl(path):
        if number > 1:
            try:
                found = graded_from(row)
            except DataError as e:
                raise DataError(e.what, remedy="delete this journal; what was asked is in the cache", file=path, line=number) from None
            rows[found.probe, found.sample] = found
    return rows


def settings_of(sampling: Sampling, samples: int) -> dict[str, Any]:
    """What decides the evaluation besides target, suite, charter and graders."""
    return {"sampling": sampling.to_dict(), "samples": samples}


def _nothing(rows: Sequence[GradedReply], may_be_silent: bool) -> str | None:
    """Why an evaluation in which no user would have seen a word of the model says nothing, or None. What a guard says in its place is
    no sign of life."""
    rows = [r for r in rows if r.from_model]
    if not rows:
        return None
    if all(r.seen == NOT_TAKEN for r in rows):
        return f"not one of {len(rows)} requests was taken: {rows[0].reason}"
    if may_be_silent or any(r.reply.strip() or r.blocked for r in rows):
        return None
    why = next((r.reason for r in rows if r.seen == UNSEEN), "the server answered, with no text in it")
    return f"not one of {len(rows)} replies has a word that a user would see: {why}"


async def evaluate(
    model: ChatModel,
    suite: Suite,
    grader: Grader,
    *,
    charter: str,
    sampling: Sampling,
    samples: int = 1,
    concurrency: int = 64,
    journal: Path | None = None,
    progress: Progress | None = None,
    target: str | None = None,
    may_be_silent: bool = False,
) -> Evaluation:
    """Asks every probe `samples` times. Raises the model's error when it stays away; what was graded is in the journal.
    `may_be_silent`: a model that never says a word (random weights before training) is recorded, all unscored, and no error."""
    began = time.monotonic()
    settings = settings_of(sampling, samples)
    graders: Mapping[str, Mapping[str, Any]] = {grader.name: grader.identity()}
    key = digest_of([dict(model.identity()), suite.digest, charter, settings, {k: dict(v) for k, v in graders.items()}])
    done = _journal(journal, key) if journal else {}
    jobs = [(p, s) for p in suite.probes for s in range(samples) if (p.id, s) not in done]
    out = None
    if journal is not None:
        journal.parent.mkdir(parents=True, exist_ok=True)
        fresh = not journal.exists()
        out = journal.open("a", encoding="utf-8")
        if fresh:
            out.write(json.dumps({"key": key}) + "\n")
    waiting = iter(jobs)
    total = len(suite.probes) * samples

    async def work() -> None:
        for probe, sample in waiting:
            row = await ask(model, grader, probe, sampling, sample)
            done[probe.id, sample] = row
            if out is not None:
                out.write(json.dumps(row.to_dict(), ensure_ascii=False) + "\n")
                out.flush()
            if progress is not None:
                progress(len(done), total)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(concurrency, max(1, len(jobs)))):
                group.create_task(work())
    except BaseExceptionGroup as e:
        raise e.exceptions[0] from None
    finally:
        if out is not None:
            out.close()
    ordered = tuple(done[p.id, s] for p in suite.probes for s in range(samples))
    if why := _nothing(ordered, may_be_silent):
        if journal is not None:
            journal.unlink(missing_ok=True)  # nothing in it is worth keeping, and the next try must ask again
        raise ModelError(why, remedy="mend the server or the settings")
    return Evaluation(
        target=target or model.name,
        identity=dict(model.identity()),
        charter=charter,
        suite=suite.digest,
        settings=settings,
        graders={k: dict(v) for k, v in graders.items()},
        rows=judge_pairs(ordered),
        created=iso(utc_now()),
        seconds=round(time.monotonic() - began, 3),
    )
