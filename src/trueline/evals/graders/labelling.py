"""Replies for people to grade, drawn from an evaluation without its grades, and what people made of them read back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

from trueline.charter.compile.rubric import rubric
from trueline.charter.probes import Probe
from trueline.charter.schema import Charter
from trueline.core.evaluations import Evaluation, GradedReply
from trueline.errors import DataError
from trueline.evals.graders.calibration import Labelled

NOT_LABELLED = ("", None, "unscored")


def drawn(rows: Sequence[GradedReply], n: int, seed: int) -> tuple[GradedReply, ...]:
    """n of the rows at random: of every clause its share (largest remainders), and one at least while n lasts; in random order."""
    chance = Random(seed)
    by: dict[str, list[GradedReply]] = {}
    for r in sorted(rows, key=lambda r: (r.probe, r.sample)):
        by.setdefault(r.clause, []).append(r)
    n = min(n, len(rows))
    wanted = {c: n * len(part) / len(rows) for c, part in by.items()}
    takes = {c: max(1, int(w)) for c, w in wanted.items()}
    while sum(takes.values()) != n:  # who is furthest from its share gives or gets
        step = 1 if sum(takes.values()) < n else -1
        may = [c for c in by if 0 <= takes[c] + step <= len(by[c]) and (step > 0 or takes[c] > 1 or n < len(by))]
        most = max(may, key=lambda c: (step * (wanted[c] - takes[c]), c))
        takes[most] += step
    found = [r for c, part in by.items() for r in chance.sample(part, takes[c])]
    chance.shuffle(found)
    return tuple(found)


def sheet(evaluation: Evaluation, probes: Mapping[str, Probe], charter: Charter, n: int, seed: int, digest: str) -> list[dict[str, Any]]:
    """Rows to label: the rule, the conversation, the reply and an empty `result`; no grade. Replies that an exact check decided are left out.
    digest: of the evaluation's replies, kept with the seed in each row. Raises `DataError` where nothing is left or a probe is unknown."""
    judged = [r for r in evaluation.rows if r.grader != "exact" and r.action in ("allow", "redact")]
    if not judged:
        raise DataError(
            f"exact checks decided all {len(evaluation.rows)} replies: nothing to label", remedy="no grader's error counts here"
        )
    out = []
    for r in drawn(judged, n, seed):
        if r.probe not in probes:
            raise DataError(
                f"the probe {r.probe!r:.60} is not in the suite", remedy="name the charter, --probes and --suite of this evaluation"
            )
        probe = probes[r.probe]
        out.append({
            "probe": r.probe, "sample": r.sample, "clause": r.clause, "kind": r.kind, "rule": rubric(charter, probe),
            "conversation": [m.to_dict() for m in probe.messages], "reply": r.reply, "result": "",
            "drawn": {"evaluation": digest, "seed": seed, "of": len(judged)},
        })  # fmt: skip
    return out


def _name(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def labelled_from(rows: Sequence[tuple[int, Mapping[str, Any]]], probes: Mapping[str, Probe], file: str) -> tuple[Labelled, ...]:
    """Rows {probe, reply, result} with the line each stands in: of a sheet (`drawn`), or with the name of whoever `labelled_by`; rows whose result
    is empty or unscored are passed over. Raises `DataError` (file:line), also for the rows of an evaluation: those are a grader's."""
    out = []
    for line, row in rows:
        probe, reply, result = probes.get(str(row.get("probe"))), row.get("reply"), row.get("result")
        if probe is None:
            what = f"the probe {row.get('probe')!r:.60} is not in the suite"
            raise DataError(what, remedy="label replies of this suite, or name theirs (--suite)", file=file, line=line)
        if not isinstance(reply, str):
            raise DataError(f"reply must be text, got {type(reply).__name__}", remedy="mend 'reply'", file=file, line=line)
        if "grader" in row or "seen" in row:
            what = "this row holds a grader's own grade, which is no label of a person"
            raise DataError(
                what, remedy="draw a sheet with `trueline judge --sample FOLDER` and let people fill it in", file=file, line=line
            )
        if result == "pass" or result == "fail":
            if not isinstance(row.get("drawn"), dict) and not _name(row.get("labelled_by")):
                remedy = "fill in a sheet of `trueline judge --sample`, or put the labeller's name into 'labelled_by'"
                raise DataError("nobody is named who labelled this row", remedy=remedy, file=file, line=line)
            out.append(Labelled(probe, reply, result))
        elif result not in NOT_LABELLED:
            raise DataError(f"result {result!r:.20} is not pass, fail or unscored", remedy="mend 'result'", file=file, line=line)
    return tuple(out)
