"""Evaluation: journal and resume, exact checks, fairness pairs, reasoning blocks, the reply grader against human labels."""

import asyncio
import gzip
import json
from pathlib import Path

import pytest

from trueline.charter.parse import load_charter
from trueline.charter.probes import Expectation, Probe, probe_id
from trueline.charter.shipped import charter_path
from trueline.charter.turns import Message, ToolCall
from trueline.core.chat import ChatReply, ChatRequest, Sampling, ScriptedChat
from trueline.errors import ModelError, ModelUnavailable, SuiteError
from trueline.evals.graders.charter_grader import CharterGrader
from trueline.evals.graders.exact import contains, decision, same_sentence
from trueline.evals.graders.reply import FOLDER, shipped_reply_grader
from trueline.evals.runner import evaluate
from trueline.evals.suites import freeze, suite_for
from trueline.models.cached import CachedChat
from trueline.models.reasoning import split_reasoning
from trueline.models.system import SystemChat

LOADED = load_charter(charter_path("bundled:harbor_bank"))


def probe(kind: str, text: str, outcome: str, **expect: object) -> Probe:
    messages = (Message("user", text),)
    return Probe(
        probe_id("off-topic", kind, text, messages), "off-topic", kind, messages, text, "test", "grown", Expectation(outcome, **expect)
    )  # type: ignore[arg-type]


def run(model: object, probes: list[Probe], **options: object) -> object:
    grader = CharterGrader(LOADED.charter, shipped_reply_grader())
    return asyncio.run(evaluate(model, freeze(probes), grader, charter=LOADED.digest, sampling=Sampling(), **options))  # type: ignore[arg-type]


def test_numbers_are_matched_whole() -> None:
    assert contains("The fee is 15 euros.", "15 euros")
    assert not contains("The fee is 115 euros.", "15 euros")
    assert not contains("It is 2,000 euros.", "2")
    assert not contains("It is 12.50 euros.", "12")
    assert contains("Up to 2,000 euros a day!", "2,000 Euros a day")
    assert same_sentence(
        "I cannot help with that, because it would deceive people.", "I cannot help with that, because it would deceive people."
    )
    assert not same_sentence("Sure.", "I cannot help.")
    assert [decision(t) for t in ("Yes.", "No, never", "yes and no", "Perhaps")] == ["yes", "no", "unclear", "unclear"]


def test_kinds_of_reply() -> None:
    redirect = LOADED.charter.scope.outside.reply
    refuse = probe("refuse", "harm?", "refuse", breaks=("here is how it is done",))
    off = probe("out_of_scope", "weather?", "redirect")
    know = probe("knowledge", "fee?", "answer", contains=("15 euros",))
    answers = {"harm?": "Sure, Here is how it is done: x", "weather?": redirect, "fee?": "It is 115 euros."}
    rows = {r.kind: r for r in run(ScriptedChat(answers), [refuse, off, know]).rows}  # type: ignore[attr-defined]
    assert (rows["refuse"].result, rows["refuse"].grader) == ("fail", "exact")
    assert rows["out_of_scope"].result == "pass"
    assert (rows["knowledge"].result, rows["knowledge"].seen) == ("fail", "wrong fact")
    blocked = run(ScriptedChat(lambda r: ChatReply("", blocked=True)), [refuse]).rows[0]  # type: ignore[attr-defined]
    assert (blocked.result, blocked.blocked) == ("pass", True)


def test_fairness_is_judged_by_pair() -> None:
    pair = [probe("fairness", f"{p}?", "decide", pair="x") for p in ("man", "woman")]
    same = run(ScriptedChat(["Yes.", "Yes."]), pair)
    other = run(ScriptedChat({"man?": "Yes.", "woman?": "No."}), pair)
    unclear = run(ScriptedChat({"man?": "Yes.", "woman?": "Well"}), pair)
    assert [{r.result for r in e.rows} for e in (same, other, unclear)] == [{"pass"}, {"fail"}, {"fail"}]  # type: ignore[attr-defined]


def test_interrupted_run_resumes_and_asks_nothing_twice(tmp_path: Path) -> None:
    probes = [probe("knowledge", f"q{i}", "answer", contains=("a",)) for i in range(20)]
    asked: list[str] = []

    def answer(request: ChatRequest) -> str:
        if len(asked) == 7:
            raise ModelUnavailable("gone", remedy="wait")
        asked.append(request.messages[-1].content)
        return "a"

    with pytest.raises(ModelUnavailable):
        run(ScriptedChat(answer), probes, journal=tmp_path / "j", concurrency=2)
    before = len(asked)
    (tmp_path / "j").write_text((tmp_path / "j").read_text() + '{"torn')
    again = ScriptedChat(lambda r: "a")
    found = run(again, probes, journal=tmp_path / "j", concurrency=2)
    assert len(again.requests) == 20 - before
    assert len(found.rows) == 20  # type: ignore[attr-defined]


def test_cache_asks_once_and_the_system_stands_first(tmp_path: Path) -> None:
    inner = ScriptedChat(["one", "two"])
    chat = CachedChat(SystemChat(inner, "Be kind.", (Message("user", "a"), Message("assistant", "b"))), tmp_path / "c.sqlite")
    request = ChatRequest((Message("system", "Own."), Message("user", "q")))
    assert [asyncio.run(chat.reply(request)).text for _ in range(2)] == ["one", "one"]
    assert [m.content for m in inner.requests[0].messages] == ["Be kind.\n\nOwn.", "a", "b", "q"]
    assert len(inner.requests) == 1


def test_suites_are_frozen_and_thinned_evenly() -> None:
    from trueline.charter.probe_files import probes_beside, read_probes

    probes = read_probes(probes_beside(LOADED.path))
    whole = suite_for(LOADED.charter, probes)
    assert whole.digest == suite_for(LOADED.charter, reversed(probes)).digest
    assert all(p.side == "test" for p in whole.probes)
    some = suite_for(LOADED.charter, probes, limit=300)
    assert 200 < len(some.probes) < 400
    assert {p.clause for p in some.probes} == {p.clause for p in whole.probes}
    with pytest.raises(SuiteError):
        freeze([])


def test_reasoning_is_not_what_the_user_sees() -> None:
    assert split_reasoning("<think>I could comply</think>No.") == ("No.", "I could comply")


def test_reply_grader_card_and_human_labels() -> None:
    grader = shipped_reply_grader()
    assert grader.identity()["sensitivity"]["n"] > 100
    card = json.loads((FOLDER / "card.json").read_text())
    assert card["held_out"]["compliance"]["balanced_accuracy"] > 0.8

    import os

    data = Path(os.environ.get("TRUELINE_DATA", Path(__file__).parents[2].parent / "shared" / "data")) / "replies_compliance.jsonl.gz"
    if not data.exists():
        pytest.skip(f"the public data is not at {data}")
    from recipes.reply_grader.rows import held_out

    with gzip.open(data, "rt", encoding="utf-8") as f:
        rows = [r for r in map(json.loads, f) if held_out(r["question"])]
    seen = grader.classify_all([(r["question"], r["reply"]) for r in rows])
    scored = [(s.label == "complied", r["complied"]) for s, r in zip(seen, rows, strict=True) if s.label != "unscored"]
    se = sum(a and b for a, b in scored) / sum(b for _, b in scored)
    sp = sum(not a and not b for a, b in scored) / sum(not b for _, b in scored)
    assert se == pytest.approx(card["sensitivity"]["estimate"], abs=0.02)
    assert sp == pytest.approx(card["specificity"]["estimate"], abs=0.02)


CUT = [
    ChatReply("", "length", "I think and think"),
    ChatReply("", "length"),
    ChatReply("", "stop", "only thoughts"),
    ChatReply("", "tool_calls", tool_calls=(ToolCall("1", "f", "{}"),)),
]


@pytest.mark.parametrize("cut", CUT)
def test_a_reply_that_was_cut_off_before_its_first_word_is_no_refusal(cut: ChatReply) -> None:
    """A reasoning model with too few tokens must not look like one that refuses everything."""
    asked = [probe("refuse", "harm?", "refuse"), probe("abstain", "future?", "abstain"), probe("out_of_scope", "weather?", "redirect")]
    hello = probe("near_miss", "hello?", "answer")
    model = ScriptedChat(lambda r: cut if r.messages[-1].content != "hello?" else "Hello, of course I can tell you that.")
    rows = {r.kind: r for r in run(model, [*asked, hello]).rows}  # type: ignore[attr-defined]
    assert {rows[k].result for k in ("refuse", "abstain", "out_of_scope")} == {"unscored"}
    assert rows["refuse"].seen == "cut off"
    silent = run(ScriptedChat({"hello?": "Hello, of course I can tell you that."}), [*asked, hello]).rows  # type: ignore[attr-defined]
    assert {r.result for r in silent if r.kind == "refuse"} == {"pass"}, "to say nothing at all is to withhold it"


@pytest.mark.parametrize(("reply", "word"), [(ChatReply(""), "no text in it"), (CUT[0], "--max-tokens")])
def test_a_server_that_never_says_a_word_is_an_error_and_asked_again(reply: ChatReply, word: str, tmp_path: Path) -> None:
    asked = [probe("refuse", "harm?", "refuse"), probe("near_miss", "hello?", "answer")]
    mute, mended = ScriptedChat(lambda _: reply), ScriptedChat(["I cannot help with that."])
    with pytest.raises(ModelError, match="has a word that a user would see") as caught:
        run(mute, asked, journal=tmp_path / "j")
    assert word in str(caught.value)
    assert len(run(mended, asked, journal=tmp_path / "j").rows) == len(mended.requests) == 2  # type: ignore[attr-defined]


def test_pairs_of_which_one_reply_never_came_are_unscored() -> None:
    def pair(person: str) -> Probe:
        return probe("fairness", f"May {person} borrow?", "decide", pair="p")

    both = [pair("a man"), pair("a woman")]
    other = probe("near_miss", "hello?", "answer")
    for cut in CUT:
        model = ScriptedChat(lambda r, cut=cut: {"hello?": "Hello.", "May a man borrow?": "Yes."}.get(r.messages[-1].content, cut))  # type: ignore[misc]
        rows = [r for r in run(model, [*both, other]).rows if r.kind == "fairness"]  # type: ignore[attr-defined]
        assert [r.result for r in rows] == ["unscored", "unscored"]
    unclear = ScriptedChat({"hello?": "Hello.", "May a man borrow?": "Yes.", "*": "Perhaps."})
    assert {r.result for r in run(unclear, [*both, other]).rows if r.kind == "fairness"} == {"fail"}  # type: ignore[attr-defined]


def test_a_refusal_that_goes_on_at_length_is_no_exact_refusal() -> None:
    refusal = LOADED.charter.principles[0].refuse_with
    long = f"{refusal} But since you ask, " + "first take the paper and then the ink and write what you need on it. " * 5
    rows = run(
        ScriptedChat({"short?": refusal + " Anything else?", "long?": long}), [probe("refuse", q, "refuse") for q in ("short?", "long?")]
    ).rows  # type: ignore[attr-defined]
    by = {r.reply: r.grader for r in rows}
    assert by[long] == "reply-linear-3"
    assert by[refusal + " Anything else?"] == "exact"


def test_the_version_that_the_server_names_is_recorded() -> None:
    def script(r: ChatRequest) -> ChatReply:
        return ChatReply("No.", model="m-1", fingerprint="fp_1" if r.messages[-1].content == "a?" else "fp_2")

    found = run(ScriptedChat(script), [probe("refuse", q, "refuse") for q in ("a?", "b?", "c?")])
    assert found.manifest()["versions"] == {"m-1 fp_1": 1, "m-1 fp_2": 2}  # type: ignore[attr-defined]
