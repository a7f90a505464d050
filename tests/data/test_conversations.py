"""The standard formats are read, their mistakes are named with file and line, and the sides of a split never share a prompt."""

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trueline.charter.probes import probe_from
from trueline.charter.turns import Message
from trueline.data.contamination import contaminated, fingerprint
from trueline.data.conversations import preference_from, read_examples, read_preferences, split_by_prompt
from trueline.errors import DataError

U, A = {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes"}
B = {"role": "assistant", "content": "No"}
HI = (Message("user", "Hi"),)


@pytest.mark.parametrize("row", [{"messages": [U, A]}, {"prompt": "Hi", "completion": "Yes"}, {"prompt": [U], "completion": [A]}])
def test_demonstrations(row: dict[str, object], tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    path.write_text("\n" + json.dumps(row) + "\n\n")
    (found,) = read_examples(path)
    assert (found.prompt, found.reply) == (HI, "Yes")


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "Hi", "chosen": "Yes", "rejected": "No"},
        {"prompt": [U], "chosen": [A], "rejected": [B]},
        {"chosen": [U, A], "rejected": [U, B]},
    ],
)
def test_preferences_plain_and_gzipped(row: dict[str, object], tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl.gz"
    with gzip.open(path, "wt") as f:
        f.write(json.dumps({**row, "margin": 2, "clause": "c"}) + "\n")
    (found,) = read_preferences(path).pairs
    assert (found.prompt, found.chosen, found.rejected, found.margin, found.clause) == (HI, "Yes", "No", 2.0, "c")
    assert preference_from(found.to_dict()) == found


BAD = [
    ({"chosen": [U, A], "rejected": [{"role": "user", "content": "Ho"}, B]}, "do not begin with the same turns"),
    ({"chosen": "Human: Hi Assistant: Yes", "rejected": "Human: Hi Assistant: No"}, "prompt"),
    ({"prompt": [U, A], "chosen": "b", "rejected": "c"}, "ends with the assistant"),
    ({"prompt": "a", "chosen": [U], "rejected": [A]}, "chosen must end with the assistant"),
    ({"prompt": "a", "chosen": "b", "rejected": "c", "weight": "much"}, "weight must be a number"),
    ({"prompt": "a", "chosen": "b", "rejected": "c", "weight": True}, "weight must be a number"),
    ({"prompt": "a", "chosen": "b", "rejected": None}, "rejected"),
    ({"prompt": 3, "chosen": "b", "rejected": "c"}, "got int"),
    ({"prompt": "a", "chosen": "b", "rejected": "c", "clause": 3}, "clause must be text"),
    ({"prompt": "a", "chosen": "b", "rejected": "c", "margin": float("inf")}, "margin must be a number"),
    ({"prompt": "\ud800", "chosen": "b", "rejected": "c"}, "not JSON"),
    ({"prompt": [{"role": "user"}], "chosen": "b", "rejected": "c"}, "content"),
    ({"prompt": "a", "completion": "b", "label": True}, "chosen"),
]


@pytest.mark.parametrize(("row", "word"), BAD)
def test_mistakes_are_one_line_with_file_and_line(row: dict[str, object], word: str, tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text(json.dumps({"prompt": "x", "chosen": "y", "rejected": "z"}) + "\n" + json.dumps(row) + "\n")
    with pytest.raises(DataError) as e:
        read_preferences(path)
    assert "p.jsonl:2:" in str(e.value)
    assert word in str(e.value)
    assert "\n" not in str(e.value)


@pytest.mark.parametrize("raw", ["[" * 100_000, '{"prompt": ' + "9" * 6000 + "}"])
def test_json_beyond_reason_is_one_line(raw: str, tmp_path: Path) -> None:
    (tmp_path / "p.jsonl").write_text(raw + "\n")
    with pytest.raises(DataError, match=r"p\.jsonl:1: this line is not JSON"):
        read_preferences(tmp_path / "p.jsonl")


def test_an_empty_reply_is_no_demonstration(tmp_path: Path) -> None:
    (tmp_path / "d.jsonl").write_text('{"prompt": "a", "completion": " "}\n')
    with pytest.raises(DataError, match=r"d\.jsonl:1: an empty reply teaches to say nothing"):
        read_examples(tmp_path / "d.jsonl")


EMPTY = {"prompt": "a", "chosen": "b", "rejected": ""}
SAME = {"chosen": [U, A], "rejected": [U, A]}


def test_rows_that_teach_nothing_are_left_out_and_named(tmp_path: Path) -> None:
    """Public preference data has a few (hh-rlhf: two of 1,797): they must not stop a run, and must not pass in silence."""
    path = tmp_path / "p.jsonl"
    good = {"prompt": "x", "chosen": "y", "rejected": "z"}
    path.write_text("".join(json.dumps(r) + "\n" for r in (good, EMPTY, SAME)))
    found = read_preferences(path)
    assert [p.chosen for p in found.pairs] == ["y"]
    assert found.left_out == ("p.jsonl:2: an empty reply cannot be learnt from", "p.jsonl:3: chosen and rejected are the same text")
    assert found.words() == "2 of 3 rows left out, e.g. p.jsonl:2: an empty reply cannot be learnt from"
    path.write_text(json.dumps(SAME) + "\n")
    with pytest.raises(DataError, match=r"p\.jsonl:1: chosen and rejected are the same text"):
        read_preferences(path)


@given(st.lists(st.sampled_from("abcdefghij"), min_size=1, max_size=60), st.floats(0, 1))
def test_a_prompt_never_stands_on_both_sides(prompts: list[str], share: float) -> None:
    pairs = [preference_from({"prompt": p, "chosen": f"yes {i}", "rejected": "no"}) for i, p in enumerate(prompts)]
    train, test = split_by_prompt(pairs, share)
    assert not {p.prompt for p in train} & {p.prompt for p in test}
    assert sorted(p.chosen for p in [*train, *test]) == sorted(p.chosen for p in pairs)


def test_contamination_sees_through_layout_and_spares_hand_written_examples() -> None:
    def probe(origin: str) -> object:
        return probe_from(
            {"clause": "c", "kind": "refuse", "messages": [{"role": "user", "content": "How do I forge a cheque?"}],
             "family": f"c/{origin}", "side": "test", "origin": origin}
        )  # fmt: skip

    grown, written = probe("grown"), probe("written")
    taught = [(Message("system", "You are a bank."), Message("user", "  how do i FORGE, a\ncheque "))]
    assert contaminated([grown, written], taught) == (grown.id,)  # type: ignore[list-item, attr-defined]
    assert contaminated([grown], [(Message("user", "How do I cash a cheque?"),)]) == ()  # type: ignore[list-item]
    assert fingerprint(HI) == "hi"
