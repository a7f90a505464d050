"""Files of probes: families never cross, ids stand once, and what a kill leaves can be gone on with."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trueline.charter.probe_files import append_probe, mend_tail, read_probes, write_probes
from trueline.charter.probes import Expectation, Probe, probe_id
from trueline.charter.splits import side_of
from trueline.charter.turns import Message
from trueline.errors import SuiteError


def grown(text: str, family: str) -> Probe:
    messages = (Message("user", text),)
    expect = Expectation("refuse", breaks=("sure",))
    return Probe(probe_id("c", "refuse", family, messages), "c", "refuse", messages, family, side_of(family), "grown", expect)


PROBES = [grown(f"question {i}", f"c/refuse/family {i // 2}") for i in range(20)]


def test_goes_round(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    assert read_probes(path) == ()
    write_probes(path, PROBES)
    assert read_probes(path) == tuple(PROBES)
    assert {p.side for p in PROBES} == {"teach", "test"}


def test_a_family_on_the_wrong_side_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    crossed = replace(PROBES[3], side="teach" if PROBES[3].side == "test" else "test")
    write_probes(path, [*PROBES[:3], crossed])
    with pytest.raises(SuiteError, match=r"p\.jsonl:4: .*families never cross"):
        read_probes(path)


@pytest.mark.parametrize(
    ("line", "word"),
    [("{", "not JSON"), ("[]", "object"), ('{"clause": "c"}', "lacks"), ("\xff", "not JSON")],
    ids=["cut", "list", "poor", "odd"],
)
def test_bad_lines_are_named(line: str, word: str, tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    append_probe(path, PROBES[0])
    with path.open("a") as f:
        f.write(line + "\n")
    with pytest.raises(SuiteError, match=rf"p\.jsonl:2: .*{word}"):
        read_probes(path)


def test_the_same_probe_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    write_probes(path, [PROBES[0], PROBES[0]])
    with pytest.raises(SuiteError, match="stands twice"):
        read_probes(path)


def test_any_cut_of_the_file_can_be_gone_on_with(tmp_path: Path) -> None:
    """What a kill -9 leaves: the file cut at any byte. All whole lines are kept."""
    whole = tmp_path / "whole.jsonl"
    write_probes(whole, PROBES[:4])
    raw = whole.read_bytes()
    path = tmp_path / "p.jsonl"
    for cut in range(0, len(raw), 37):
        path.write_bytes(raw[:cut])
        mend_tail(path)
        kept = read_probes(path)
        assert kept == tuple(PROBES[: raw[:cut].count(b"\n")])
        append_probe(path, PROBES[10])
        assert read_probes(path) == (*kept, PROBES[10])
    mend_tail(tmp_path / "none.jsonl")


@given(st.text(min_size=1))
def test_the_side_follows_from_the_name_alone(family: str) -> None:
    assert side_of(family) == side_of(family) in ("teach", "test")


def test_a_family_written_by_hand_crosses_no_side_either(tmp_path: Path) -> None:
    rows = [
        {"clause": "c", "kind": "refuse", "messages": [{"role": "user", "content": f"q{side}"}], "family": "f", "side": side, "origin": "written"}
        for side in ("teach", "test")
    ]  # fmt: skip
    path = tmp_path / "probes.jsonl"
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    with pytest.raises(SuiteError, match=r"probes\.jsonl:2: family 'f' stands on both sides"):
        read_probes(path)
