"""`--helpful`: a file of helpful dialogues, or `self`: the starting model's own replies to the teach probes that must be answered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from trueline.cli.constitution_run import SELF, Run
from trueline.cli.progress import bar
from trueline.core.chat import ChatReply
from trueline.data.jsonl import write_jsonl
from trueline.errors import TrainingError
from trueline.train.constitution.helping import Judge, OwnReply, counts, own_replies
from trueline.train.constitution.records import RedTeamPrompt


def helpful_rows(run: Run, beside_revisions: int) -> tuple[Path | None, dict[str, Any]]:
    """(the file to mix with so many revisions, None for none; what to tell of it)."""
    from trueline.train.runfile import beside

    given = run.options["helpful"]
    if given != SELF:
        return (beside(Path.cwd() / "here", given) if given else None), {}
    mix = run.options["mix"]
    return _own(run, round(mix / (1 - mix) * beside_revisions))


def _judge(run: Run, probes: dict[str, Any]) -> Judge:
    grader = run.project.grader()
    why = {"pass": "", "fail": "the grader fails it", "unscored": "the grader cannot tell"}

    async def judge(prompt: RedTeamPrompt, reply: str) -> str:
        return why[(await grader.grade(probes[prompt.key], ChatReply(reply))).result]

    return judge


def _own(run: Run, wanted: int) -> tuple[Path | None, dict[str, Any]]:
    """Asks, judges, writes `helpful_replies.jsonl` (all, with reasons) and `own_helpful.jsonl` (those to learn from)."""
    probes = {p.key: (p, probe) for probe in run.helpful_probes() if (p := RedTeamPrompt(probe.messages, probe.clause))}
    judge = _judge(run, {k: probe for k, (_, probe) in probes.items()}) if run.options["grader"] else None
    with bar("helpful replies") as advance:
        said = run.runner.run(own_replies(run.writer, [p for p, _ in probes.values()], wanted, judge, run.revising(), advance))
    told = {**counts(said), "wanted": wanted, "grader_filter": "on" if judge else "off"}
    write_jsonl(run.out / "helpful_replies.jsonl", ({**r.to_dict(), "kind": probes[r.prompt.key][1].kind} for r in said))
    run.say(f"helpful replies: {told['kept']} of {told['of']} kept, {wanted} wanted; left out: {told['reasons'] or 'none'}")
    kept = [r for r in said if not r.dropped]
    if not kept:
        if not wanted:
            return None, told
        remedy = "read helpful_replies.jsonl; give --helpful a file, or --no-grader"
        raise TrainingError("no helpful reply of the model is fit to learn from", remedy=remedy, file=run.out)
    return _written(run.out / "own_helpful.jsonl", kept), told


def _written(path: Path, kept: list[OwnReply]) -> Path:
    turns = ([*(m.to_dict() for m in r.prompt.messages), {"role": "assistant", "content": r.reply}] for r in kept)
    write_jsonl(path, ({"messages": t, "source": "the starting model"} for t in turns))
    return path
