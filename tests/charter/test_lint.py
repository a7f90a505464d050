"""Faults that only the meaning of a charter shows, and holes."""

from pathlib import Path

import pytest

from tests.charter.test_malformed import GOOD, one_line
from trueline.charter.lint import holes
from trueline.charter.parse import load_charter

VOICE = 'voice:\n  - {id: plain, rule: Short., max_words: 5, never: [kindly], examples: [{ask: "Hi?", good: "Hello there.", bad: "Good day."}]}\n'
BASE = GOOD + VOICE
SWAPS: list[tuple[str, str, list[str], int]] = [
    # what is replaced, by what, words of the error, its line
    ("version: 1.0.0", "version: 1.0", ["got float 1.0, expected text", 'version: "1.0"'], 3),
    ('expect: "15 euros"', "expect: 15", ["expected text", 'expect: "15"'], 10),
    ('expect: "15 euros"', "expect: [15]", ["expected text", 'expect: "15"'], 10),
    ("by: [adviser]", "by: adviser", ["expected a list", 'by: ["adviser"]'], 22),
    ("trueline: 1", 'trueline: "1"', ["without quotes"], 1),
    ("when: detected", "when: detectd", ["did you mean 'detected'"], 22),
    ("gate:\n  caps: {harm: 0.05}\n", "gate:\n", ["gate: got nothing, expected keys and values"], 25),
    ("rule: Never help", "rule: Never: help", ["in quotes"], 13),
    ("rule: Never help", "rule: !!python/object:os.system Never help", ["tag", "remove it"], 13),
    ("\nprinciples", "\n---\nprinciples", ["one document"], 11),
    ("{person} get", "{person} from {place} get", ["{place} is no placeholder", "{person}"], 24),
    ('["a man", "a woman"]', '["a man", "A man"]', ["same person twice"], 24),
    ("groups: {gender", "profiles: [rich], groups: {gender", ["profiles have no effect"], 24),
    ("caps: {harm: 0.05}", "caps: {harm: 0.05}\n  zero_tolerance: [no-frauds]", ["no clause 'no-frauds'", "did you mean 'no-fraud'"], 27),
    ("when: detected", "when: always, on: [decide]", ["expected tool:NAME", "tool:decide"], 22),
    ("when: detected", "when: detected, on: [tool:x]", ["no effect"], 22),
    ("refuse_with: I cannot help with that.", "refuse_with: I cannot help.\n    breaks: [i cannot]", ["`breaks` takes as proof"], 15),
    ('expect: "15 euros"', 'expect: "15 euros", reply: It costs 16 euros.', ["does not contain '15 euros'"], 10),
    ('expect: "15 euros"}', 'expect: "15 euros"}\n  - {id: fee-too, ask: ["what is the fee"], expect: "16 euros"}', ["two answers"], 11),
    ("Hello there.", "Kindly be greeted.", ["'kindly', which `never` forbids"], 28),
    ("Hello there.", "Hello there, what can I do?", ["6 words, max_words is 5"], 28),
    ("Good day.", "hello there", ["the same"], 28),
    ("rule: Short.", "rule: Short., status: draft", ["nobody has accepted", "remove its `status`"], 28),
    ('examples: ["Who won?"]', "examples: [" + "[" * 300, ["opens 302 brackets"], 8),
    ("groups: {gender:", "min_impact_ratio: 0.0, groups: {gender:", ["0 has no effect", "four-fifths"], 24),
    ("groups: {gender:", "min_impact_ratio: 1.0, groups: {gender:", ["no number of pairs shows 1"], 24),
    ("caps: {harm: 0.05}", "caps: {harm: 0}", ["no number of probes can show a rate of 0", "zero_tolerance"], 26),
    ("caps: {harm: 0.05}", "caps: {harm: 1}", ["1 allows everything", "1 % is 0.01"], 26),
    ("caps: {harm: 0.05}", "caps: {harm: true}", ["got bool True, expected a number"], 26),
    ("caps: {harm: 0.05}", "caps: {harm: nan}", ["got str 'nan', expected a number"], 26),
    ("caps: {harm: 0.05}", "caps: {harm: '0.05'}", ["got str '0.05', expected a number"], 26),
    ("caps: {harm: 0.05}", "caps: {harm: 0.05}\n  margins: {harm: 0}", ["no number of probes can show"], 27),
    ("caps: {harm: 0.05}", "caps: {harm: 0.05}\n  zero_tolerance: [advice]", ["is held for a person whatever is said"], 27),
    ("by: [adviser]", "by: [adviser], approvals: true", ["got bool True, expected a whole number"], 22),
    ("by: [adviser]", "by: [adviser], approvals: 9", ["a number less than or equal to 5; mend the number"], 22),
    ("by: [adviser]", "by: [adviser], within: 99999999999d", ["nobody waits 99999999999d"], 22),
    (
        'refuse: ["How do I forge a cheque?"]',
        'refuse: ["How do I forge a cheque?", "how do I forge a cheque"]',
        ["stands twice", "other words"],
        16,
    ),
    ("name: Test assistant", 'name: "Test \\ud800"', ["text of whole characters"], 2),
]


@pytest.mark.parametrize(("old", "new", "words", "line"), SWAPS, ids=[f"{i:02d}" for i in range(len(SWAPS))])
def test_faults(old: str, new: str, words: list[str], line: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert old in BASE
    path = tmp_path / "charter.yaml"
    text = BASE.replace(old, new, 1)
    if "zero_tolerance: [advice]" in new:
        text = text.replace("when: detected, by", "when: always, on: [tool:x], by")
    path.write_text(text)
    one_line(capsys, ["check", str(path)], f"charter.yaml:{line}:", *words)


def test_the_first_fault_is_shown_and_the_others_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "charter.yaml"
    path.write_text(BASE.replace('ask: ["What is the fee?"]', "ask: []").replace('answer: ["How do I cash a cheque?"]', "answer: []"))
    one_line(capsys, ["check", str(path)], "charter.yaml:10:", "ask is empty", "(and 1 more)")


def test_holes_name_clause_and_remedy(tmp_path: Path) -> None:
    path = tmp_path / "charter.yaml"
    path.write_text(BASE.replace("    hazards: [mlcommons:non-violent-crimes]\n", "").replace('ask: "Hi?", ', ""))
    found = {(h.clause, h.what) for h in holes(load_charter(path))}
    assert ("no-fraud", "1 prompts to refuse, 1 near misses") in found
    assert ("no-fraud", "no hazard named") in found
    assert ("advice", "no hand-over sentence") in found
    assert ("plain", "no example has a question, so that no probe asks for it") in found
    assert ("cards", "neither taught with nor tested by any grown probe") in found
    assert ("gate", "no cap for scope") in found
    assert "lending" not in {clause for clause, _ in found}, "pairs come whole from the charter"
    assert all(h.remedy for h in holes(load_charter(path)))


def test_families_that_nothing_can_be_made_of_are_holes(tmp_path: Path) -> None:
    path = tmp_path / "charter.yaml"
    path.write_text(BASE)
    assert not [h for h in holes(load_charter(path)) if h.clause == "inherits"]
    lines, out, inside = BASE.splitlines(keepends=True), [], False
    for line in lines:  # the same charter without its knowledge items
        inside = line.startswith("knowledge:") or (inside and line.startswith((" ", "\n")))
        out += [] if inside else [line]
    path.write_text("".join(out))
    found = [h.what.split()[2] for h in holes(load_charter(path)) if h.clause == "inherits"]
    assert found == ["near-misses", "indirect-injection", "sycophancy", "false-premise", "paraphrases", "drift", "multi-turn"]
