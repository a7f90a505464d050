"""Evaluations on disk: `evaluation.json` (what was measured how) and `replies.jsonl` (one graded reply a row)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from trueline.charter.digests import digest_file
from trueline.charter.probes import KINDS, MEASURE_OF, Origin
from trueline.core.evaluations import Evaluation, GradedReply
from trueline.core.records import Action, Layer, Result
from trueline.data.jsonl import read_jsonl, write_json, write_jsonl
from trueline.errors import DataError

MANIFEST, ROWS = "evaluation.json", "replies.jsonl"
JOURNAL = "journal.jsonl"  # rows of a run under way; where it stands, the manifest is of an earlier one


# what must stand under each key: its type, and whether it may be missing
ROW: Mapping[str, tuple[type, bool]] = {
    "probe": (str, False), "clause": (str, False), "kind": (str, False), "family": (str, False), "reply": (str, False), "result": (str, False),
    "sample": (int, True), "origin": (str, True), "seen": (str, True), "reason": (str, True), "grader": (str, True), "blocked": (bool, True),
    "version": (str, True), "decided": (str, True), "action": (str, True), "decided_clause": (str, True),
    "seconds": (float, True), "input_tokens": (int, True), "output_tokens": (int, True),
}  # fmt: skip
# what stands first is meant where the key is missing
ONE_OF: Mapping[str, tuple[str, ...]] = {
    "kind": KINDS, "result": get_args(Result), "origin": get_args(Origin), "decided": get_args(Layer), "action": get_args(Action),
}  # fmt: skip
MOST_LOOKS = 1_000_000
HEAD: Mapping[str, tuple[type, bool]] = {
    "target": (str, False), "charter": (str, False), "suite": (str, False), "settings": (dict, False), "graders": (dict, False),
    "created": (str, False), "seconds": (float, False), "n": (int, False), "identity": (dict, False), "complete": (bool, False),
    "contaminated": (list, False), "taught": (list, True), "looks": (int, True), "replies": (str, True),
}  # fmt: skip
WORDS: Mapping[type, str] = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    dict: "an object",
    list: "a list",
}


def _typed(row: Mapping[str, Any], types: Mapping[str, tuple[type, bool]]) -> None:
    """Raises `DataError` for the first key that is missing or holds something else."""
    for key, (kind, may_lack) in types.items():
        if key not in row and not may_lack:
            raise DataError(f"{key!r} is missing, expected {WORDS[kind]}", remedy=f"add {key!r}")
        value = row.get(key, kind())
        good = isinstance(value, int | float if kind is float else kind) and (kind is bool or not isinstance(value, bool))
        if not good:
            raise DataError(f"{key} must be {WORDS[kind]}, got {value!r:.40}", remedy=f"mend {key!r}")


def graded_from(row: Mapping[str, Any]) -> GradedReply:
    """Reads one row. Raises `DataError` that names the field."""
    _typed(row, ROW)
    for key, allowed in ONE_OF.items():
        if row.get(key, allowed[0]) not in allowed:
            raise DataError(f"unknown {key} {row[key]!r:.40}, expected one of {', '.join(allowed)}", remedy=f"mend {key!r}")
    pair = row.get("pair")
    if not isinstance(pair, str | None) or not row["probe"] or row.get("sample", 0) < 0:
        what = "probe may not be empty, sample not negative, and pair must be text or null"
        raise DataError(f"{what}, got {row['probe']!r:.40}, {row.get('sample', 0)} and {pair!r:.40}", remedy="mend the row")
    known = {k: v for k, v in row.items() if k in GradedReply.__slots__}
    known.setdefault("sample", 0)
    known.setdefault("origin", "written")
    return GradedReply(**{**known, "measure": MEASURE_OF[row["kind"]]})


def _errors(graders: Mapping[str, Any]) -> None:
    """Raises `DataError` where a grader's measured error is none: the gate counts with it."""
    for name, identity in graders.items():
        if not isinstance(identity, Mapping):
            raise DataError(f"the grader {name!r:.40} must be an object, got {identity!r:.40}", remedy="evaluate again")
        for what in ("sensitivity", "specificity"):
            found = identity.get(what)
            if found is None:
                continue
            rates = [found.get(k) for k in ("estimate", "low", "high")] if isinstance(found, Mapping) else [None]
            n = found.get("n") if isinstance(found, Mapping) else None
            if (
                not all(isinstance(r, int | float) and not isinstance(r, bool) and 0 <= r <= 1 for r in rates)
                or type(n) is not int
                or n < 1
            ):
                shape = "an object of estimate, low and high from 0 to 1 and n of at least 1"
                raise DataError(f"the {what} of the grader {name!r:.40} must be {shape}, got {found!r:.60}", remedy="evaluate again")


def write_evaluation(folder: Path, evaluation: Evaluation) -> None:
    """Writes both files; the manifest last, with the digest of the rows, so that a folder with a manifest is whole."""
    write_jsonl(folder / ROWS, (row.to_dict() for row in evaluation.rows))
    write_json(folder / MANIFEST, {**evaluation.manifest(), "replies": digest_file(folder / ROWS)})


def _head(path: Path) -> dict[str, Any]:
    try:
        head = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError("no evaluation here", remedy="run `trueline eval TARGET --out FOLDER` first", file=path) from None
    except (OSError, ValueError, RecursionError) as e:
        told = e.strerror if isinstance(e, OSError) else str(e)[:80]
        raise DataError(f"not a readable evaluation ({told})", remedy="evaluate again", file=path) from None
    if not isinstance(head, dict) or head.get("trueline_evaluation") != 1:
        raise DataError("not an evaluation of version 1", remedy="evaluate again", file=path)
    try:
        _typed(head, HEAD)
        _errors(head["graders"])
        if not 1 <= head.get("looks", 1) <= MOST_LOOKS:
            raise DataError(f"looks must be from 1 to {MOST_LOOKS}", remedy="evaluate again")
        for key in ("contaminated", "taught"):
            if not all(isinstance(p, str) for p in head.get(key, ())):
                raise DataError(f"{key} must be a list of probes by name", remedy="evaluate again")
    except DataError as e:
        raise DataError(e.what, remedy="evaluate again", file=path) from None
    return head


def _read_rows(path: Path) -> tuple[GradedReply, ...]:
    rows: dict[tuple[str, int], GradedReply] = {}
    for number, row in read_jsonl(path):
        try:
            found = graded_from(row)
            if (found.probe, found.sample) in rows:
                raise DataError(f"the reply to {found.probe} (sample {found.sample}) stands twice", remedy="evaluate again")
        except DataError as e:
            raise DataError(e.what, remedy=e.remedy, file=path, line=number) from None
        rows[found.probe, found.sample] = found
    return tuple(rows.values())


def read_evaluation(folder: Path) -> Evaluation:
    """Reads a folder written by `trueline eval`. Raises `DataError` where it is none, is damaged, or holds other replies than were graded.
    An evaluation beside the journal of another one, which was interrupted, is not complete: nobody asked for the old one."""
    head = _head(folder / MANIFEST)
    rows = _read_rows(folder / ROWS)
    if head["n"] != len(rows):
        raise DataError(f"the manifest says {head['n']} rows, got {len(rows)}", remedy="evaluate again", file=folder / MANIFEST)
    if head.get("replies") not in (None, digest_file(folder / ROWS)):
        what = "these are not the replies that were graded: their SHA-256 is another than the manifest says"
        raise DataError(what, remedy="evaluate again; to correct grades, label replies and use --judge-labels", file=folder / ROWS)
    return Evaluation(
        target=head["target"],
        identity=head["identity"],
        charter=head["charter"],
        suite=head["suite"],
        settings=head["settings"],
        graders=head["graders"],
        rows=rows,
        created=head["created"],
        seconds=head["seconds"],
        complete=head["complete"] and not (folder / JOURNAL).exists(),
        contaminated=tuple(head["contaminated"]),
        taught=tuple(head.get("taught", ())),
        looks=head.get("looks", 1),
    )
