"""Prompts: read from every standard row, each once, malformed ones named; families never stand on both sides of a split."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from trueline.charter.turns import Message
from trueline.data.prompts import Prompt, read_prompts, split_prompts
from trueline.errors import DataError


def turn(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


FEE, ANSWER, CARD = turn("user", "Fee?"), turn("assistant", "2 euros."), turn("user", "And a card?")


def written(tmp_path: Path, *rows: Any) -> Path:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join((r if isinstance(r, str) else json.dumps(r)) + "\n" for r in rows))
    return path


def test_every_standard_row_is_read(tmp_path: Path) -> None:
    tool = {"role": "tool", "content": "", "tool_call_id": "a"}
    call = {"role": "assistant", "content": "", "tool_calls": [{"id": "a", "function": {"name": "fee", "arguments": "{}"}}]}
    path = written(
        tmp_path,
        {"prompt": "Fee?", "completion": "2 euros.", "label": True, "source": "desk", "answer": 3},
        {"prompt": [turn("system", "Be kind."), FEE]},
        {"messages": [FEE, ANSWER, CARD, turn("assistant", "None.")], "source": None},
        {"messages": [FEE, ANSWER, turn("user", "Sure?")]},
        {"messages": [FEE, call, tool]},
        {"chosen": [CARD, turn("assistant", "Yes.")], "rejected": [CARD, turn("assistant", "Yes.")]},
        {"prompt": "Loan?", "chosen": "a", "rejected": "b"},
    )
    found = read_prompts(path)
    assert found.left_out == ()
    assert [[(m.role, m.content) for m in p.messages] for p in found.prompts] == [
        [("user", "Fee?")],
        [("system", "Be kind."), ("user", "Fee?")],
        [("user", "Fee?"), ("assistant", "2 euros."), ("user", "And a card?")],
        [("user", "Fee?"), ("assistant", "2 euros."), ("user", "Sure?")],
        [("user", "Fee?"), ("assistant", ""), ("tool", "")],
        [("user", "And a card?")],
        [("user", "Loan?")],
    ]
    assert [p.source for p in found.prompts] == ["desk", *[""] * 6]


def test_a_prompt_that_stood_before_is_left_out_and_counted(tmp_path: Path) -> None:
    rows = [{"prompt": "Fee?"}, {"messages": [FEE, ANSWER], "source": "x"}, {"prompt": "fee?"}, {"prompt": " \n"}]
    found = read_prompts(written(tmp_path, *rows))
    assert [p.messages[0].content for p in found.prompts] == ["Fee?", "fee?"]
    assert found.left_out == ("rows.jsonl:2: this prompt stood in the file before", "rows.jsonl:4: the user's last turn is empty")
    with gzip.open(tmp_path / "rows.jsonl.gz", "wt") as f:
        f.write(json.dumps({"prompt": "Fee?"}))
    assert len(read_prompts(tmp_path / "rows.jsonl.gz").prompts) == 1


@pytest.mark.parametrize(
    ("row", "word"),
    [
        ({"prompt": "", "text": "x"}, "'prompt' is missing or empty, got keys prompt, text"),
        ({"chosen": "a", "rejected": "b"}, "do not begin with the same turns"),
        ({"chosen": [FEE, ANSWER], "rejected": [CARD, ANSWER]}, "do not begin with the same turns"),
        ({"prompt": [FEE, ANSWER]}, "must end with the user or a tool, got assistant"),
        ({"messages": [ANSWER]}, "got nothing before the reply"),
        ({"messages": [FEE, ANSWER, ANSWER]}, "got assistant"),
        ({"prompt": [turn("system", "Be kind.")]}, "got system"),
        ({"prompt": [turn("robot", "x")]}, "unknown role"),
        ({"prompt": 3}, "a conversation must be a non-empty list"),
        ("{", "not JSON"),
    ],
)
def test_malformed_rows_name_file_and_line(row: Any, word: str, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        read_prompts(written(tmp_path, {"prompt": "Fee?"}, row))
    assert word in str(caught.value)
    assert "rows.jsonl:2: " in str(caught.value)


def test_a_file_without_prompts(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no rows; give at least one prompt"):
        read_prompts(written(tmp_path))


def test_what_grew_out_of_one_opening_stays_on_one_side() -> None:
    prompts = []
    for i in range(400):
        opening = Message("user", f"Fee {i}?")
        prompts += [
            Prompt((opening,)),
            Prompt((Message("system", f"Be kind {i % 7}."), Message("user", f"  fee {i}!"))),
            Prompt((opening, Message("assistant", "2 euros."), Message("user", "Sure?"))),
            Prompt((Message("assistant", "Hello."), opening)),
        ]
    train, test = split_prompts(prompts, 0.25)
    # 400 fair draws at 1/4: 100 expected, standard deviation 8.7; four of them
    assert abs(len(test) / 4 - 100) < 35
    assert not {p.family() for p in train} & {p.family() for p in test}
    assert all(len([p for p in test if p.family() == f]) == 4 for f in {p.family() for p in test})
    assert sorted(map(Prompt.digest, [*train, *test])) == sorted(map(Prompt.digest, prompts))
    assert split_prompts(prompts[:40], 0.25)[1] == [p for p in prompts[:40] if p in test], "a side does not depend on the others"
    assert split_prompts(prompts, 0.25) == (train, test)
    assert split_prompts(prompts, 0.25, seed=1)[1] != test
    assert split_prompts(prompts, 0.0) == (prompts, [])
    with pytest.raises(DataError, match=r"at least 0 and below 1, got 1\.0"):
        split_prompts(prompts, 1.0)


def test_prompts_without_words_are_no_single_family() -> None:
    drawings = [Prompt((Message("user", text),)) for text in ("+++", "-->", "...")]
    assert len({p.family() for p in drawings}) == 3
    assert Prompt((Message("tool", "a"),)).family() != Prompt((Message("tool", "b"),)).family()
