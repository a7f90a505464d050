"""Readers of rankings and ratings: what they take, what they leave out and count, and one line for everything broken."""

import json
from pathlib import Path
from typing import Any

import pytest

from trueline.charter.turns import Message
from trueline.data.rankings import read_rankings, read_ratings
from trueline.errors import DataError

GOOD = {"prompt": "Fee?", "completions": ["5.", "Six euros.", "No."], "ranks": [2, 1, 2], "source": "people"}
RATED = {"prompt": "Fee?", "completion": "5.", "rating": 4}


def written(path: Path, *rows: Any) -> Path:
    path.write_text("".join((r if isinstance(r, str) else json.dumps(r)) + "\n" for r in rows))
    return path


def test_rankings_of_strings_and_of_conversations(tmp_path: Path) -> None:
    talk = {
        "prompt": [{"role": "user", "content": "Fee?"}],
        "completions": [[{"role": "assistant", "content": "A."}], [{"role": "assistant", "content": "B."}]],
        "ranks": [1, 2],
        "weight": 2.5,
    }
    found = read_rankings(written(tmp_path / "r.jsonl", GOOD, talk))
    assert (found.rows[0].replies, found.rows[0].ranks, found.rows[0].source) == (("5.", "Six euros.", "No."), (2, 1, 2), "people")
    assert found.rows[1].prompt == (Message("user", "Fee?"),)
    assert (found.rows[1].replies, found.rows[1].weight) == (("A.", "B."), 2.5)


def test_what_teaches_nothing_is_left_out_and_named(tmp_path: Path) -> None:
    tied = GOOD | {"ranks": [1, 1, 1]}
    twice = GOOD | {"completions": ["5.", "5.", "No."]}
    found = read_rankings(written(tmp_path / "r.jsonl", tied, GOOD, twice))
    assert len(found.rows) == 1
    assert [x.split(": ")[0] for x in found.left_out] == ["r.jsonl:1", "r.jsonl:3"]
    assert "tied" in found.left_out[0]
    rated = read_ratings(written(tmp_path / "s.jsonl", RATED, RATED | {"completion": ""}, RATED | {"rating": 0}))
    assert [r.rating for r in rated.rows] == [4, 0]
    assert "s.jsonl:2" in rated.left_out[0]


@pytest.mark.parametrize(
    ("row", "word"),
    [
        ("not json", "not JSON"),
        ({"prompt": "a", "completions": ["b", "c"]}, "'ranks' is missing"),
        ({"prompt": "a", "ranks": [1, 2]}, "'completions' is missing"),
        (GOOD | {"prompt": ""}, "'prompt' is missing or empty"),
        (GOOD | {"ranks": [1, 2]}, "list of 3 numbers, one a completion, got 2"),
        (GOOD | {"ranks": 1}, "got int"),
        (GOOD | {"ranks": [0, 1, 2]}, "rank 1 must be a whole number of at least 1"),
        (GOOD | {"ranks": [1.5, 1, 2]}, "rank 1 must be"),
        (GOOD | {"ranks": [True, 1, 2]}, "rank 1 must be"),
        ('{"prompt": "a", "completions": ["b", "c"], "ranks": [Infinity, 1]}', "rank 1 must be"),
        (GOOD | {"completions": "5."}, "list of 2 to 64 replies, got str"),
        (GOOD | {"completions": ["5."], "ranks": [1]}, "got 1"),
        (GOOD | {"completions": [3, "a", "b"]}, "conversation must be"),
        (GOOD | {"completions": [[{"role": "user", "content": "x"}], "a", "b"]}, "completion 1 must end with the assistant"),
        (GOOD | {"prompt": [{"role": "assistant", "content": "x"}]}, "prompt ends with the assistant"),
        (GOOD | {"weight": -1}, "weight must be"),
    ],
)
def test_broken_rankings_name_file_and_line(tmp_path: Path, row: Any, word: str) -> None:
    with pytest.raises(DataError) as e:
        read_rankings(written(tmp_path / "r.jsonl", GOOD, row))
    assert "r.jsonl:2: " in str(e.value)
    assert word in str(e.value)


@pytest.mark.parametrize(
    ("rows", "word"),
    [
        ([RATED | {"rating": "good"}], ":1: rating must be a whole number"),
        ([RATED | {"rating": 2.5}], ":1: rating must be"),
        ([RATED | {"rating": -1}], ":1: rating must be"),
        ([RATED, {"prompt": "a", "rating": 3}], ":2: 'completion' is missing"),
        ([RATED, RATED], "1 different ratings, expected 2 to 101"),
        ([], "no rows"),
    ],
)
def test_broken_ratings_name_file_and_line(tmp_path: Path, rows: list[Any], word: str) -> None:
    with pytest.raises(DataError) as e:
        read_ratings(written(tmp_path / "s.jsonl", *rows))
    assert word in str(e.value)
