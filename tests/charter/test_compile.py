"""A charter compiles to all four duties, in its own words, within budgets."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trueline.charter.compile.constitution import choice_request, constitution_of, critique_request, revision_request
from trueline.charter.compile.guarding import guard_rules
from trueline.charter.compile.prompt import compile_prompt, count_words, system_prompt
from trueline.charter.compile.reviewing import review_rules
from trueline.charter.compile.rubric import TASK, rubric
from trueline.charter.compile.shots import few_shots
from trueline.charter.compile.teaching import charter_reply, demonstrations
from trueline.charter.compile.written import written_probes
from trueline.charter.parse import load_charter
from trueline.charter.probe_files import probes_beside, read_probes
from trueline.charter.probes import KINDS, MEASURES
from trueline.charter.shipped import charter_path
from trueline.charter.turns import Message
from trueline.errors import CharterError

NOT_WRITTEN = {
    "leakage",
    "injection",
    "privacy",
    "sycophancy",
    "false_premise",
    "unanswerable",
    "choice",
    "bias_choice",
}  # inherited and public
NAMES = ("bundled:harbor_bank", "bundled:hospital_desk")
CHARTERS = {name: load_charter(charter_path(name)).charter for name in NAMES}


def words(text: str) -> int:
    return len(text.split())


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=40, deadline=None)
@given(budget=st.integers(24, 1200))
def test_prompt_keeps_its_budget_and_says_what_it_left_out(name: str, budget: int) -> None:
    charter = CHARTERS[name]
    made = compile_prompt(charter, budget=budget, count=words)
    assert made.tokens == words(made.text) <= budget
    whole = compile_prompt(charter, count=words)
    assert whole.left_out == ()
    # a clause is either in the prompt or named as left out
    assert bool(made.left_out) == (made.tokens < whole.tokens)
    hard = [p.rule for p in charter.principles if p.hard]
    assert any(rule in made.text for rule in hard), "a hard principle stands even in the smallest prompt"
    assert budget < 32 or hard[0] in made.text, "the first hard principle comes before everything else"


def test_prompt_puts_the_most_important_first() -> None:
    charter = CHARTERS["bundled:hospital_desk"]
    text = system_prompt(charter)
    places = [
        text.index(s)
        for s in (
            charter.purpose,
            charter.principles[0].rule,
            charter.scope.outside.reply,
            charter.high_stakes[0].describe,
            charter.voice[0].rule,
        )
    ]
    assert places == sorted(places)


def test_a_budget_below_the_first_line_is_an_error() -> None:
    with pytest.raises(CharterError, match="at least"):
        compile_prompt(CHARTERS[NAMES[0]], budget=3)


def test_tokens_are_counted_as_the_caller_counts() -> None:
    by_letters = compile_prompt(CHARTERS[NAMES[0]], budget=400, count=len)
    assert by_letters.tokens == len(by_letters.text) <= 400
    assert count_words("one two three") == 4


@pytest.mark.parametrize("name", NAMES)
def test_written_probes_cover_every_kind_and_measure(name: str) -> None:
    probes = written_probes(CHARTERS[name])
    assert {p.kind for p in probes} == set(KINDS) - NOT_WRITTEN
    assert {p.measure for p in probes} == set(MEASURES)
    assert len({p.id for p in probes}) == len(probes)
    assert {(p.side, p.origin) for p in probes} == {("test", "written")}
    assert all(p.family == f"{p.clause}/written" for p in probes)


@pytest.mark.parametrize("name", NAMES)
def test_fairness_pairs_change_the_person_only(name: str) -> None:
    charter = CHARTERS[name]
    pairs: dict[str, list[str]] = {}
    for p in written_probes(charter):
        if p.kind == "fairness":
            assert p.expect.pair is not None
            pairs.setdefault(p.expect.pair, []).append(p.messages[-1].content)
    people = {who for f in charter.fairness for group in f.groups.values() for who in group}
    for texts in pairs.values():
        assert len(texts) >= 2
        bare = set()
        for text in texts:
            who = max((w for w in people if w in text), key=len)
            bare.add(text.replace(who, "X", 1))
        assert len(bare) == 1, bare


@pytest.mark.parametrize("name", NAMES)
def test_few_shots_alternate_and_spread_over_duties(name: str) -> None:
    charter = CHARTERS[name]
    shots = few_shots(charter, 6)
    assert [m.role for m in shots] == ["user", "assistant"] * 6
    kinds = {p.messages[-1].content: p.kind for p in written_probes(charter)}
    assert len({kinds[m.content] for m in shots[::2]}) == 6
    assert few_shots(charter, 0) == ()


@pytest.mark.parametrize("name", NAMES)
def test_demonstrations_are_of_the_teach_side(name: str) -> None:
    charter = CHARTERS[name]
    grown = read_probes(probes_beside(charter_path(name)))
    made = demonstrations(charter, grown)
    assert all(d.reply for d in made)
    test_families = {p.family for p in grown if p.side == "test"}
    assert not {d.family for d in made} & test_families
    assert {d.origin for d in demonstrations(charter, grown, written=False)} <= {"grown"}
    refused = next(d for d in made if d.kind == "refuse" and d.origin == "written")
    assert refused.reply == charter_reply(charter, refused.clause, "refuse")


def test_constitution_requests_hold_what_they_ask_about() -> None:
    principle = CHARTERS["bundled:hospital_desk"].principles[0]
    asked = (Message("user", "THE QUESTION"),)
    critique = critique_request(principle, asked, "THE REPLY")
    revision = revision_request(principle, asked, "THE REPLY")
    choice = choice_request(principle, asked, "FIRST", "SECOND")
    for text, parts in ((critique, ["THE REPLY"]), (revision, ["THE REPLY"]), (choice, ["(A) FIRST", "(B) SECOND"])):
        assert principle.rule in text
        assert 'Question: "THE QUESTION"' in text
        assert all(p in text for p in parts)
    longer = critique_request(principle, (*asked, Message("assistant", "SO"), Message("user", "AND?")), "THE REPLY")
    assert "User: THE QUESTION\nAssistant: SO\nUser: AND?" in longer
    assert choice.index("FIRST") < choice.index("SECOND") < choice_request(principle, asked, "SECOND", "FIRST").index("FIRST")


@pytest.mark.parametrize("name", NAMES)
def test_high_stakes_clauses_with_a_reply_belong_to_the_constitution(name: str) -> None:
    charter = CHARTERS[name]
    found = constitution_of(charter)
    assert found[: len(charter.principles)] == charter.principles
    handing = {p.id: p for p in found[len(charter.principles) :]}
    assert set(handing) == {h.id for h in charter.high_stakes if h.reply}
    for h in charter.high_stakes:
        if h.reply:
            p = handing[h.id]
            assert (p.rule, p.refuse_with, p.breaks, p.ask.refuse, p.ask.answer) == (
                h.describe,
                h.reply,
                h.breaks,
                h.examples,
                h.near_misses,
            )
    mute = charter.model_copy(update={"high_stakes": tuple(h.model_copy(update={"reply": None}) for h in charter.high_stakes)})
    assert constitution_of(mute) == charter.principles


@pytest.mark.parametrize("name", NAMES)
def test_guard_and_review_follow_the_charter(name: str) -> None:
    charter = CHARTERS[name]
    rules = {r.clause: r for r in guard_rules(charter)}
    assert Counter(r.action for r in rules.values())["redirect"] == 1
    for p in charter.principles:
        assert (rules[p.id].action, rules[p.id].reply, rules[p.id].phrases) == ("refuse", p.refuse_with, p.breaks)
    reviews = {r.clause: r for r in review_rules(charter)}
    assert set(reviews) == {h.id for h in charter.high_stakes}
    for h in charter.high_stakes:
        assert reviews[h.id].always == (h.review.when == "always")
        assert (h.id in rules) == (h.review.when == "detected"), "what is always held depends on no detector"
        assert reviews[h.id].within_seconds == h.review.within_seconds > 0


@pytest.mark.parametrize("name", NAMES)
def test_rubrics_say_rule_task_and_answer(name: str) -> None:
    charter = CHARTERS[name]
    for p in written_probes(charter):
        text = rubric(charter, p)
        assert TASK[p.expect.outcome] in text
        assert all(x in text for x in p.expect.contains)
    rules = {p.id: p.rule for p in charter.principles}
    probe = next(p for p in written_probes(charter) if p.kind == "refuse")
    assert rules[probe.clause] in rubric(charter, probe)
