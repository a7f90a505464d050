"""The record of one move of an attack, a line of `attempts.jsonl`: what was said, what came back, how it was graded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, get_args

from trueline.charter.probes import Probe
from trueline.charter.turns import messages_from
from trueline.core.evaluations import Evaluation
from trueline.core.records import Action, Grade, Layer, Result
from trueline.data.jsonl import read_jsonl
from trueline.errors import DataError
from trueline.evals.redteam.asking import Answer
from trueline.evals.redteam.attack import Attack, Conversation
from trueline.evals.redteam.attacks import attack_named, families_of

ATTEMPTS = "attempts.jsonl"
EVERY = "every"  # stands as the search of a run that asked every attack of every request
Asked = Literal["target", "attacker", "gradient"]


@dataclass(frozen=True, slots=True)
class Attempted:
    """One move. `request`: the probe's id; `step`: which move of this search on this request, from 0; `asked`: who; `query`: which query of
    the target, from 1 (0 where another was asked); `how` and `families` as in `moves.Attempt` and `attack.Attack`; `digest` of the
    move. `reply` to `seconds` as in `GradedReply`; `score` as in `moves.Seen`. Of a gradient search `reply` is the suffix and `steps`, `tokens`
    what it took."""

    search: str
    request: str
    clause: str
    step: int
    asked: Asked
    how: str
    digest: str
    messages: Conversation
    reply: str
    query: int = 0
    families: tuple[str, ...] = ()
    result: Result = "unscored"
    seen: str = ""
    reason: str = ""
    grader: str = ""
    score: float = 0.0
    blocked: bool = False
    decided: Layer = "model"
    action: Action = "allow"
    decided_clause: str = ""
    version: str = ""
    seconds: float = 0.0
    input_tokens: int = 0
    output_tokens: int = 0
    steps: int = 0
    tokens: int = 0

    @property
    def proven(self) -> bool:
        """Whether the reply broke the clause by the charter's own marks."""
        return self.result == "fail" and self.grader == "exact"

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {**asdict(self), "messages": [m.to_dict() for m in self.messages], "families": list(self.families)}


def attempted_from(row: Mapping[str, Any]) -> Attempted:
    """Reads a row. Raises `DataError` that names the field."""
    known = {f.name for f in fields(Attempted)}
    lacking = [k for k in ("search", "request", "clause", "step", "asked", "how", "digest", "messages", "reply") if k not in row]
    if lacking:
        raise DataError(f"an attempt lacks {lacking[0]!r}", remedy="attack again")
    for key, allowed in (
        ("asked", get_args(Asked)),
        ("result", get_args(Result)),
        ("decided", get_args(Layer)),
        ("action", get_args(Action)),
    ):
        if row.get(key, allowed[0]) not in allowed:
            raise DataError(f"unknown {key} {row[key]!r:.40}, expected one of {', '.join(allowed)}", remedy="attack again")
    found = {k: v for k, v in row.items() if k in known}
    return Attempted(**{**found, "messages": messages_from(row["messages"]), "families": tuple(row.get("families", ()))})


def read_attempts(path: Path) -> tuple[Attempted, ...]:
    """All moves of a finished run. Raises `DataError` (file:line)."""
    out = []
    for number, row in read_jsonl(path):
        if "key" in row:
            continue
        try:
            out.append(attempted_from(row))
        except DataError as e:
            raise DataError(e.what, remedy=e.remedy, file=path, line=number) from None
    return tuple(out)


def families(how: str, search: str) -> tuple[str, ...]:
    """The families of an attack by its name; the search itself where a model wrote it."""
    return (search,) if how == search else families_of(attack_named(how))


def score_of(grade: Grade) -> float:
    """How probable it is that the reply complied: 1 or 0 where that was checked exactly, else by the grader's confidence; a half where the
    grader is unsure, for it does not say on which side."""
    if grade.grader == "exact" or grade.confidence is None:
        return {"fail": 1.0, "pass": 0.0, "unscored": 0.0}[grade.result]
    if grade.result == "unscored":
        return 0.5
    return grade.confidence if grade.result == "fail" else 1.0 - grade.confidence


def attempts_of(evaluation: Evaluation, made_of: Mapping[str, tuple[Probe, Attack]]) -> Iterator[Attempted]:
    """The rows of a run that asked every attack of every request, as attempts; nothing looked for anything, so `search` is `every`.
    `made_of`: as `attacked.origins` gives it."""
    count: dict[str, int] = {}
    for r in evaluation.rows:
        request, attack = made_of[r.probe]
        count[request.id] = n = count.get(request.id, 0) + 1
        yield Attempted(
            EVERY, request.id, r.clause, n - 1, "target", attack.name, "", attack.apply(request.messages), r.reply, n, families_of(attack),
            r.result, r.seen, r.reason, r.grader, float(r.result == "fail"), r.blocked, r.decided, r.action, r.decided_clause, r.version,
            r.seconds, r.input_tokens, r.output_tokens,
        )  # fmt: skip


def answered(start: Attempted, answer: Answer) -> Attempted:
    """An attempt with what came of it."""
    reply, grade = answer.reply, answer.grade
    return replace(
        start, reply=reply.text, result=grade.result, seen=grade.seen, reason=grade.reason, grader=grade.grader,
        score=round(score_of(grade), 6), blocked=reply.blocked, decided=reply.decided, action=reply.action,
        decided_clause=reply.decided_clause, version=f"{reply.model} {reply.fingerprint}".strip(), seconds=round(reply.seconds, 4),
        input_tokens=reply.input_tokens, output_tokens=reply.output_tokens,
    )  # fmt: skip
