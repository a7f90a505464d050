"""An evaluation written and read is the same; a damaged one is named with file and line."""

import json
from pathlib import Path

import pytest

from trueline.core.evaluations import Evaluation, GradedReply
from trueline.data.evaluations import read_evaluation, write_evaluation
from trueline.errors import DataError


def sample() -> Evaluation:
    row = GradedReply("p", "c", "refuse", "harm", "f", "written", 0, "no", "pass", "refused", grader="exact")
    return Evaluation("t", {"w": 1}, "c" * 64, "s" * 64, {"t": 0}, {"exact": {}}, (row,), "2026-01-01", 1.0)


def test_goes_round(tmp_path: Path) -> None:
    write_evaluation(tmp_path, sample())
    assert read_evaluation(tmp_path) == sample()


def test_damage_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no evaluation here"):
        read_evaluation(tmp_path)
    write_evaluation(tmp_path, sample())
    replies = tmp_path / "replies.jsonl"
    good = replies.read_text()
    replies.write_text(good + "{broken\n")
    with pytest.raises(DataError, match=r"replies\.jsonl:2: "):
        read_evaluation(tmp_path)
    replies.write_text(good + good)
    with pytest.raises(DataError, match=r"replies\.jsonl:2: the reply to p \(sample 0\) stands twice"):
        read_evaluation(tmp_path)
    replies.write_text(good.replace('"pass"', '"perhaps"'))
    with pytest.raises(DataError, match="perhaps"):
        read_evaluation(tmp_path)
    (tmp_path / "evaluation.json").write_text(json.dumps({"trueline_evaluation": 2}))
    with pytest.raises(DataError, match="version 1"):
        read_evaluation(tmp_path)
