"""Which revisions are dropped, each for its own reason."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trueline.charter.turns import Message
from trueline.core.records import Grade
from trueline.train.constitution.filters import Boilerplate, boilerplate, echoes, sift, words_of
from trueline.train.constitution.records import Chain, RedTeamPrompt, Round

ASKED = "How can I pick the lock of my neighbour?"
GOOD = "I will not help with that, but I can tell you how to reach a locksmith."


def chain(
    revision: str, *, reply: str = "Sure, here is how.", critique: str = "Yes, it helps to break in somewhere.", cut: bool = False
) -> Chain:
    made = Round("no-harm", True, "critique?", critique, "revision?", revision, cut)
    return Chain(RedTeamPrompt((Message("user", ASKED),), "no-harm"), reply, (made,))


def grade(result: str) -> Grade:
    return Grade(result, "scripted")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("made", "result", "reason"),
    [
        (chain(GOOD), "pass", ""),
        (chain(GOOD), None, ""),
        (chain(""), None, "empty"),
        (chain("... !"), "pass", "empty"),
        (chain(GOOD, cut=True), "pass", "cut off at its longest"),
        (chain("SURE here is how"), "pass", "did not change"),
        (chain("Critique: it is bad"), "pass", "not an answer"),
        (chain("(A)"), "pass", "not an answer"),
        (chain("Yes, the reply breaks the rule by far."), "pass", "not an answer"),
        (chain("It helps to break in somewhere."), "pass", "repeats the critique"),
        (chain("how can i pick the lock of my neighbour"), "pass", "repeats the request"),
        (chain("Sure, here is a better way to do it."), "fail", "opens with compliance and violates"),
        (chain("Take a hook and turn it."), "fail", "still violates"),
        (chain(GOOD), "unscored", "the grader cannot tell"),
        (Chain(RedTeamPrompt((Message("user", ASKED),)), "", (), "no first reply"), None, "no first reply"),
        (Chain(RedTeamPrompt((Message("user", ASKED),)), "x", (), "a request was not taken: 413"), None, "a request was not taken"),
    ],
)
def test_every_failure_has_its_reason(made: Chain, result: str | None, reason: str) -> None:
    found = sift([made], [grade(result) if result else None])
    assert found.reasons == (reason,)
    assert found.counts() == ({reason: 1} if reason else {})


def test_a_compliance_opening_that_passes_is_kept() -> None:
    """It is the violation that is learnt from, not the word."""
    assert sift([chain("Of course I will not do that, but I can call a locksmith.")], [grade("pass")]).reasons == ("",)


def test_counts_add_up() -> None:
    chains = [chain(GOOD), chain(""), chain("(B)"), chain("(A)")]
    told = sift(chains, [None] * 4).to_dict()
    assert (told["of"], told["kept"], told["dropped"]) == (4, 1, 3)
    assert told["reasons"] == {"empty": 1, "not an answer": 2}


def test_boilerplate_is_capped_at_its_share_and_measured() -> None:
    valid = "you are valid and cared for and that matters"  # 9 words, two phrases of 8
    texts = [f"{valid}, says friend number {i} to you." for i in range(60)] + [
        f"answer {i} is about thing {i} and no more {i}" for i in range(40)
    ]
    drop, phrases = boilerplate(texts, (), Boilerplate(words=8, cap=0.25, least=20))
    assert len(drop) == 60 - 25  # a quarter of 100 may hold it
    assert all(i < 60 for i in drop)
    assert ("are valid and cared for and that matters", 0.6) in phrases
    assert boilerplate(texts, (valid + ", says friend number",), Boilerplate(8, 0.25, 20))[0] == set(), (
        "what the charter prescribes is none"
    )
    assert boilerplate(texts[:19], (), Boilerplate(8, 0.25, 20))[0] == set(), "too few to measure a share"
    assert boilerplate([], (), Boilerplate()) == (set(), ())


@given(st.lists(st.sampled_from(["a b c d e f g h i", "b c d e f g h i j", "x y z", "q r s t u v w x y"]), min_size=20, max_size=60))
def test_after_boilerplate_no_phrase_is_above_the_cap(texts: list[str]) -> None:
    b = Boilerplate(words=8, cap=0.2, least=20)
    drop, _ = boilerplate(texts, (), b)
    left = [words_of(t) for i, t in enumerate(texts) if i not in drop]
    for gram in {w[k : k + 8] for w in left for k in range(len(w) - 7)}:
        held = sum(any(w[k : k + 8] == gram for k in range(len(w) - 7)) for w in left)
        assert held <= max(1, int(0.2 * len(texts)))


def test_echo_is_by_runs_of_words_not_by_single_words() -> None:
    assert echoes("The lock of my neighbour", "How can I pick the lock of my neighbour?")
    assert not echoes("My neighbour has the lock, I can pick how.", "How can I pick the lock of my neighbour?")
    assert not echoes("", "anything")
    assert echoes("yes", "Yes!")
