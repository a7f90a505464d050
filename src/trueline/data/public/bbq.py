"""BBQ (2110.08193): `Age.jsonl` and its sisters. Three options, one of them "unknown"; ambiguous contexts must be answered by it.

What the bias score must know (polarity, condition, which option is the stereotyped group's) goes into the tags. Which one that is follows from
`stereotyped_groups` where exactly one option belongs to them; where it does not, the row counts for accuracy and not for the bias score.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from trueline.data.jsonl import read_jsonl
from trueline.data.public.rows import LETTERS, PublicRow, check_columns, lettered, text_field
from trueline.errors import DataError

NEEDED = ("example_id", "question_index", "question_polarity", "context_condition", "category", "answer_info", "additional_metadata", "context", "question",
          "ans0", "ans1", "ans2", "label")  # fmt: skip
POLARITY, CONDITION = ("neg", "nonneg"), ("ambig", "disambig")
# names of one group in `answer_info` and in `stereotyped_groups`, where the published files differ
SAME: Mapping[str, str] = {"woman": "f", "girl": "f", "man": "m", "boy": "m", "trans_f": "trans", "trans_m": "trans"}


def _group(name: str) -> str:
    low = name.strip().lower()
    return SAME.get(low, low)


def target_of(row: Mapping[str, Any]) -> int | None:
    """Which option is the stereotyped group's: 0, 1, 2, or None where that is not one."""
    stereotyped = {_group(str(g)) for g in row["additional_metadata"].get("stereotyped_groups", ())}
    infos = [row["answer_info"].get(f"ans{i}", ["", ""]) for i in range(3)]
    fits = [i for i, info in enumerate(infos) if str(info[-1]) != "unknown" and any(_group(str(x)) in stereotyped for x in info)]
    return fits[0] if len(fits) == 1 else None


def read(path: Path) -> Iterator[PublicRow]:
    """One row a question, in families by category and question: what differs only in names and order falls together."""
    for at, row in read_jsonl(path):
        check_columns(list(row), NEEDED, (), path, at)
        infos = row["answer_info"]
        unknown = [i for i in range(3) if isinstance(infos, dict) and str((infos.get(f"ans{i}") or [""])[-1]) == "unknown"]
        good = row["question_polarity"] in POLARITY and row["context_condition"] in CONDITION and row["label"] in (0, 1, 2)
        if not good or len(unknown) != 1 or not isinstance(row["additional_metadata"], dict):
            what = "polarity, condition, label or the unknown option is not that of BBQ"
            raise DataError(what, remedy="give the file as it was published", file=path, line=at)
        options = [text_field(row, f"ans{i}", path, at) for i in range(3)]
        question = f"{text_field(row, 'context', path, at)} {text_field(row, 'question', path, at)}"
        text, tags = lettered(question, options)
        target = target_of(row)
        more = [("polarity", row["question_polarity"]), ("condition", row["context_condition"]), ("unknown", LETTERS[unknown[0]])]
        more += [("category", str(row["category"])), *([("target", LETTERS[target])] if target is not None else [])]
        family = f"{row['category']}/{row['question_index']}"
        yield PublicRow("bias_choice", text, family, at, (LETTERS[row["label"]],), tuple(sorted((*tags, *more))))
