"""Evaluations on disk: `evaluation.json` (what was measured how) and `replies.jsonl` (one graded reply a row)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from trueline.charter.probes import KINDS, MEASURE_OF
from trueline.core.evaluations import Evaluation, GradedReply
from trueline.core.records import Result
from trueline.data.jsonl import read_jsonl, write_json, write_jsonl
from trueline.errors import DataError

MANIFEST, ROWS = "evaluation.json", "replies.jsonl"


def graded_from(row: Mapping[str, Any]) -> GradedReply:
    """Reads one row. Raises `DataError` that names the field."""
    for key in ("probe", "clause", "kind", "family", "reply", "result"):
        if not isinstance(row.get(key), str):
            raise DataError(f"{key} must be a string, got {row.get(key)!r:.40}", remedy=f"mend {key!r}")
    if row["kind"] not in KINDS:
        raise DataError(f"unknown kind {row['kind']!r}, expected one of {', '.join(KINDS)}", remedy="mend 'kind'")
    if row["result"] not in get_args(Result):
        raise DataError(f"unknown result {row['result']!r}, expected pass, fail or unscored", remedy="mend 'result'")
    known = {k: v for k, v in row.items() if k in GradedReply.__slots__}
    known.setdefault("sample", 0)
    known.setdefault("origin", "written")
    return GradedReply(**{**known, "measure": MEASURE_OF[row["kind"]]})


def write_evaluation(folder: Path, evaluation: Evaluation) -> None:
    """Writes both files; the manifest last, so that a folder with a manifest is whole."""
    write_jsonl(folder / ROWS, (row.to_dict() for row in evaluation.rows))
    write_json(folder / MANIFEST, evaluation.manifest())


def read_evaluation(folder: Path) -> Evaluation:
    """Reads a folder written by `trueline eval`. Raises `DataError` where it is none or is damaged."""
    path = folder / MANIFEST
    try:
        head = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError("no evaluation here", remedy="run `trueline eval TARGET --out FOLDER` first", file=path) from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as e:
        raise DataError(f"not a readable evaluation ({e})", remedy="evaluate again", file=path) from None
    if not isinstance(head, dict) or head.get("trueline_evaluation") != 1:
        raise DataError("not an evaluation of version 1", remedy="evaluate again", file=path)
    rows = []
    for number, row in read_jsonl(folder / ROWS):
        try:
            rows.append(graded_from(row))
        except DataError as e:
            raise DataError(e.what, remedy=e.remedy, file=folder / ROWS, line=number) from None
    missing = [k for k in ("target", "charter", "suite", "settings", "graders", "created", "seconds") if k not in head]
    if missing or head.get("n") != len(rows):
        what = f"the manifest lacks {missing}" if missing else f"the manifest says {head.get('n')} rows, got {len(rows)}"
        raise DataError(what, remedy="evaluate again", file=path)
    return Evaluation(
        target=head["target"],
        identity=head.get("identity", {}),
        charter=head["charter"],
        suite=head["suite"],
        settings=head["settings"],
        graders=head["graders"],
        rows=tuple(rows),
        created=head["created"],
        seconds=head["seconds"],
        complete=bool(head.get("complete", True)),
        contaminated=tuple(head.get("contaminated", ())),
    )
