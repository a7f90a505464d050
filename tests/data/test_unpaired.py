"""Unpaired rows: read as they are meant, malformed ones named with file and line."""

import json
from pathlib import Path
from typing import Any

import pytest

from trueline.charter.turns import Message
from trueline.data.unpaired import Labelled, read_labelled
from trueline.errors import DataError


def written(tmp_path: Path, *rows: Any) -> Path:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join((r if isinstance(r, str) else json.dumps(r)) + "\n" for r in rows))
    return path


def test_strings_and_messages(tmp_path: Path) -> None:
    prompt = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Fee?"}]
    path = written(
        tmp_path,
        {"prompt": "Fee?", "completion": "2 euros.", "label": True},
        {"prompt": prompt, "completion": [{"role": "assistant", "content": "No."}], "label": False, "weight": 0.5, "source": "desk"},
        {"prompt": "Fee?", "completion": " ", "label": True},
    )
    found = read_labelled(path)
    assert found.rows == [
        Labelled((Message("user", "Fee?"),), "2 euros.", True),
        Labelled((Message("system", "Be kind."), Message("user", "Fee?")), "No.", False, 0.5, "desk"),
    ]
    assert found.left_out == ("rows.jsonl:3: an empty reply cannot be learnt from",)


GOOD = {"prompt": "Fee?", "completion": "2 euros.", "label": True}


@pytest.mark.parametrize(
    ("row", "word"),
    [
        ({**GOOD, "label": 1}, "label must be true (desirable) or false, got 1"),
        ({**GOOD, "label": "good"}, "label must be true"),
        ({**GOOD, "label": None}, "label must be true"),
        ({k: v for k, v in GOOD.items() if k != "label"}, "got nothing"),
        ({k: v for k, v in GOOD.items() if k != "prompt"}, "'prompt' is missing"),
        ({k: v for k, v in GOOD.items() if k != "completion"}, "'completion' is missing"),
        ({"prompt": "Fee?", "chosen": "a", "rejected": "b"}, "this row is a pair"),
        ({**GOOD, "completion": [{"role": "user", "content": "x"}]}, "must end with the assistant"),
        ({**GOOD, "prompt": [{"role": "assistant", "content": "x"}]}, "the prompt ends with the assistant"),
        ({**GOOD, "prompt": 3}, "rows.jsonl:2"),
        ({**GOOD, "weight": -1}, "weight must be a number of at least 0"),
        ("{", "not JSON"),
    ],
)
def test_malformed_rows_name_file_and_line(row: Any, word: str, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        read_labelled(written(tmp_path, GOOD, row))
    assert word in str(caught.value)
    assert "rows.jsonl:2: " in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_without_rows_to_learn_from(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no rows"):
        read_labelled(written(tmp_path))
    with pytest.raises(DataError, match=r"rows\.jsonl:1: an empty reply"):
        read_labelled(written(tmp_path, {**GOOD, "completion": ""}))
