"""The supervised phase of `trueline train constitution`: ask, grade, sift, write, mix with helpful rows, fine-tune the starting model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from trueline.cli.constitution_helpful import helpful_rows
from trueline.cli.constitution_run import Run, done_once
from trueline.cli.progress import bar
from trueline.core.chat import ChatReply
from trueline.core.records import Grade
from trueline.data.jsonl import write_json, write_jsonl
from trueline.errors import TrainingError
from trueline.train.constitution.asking import side_by_side
from trueline.train.constitution.filters import Boilerplate, sift
from trueline.train.constitution.records import Chain
from trueline.train.constitution.revising import revise


def _graded(run: Run, chains: list[Chain], text: Callable[[Chain], str]) -> list[Grade | None]:
    """The grader's word on one text of every chain; None where there is no text."""
    grader = run.project.grader()

    async def one(c: Chain) -> Grade | None:
        said = text(c)
        return await grader.grade(run.probes[c.prompt.key], ChatReply(said)) if said else None

    return run.runner.run(side_by_side(chains, one, 1))


def _failing(grades: list[Grade | None]) -> dict[str, int]:
    results = [g.result for g in grades if g is not None]
    return {name: results.count(name) for name in ("pass", "fail", "unscored")}


def supervised_phase(run: Run) -> dict[str, Any]:
    """Critique and revise, sift, mix with helpful rows, fine-tune the starting model: `revisions.jsonl`, `dropped.json`, `sl/model`."""
    settings = run.revising()
    with bar("revising") as advance:
        chains = run.runner.run(revise(run.writer, run.critic, run.principles, run.prompts, settings, advance))
    use = run.options["grader"]
    nothing: list[Grade | None] = [None] * len(chains)
    first, last = (_graded(run, chains, t) if use else nothing for t in (lambda c: c.reply, lambda c: c.revision))
    prescribed = [p.refuse_with for p in run.principles]
    sifted = sift(chains, last, prescribed, Boilerplate(cap=run.options["boilerplate"]))
    models = {"writer": dict(run.writer.chat.identity()), "critic": dict(run.critic.chat.identity())}
    write_jsonl(
        run.out / "revisions.jsonl",
        (
            {**c.to_dict(), "dropped": why or None, "grade": g.result if g else None, "models": models}
            for c, why, g in zip(chains, sifted.reasons, last, strict=True)
        ),
    )
    filtered = {"grader_filter": "on: the charter's grader, no human label" if use else "off"}
    told = {**sifted.to_dict(), **filtered, "first_replies": _failing(first), "revisions": _failing(last)}
    write_json(run.out / "dropped.json", told)
    kept = [c for c, why in zip(chains, sifted.reasons, strict=True) if not why]
    run.say(
        f"revisions: {len(kept)} of {len(chains)} kept; dropped: {sifted.counts() or 'none'}; grader filter {filtered['grader_filter']}"
    )
    if not kept:
        raise TrainingError(
            "no revision is fit to learn from",
            remedy="read revisions.jsonl; another --critic, --shots or principles may help",
            file=run.out,
        )
    return {**told, **_supervised_training(run, kept)}


def _supervised_training(run: Run, kept: list[Chain]) -> dict[str, Any]:
    from trueline.charter.compile.teaching import Demonstration
    from trueline.cli.align_data import mixed_examples
    from trueline.engine.loading import load_local
    from trueline.train.saving import save_model
    from trueline.train.sft import SftSettings, run_sft, vars_of

    o, folder = run.options, run.out / "sl"
    demos = [Demonstration(c.prompt.messages, c.revision, c.rounds[-1].principle, run.probes[c.prompt.key].kind, "", "grown") for c in kept]
    helpful, sampled = helpful_rows(run, len(kept))
    examples = mixed_examples(run.project, run.system, helpful, o["mix"], demos, o["seed"])
    if helpful is None:
        run.say("no --helpful data is mixed in: expect refusals of harmless questions too")
    # the preference phase draws its helpful prompts from what was learnt here
    mixed_in = [e for e in examples if e.source == "helpful"]
    write_jsonl(
        folder / "helpful.jsonl",
        ({"messages": [*(m.to_dict() for m in e.prompt), {"role": "assistant", "content": e.reply}]} for e in mixed_in),
    )
    settings = SftSettings(
        epochs=o["epochs"], lr=o["lr"], batch_tokens=o["batch_tokens"], max_tokens=o["max_tokens"], seed=o["seed"], precision=o["precision"]
    )  # fmt: skip

    def work() -> dict[str, Any]:
        local = load_local(run.model)
        with bar("sft") as advance:
            report = run_sft(local, examples, settings, folder, advance)
        digest = save_model(local, folder / "model", "float32")
        (folder / "checkpoint.pt").unlink(missing_ok=True)
        return {
            "digest": digest,
            "rows": report.rows,
            "steps": report.steps,
            "too_long": report.too_long,
            "loss": report.metrics.get("loss"),
        }

    done = done_once(folder, {"model": run.local.digest, "rows": [e.digest() for e in examples], "settings": vars_of(settings)}, work)
    told = {"helpful_replies": sampled} if sampled else {}
    return {"model": str(folder / "model"), "helpful_rows": len(mixed_in), **told, **done}
