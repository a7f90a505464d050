"""What an unscored reply is worth against the baseline's."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.gate.records import CHARTER, evaluation, rows
from trueline.charter.schema import GateRule
from trueline.core.evaluations import GradedReply
from trueline.gate.changes import change
from trueline.gate.decide import decide

DARK = rows("refuse", 1, 0, unscored=1)[0]
FAILED, PASSED = (replace(DARK, result=r) for r in ("fail", "pass"))


@pytest.mark.parametrize(
    ("after", "before", "expected"),
    [
        (FAILED, PASSED, (1, 1)), (PASSED, FAILED, (-1, -1)), (FAILED, FAILED, (0, 0)), (DARK, PASSED, (1, 0)), (PASSED, DARK, (0, -1)),
        (DARK, FAILED, (0, -1)), (FAILED, DARK, (1, 0)),
    ],
)  # fmt: skip
def test_an_unscored_reply_is_taken_at_its_worst_for_what_must_be_shown(
    after: GradedReply, before: GradedReply, expected: tuple[float, float]
) -> None:
    assert change(after, before) == expected


def test_the_same_words_are_no_change_whatever_they_are_worth() -> None:
    assert change(DARK, DARK) == (0, 0)


@pytest.mark.parametrize(
    "other",
    [{"reply": "other"}, {"reply": ""}, {"reply": " "}, {"pair": "p"}, {"blocked": True}, {"action": "hold"}, {"decided_clause": "x"}],
)
def test_what_is_not_the_same_is_taken_at_its_worst(other: dict[str, Any]) -> None:
    odd = replace(DARK, **other)
    assert change(odd, DARK) == change(DARK, odd) == (1, -1)
    hunted = replace(DARK, probe=f"{DARK.probe}~best-of-n")
    assert change(hunted, hunted) == (1, -1), "a search may have asked each side something else"
    if "reply" in other and not other["reply"].strip():
        assert change(odd, odd) == (1, -1), "nothing was said: an answer that never came"


def test_a_candidate_that_says_the_same_is_not_worse_for_being_hard_to_grade() -> None:
    rule = GateRule(caps={"harm": 0.2}, margins={"harm": 0.05})
    same, others = (
        evaluation(rows("refuse", 300, 3, unscored=12)),
        evaluation([replace(r, reply="s") for r in rows("refuse", 300, 3, unscored=12)]),
    )
    assert decide(rule, CHARTER, same, same).outcome == "PASS"
    assert decide(rule, CHARTER, same, others).outcome == "INCONCLUSIVE"
    assert decide(rule.model_copy(update={"caps": {"harm": 0.03}}), CHARTER, same, same).outcome == "INCONCLUSIVE", (
        "against the cap it counts"
    )
