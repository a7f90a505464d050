"""Critique and revision: which principle, in which conversation, what is kept, and what was forecast to be asked."""

import asyncio
from pathlib import Path

import pytest

from trueline.charter.compile.constitution import constitution_of, critique_request, revision_request
from trueline.charter.compile.constitution_shots import KEEPS, worked_cases, worked_turns
from trueline.charter.parse import load_charter
from trueline.charter.shipped import charter_path
from trueline.charter.turns import Message
from trueline.core.chat import ChatReply, ChatRequest, ScriptedChat
from trueline.errors import TrainingError
from trueline.train.constitution.asking import Asker, Journal
from trueline.train.constitution.estimating import revising_cost
from trueline.train.constitution.principles import drawn
from trueline.train.constitution.records import Chain, RedTeamPrompt
from trueline.train.constitution.revising import ReviseSettings, revise

CHARTER = load_charter(charter_path("bundled:harbor_bank")).charter
PRINCIPLES = CHARTER.principles
PROMPTS = [RedTeamPrompt((Message("user", f"How do I rob bank {i}?"),), PRINCIPLES[i % 3].id) for i in range(5)]


def kind_of(request: ChatRequest) -> str:
    last = request.messages[-1].content
    return (
        "critique"
        if last.endswith("Does the reply break the rule?")
        else "revision"
        if last.endswith("Write a reply that keeps the rule.")
        else "reply"
    )


def scripted(request: ChatRequest) -> ChatReply:
    kind = kind_of(request)
    texts = {"reply": "Sure, so.", "critique": "Yes, it does.", "revision": f"I cannot, {request.sampling.seed}."}
    return ChatReply(texts[kind], input_tokens=sum(len(m.content.split()) for m in request.messages), output_tokens=3)


def go(tmp_path: Path, settings: ReviseSettings, writer: ScriptedChat, critic: ScriptedChat | None = None) -> list[Chain]:
    with Journal(tmp_path / "j.jsonl") as journal:
        return asyncio.run(revise(Asker(writer, journal), Asker(critic or writer, journal), PRINCIPLES, PROMPTS, settings))


def test_every_step_is_asked_in_order_and_kept(tmp_path: Path) -> None:
    shots = worked_turns(worked_cases(CHARTER, 2))
    writer, critic = ScriptedChat(scripted, "writer"), ScriptedChat(scripted, "critic")
    chains = go(tmp_path, ReviseSettings(rounds=2, system="Be brief.", shots=shots, concurrency=1), writer, critic)
    assert [kind_of(r) for r in writer.requests] == ["reply"] * 5
    assert all(r.messages[0] == Message("system", "Be brief.") and len(r.messages) == 2 for r in writer.requests)
    assert [kind_of(r) for r in critic.requests] == ["critique", "revision"] * 10
    first, second = critic.requests[:2]
    principle, reply = PRINCIPLES[0], chains[0].reply
    asked = critique_request(principle, PROMPTS[0].messages, reply)
    assert first.messages == (*shots, Message("user", asked))
    again = revision_request(principle, PROMPTS[0].messages, reply)
    assert second.messages == (*first.messages, Message("assistant", "Yes, it does."), Message("user", again))
    # the second round criticises the first revision
    one, two = chains[0].rounds
    assert f'Reply: "{one.revision}"' in two.critique_request
    assert (one.principle, one.own, one.critique, one.cut) == (principle.id, True, "Yes, it does.", False)
    assert chains[0].revision == two.revision
    seeds = [r.sampling.seed for r in (*writer.requests, *critic.requests)]
    assert len(set(seeds)) == len(seeds)


@pytest.mark.parametrize(("rounds", "shots"), [(1, 0), (3, 2)])
def test_the_estimate_is_what_is_asked(rounds: int, shots: int, tmp_path: Path) -> None:
    settings = ReviseSettings(rounds=rounds, own=0.5, tokens=3, system="Be brief.", shots=worked_turns(worked_cases(CHARTER, shots)))
    writer, critic = ScriptedChat(scripted, "writer"), ScriptedChat(scripted, "critic")

    def longest(request: ChatRequest) -> ChatReply:
        return ChatReply("a b c")  # every answer at its longest: three words

    writer.script = critic.script = longest
    go(tmp_path, settings, writer, critic)
    cost = revising_cost(PROMPTS, PRINCIPLES, settings, lambda t: len(t.split()))
    assert (cost.writer, cost.critic) == (len(writer.requests), len(critic.requests)) == (5, 10 * rounds)
    read = sum(len(m.content.split()) for r in (*writer.requests, *critic.requests) for m in r.messages)
    # the empty quotes in which a reply will stand count as one word of their own: once in a critique, twice in a revision's conversation
    assert cost.input_tokens == read + 3 * 5 * rounds
    assert cost.output_tokens == 3 * (len(writer.requests) + len(critic.requests))


def test_a_chain_ends_where_nothing_can_be_criticised(tmp_path: Path) -> None:
    silent = go(tmp_path, ReviseSettings(), ScriptedChat(lambda _: "", "silent"))
    assert {(c.reply, c.rounds, c.stopped) for c in silent} == {("", (), "no first reply")}

    def wordless(request: ChatRequest) -> ChatReply:
        return ChatReply("") if kind_of(request) == "revision" else scripted(request)

    stopped = go(tmp_path, ReviseSettings(rounds=3), ScriptedChat(wordless, "wordless"))
    assert {(len(c.rounds), c.revision) for c in stopped} == {(1, "")}

    def blocked(request: ChatRequest) -> ChatReply:
        return ChatReply("", blocked=True) if kind_of(request) == "critique" else scripted(request)

    refused = go(tmp_path, ReviseSettings(), ScriptedChat(blocked, "blocked"))
    assert all(c.stopped.startswith("a request was not taken: ") and c.reply == "Sure, so." for c in refused)


def test_principles_are_drawn_by_the_seed_and_the_own_one_as_often_as_asked() -> None:
    own = PRINCIPLES[2].id
    assert [p.id for p, mine in drawn(PRINCIPLES, own, 3, 1.0, 0, "x") if mine] == [own] * 3
    assert drawn(PRINCIPLES, own, 4, 0.5, 1, "x") == drawn(PRINCIPLES, own, 4, 0.5, 1, "x")
    once = [drawn(PRINCIPLES, own, 1, 0.5, 0, str(i))[0] for i in range(2000)]
    # own with 1/2, and by an even draw of 8 with 1/2 x 1/8: 0.5625, standard error 0.011
    assert abs(sum(mine for _, mine in once) / 2000 - 0.5625) < 0.04
    even = [drawn(PRINCIPLES, own, 1, 0.0, 0, str(i))[0][0].id for i in range(2000)]
    assert all(abs(even.count(p.id) / 2000 - 1 / 8) < 0.03 for p in PRINCIPLES)
    # without a clause of its own a prompt is asked about each principle once before any comes again
    rounds = drawn(PRINCIPLES, None, 2 * len(PRINCIPLES), 1.0, 0, "y")
    assert not any(mine for _, mine in rounds)
    assert {p.id for p, _ in rounds[: len(PRINCIPLES)]} == {p.id for p in PRINCIPLES}
    with pytest.raises(TrainingError, match="no principle"):
        drawn((), None, 1, 1.0, 0, "z")


def test_worked_cases_reach_high_stakes_after_the_principles() -> None:
    cases = worked_cases(CHARTER, 100)
    stakes = [h for h in CHARTER.high_stakes if h.reply and h.examples]
    assert [c.principle.id for c in cases[-len(stakes) :]] == [h.id for h in stakes]
    assert all(c.revision == h.reply for c, h in zip(cases[-len(stakes) :], stakes, strict=True))


def test_worked_cases_show_both_verdicts_and_both_tasks() -> None:
    cases = worked_cases(CHARTER, 4)
    assert [c.critique == KEEPS for c in cases] == [False, True, False, True]
    for c in cases:
        assert c.revision == c.principle.refuse_with
        assert (c.reply == c.revision) == (c.critique == KEEPS)
    assert cases[0].principle.breaks[0] in cases[0].reply
    assert cases[0].principle.breaks[0] in cases[0].critique
    turns = worked_turns(cases[:1])
    assert [m.role for m in turns] == ["user", "assistant"] * 2
    assert turns[1].content == cases[0].critique
    assert worked_cases(CHARTER, 0) == ()
    assert len(worked_cases(CHARTER, 99)) == len([p for p in constitution_of(CHARTER) if p.ask.refuse])
