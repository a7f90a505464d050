"""AI labels: both orders averaged, thoughts clamped, what is no letter unscored, the place measured, and soft rows equal to soft
cross-entropy."""

import asyncio
import json
import math
from pathlib import Path

import pytest
import torch

from trueline.algos.losses.reward import bradley_terry
from trueline.charter.compile.constitution import choice_request
from trueline.charter.parse import load_charter
from trueline.charter.shipped import charter_path
from trueline.charter.turns import Message
from trueline.core.chat import ChatRequest, ScriptedChat
from trueline.data.conversations import read_preferences
from trueline.data.jsonl import write_jsonl
from trueline.engine.loading import load_local
from trueline.engine.logprobs import choice_probabilities
from trueline.engine.tiny import tiny_model
from trueline.train.constitution.asking import Asker, Journal
from trueline.train.constitution.choosing import LETTERS, Chooser, LetterChooser, VotingChooser, letter_of
from trueline.train.constitution.estimating import labelling_cost
from trueline.train.constitution.labelling import FINAL, THINK, LabelSettings, averaged, label_pairs, position_bias, sample_pairs
from trueline.train.constitution.preferences import likelier_rows, soft_rows, undecided, written
from trueline.train.constitution.records import Choice, Label, Pair, RedTeamPrompt

PRINCIPLES = load_charter(charter_path("bundled:harbor_bank")).charter.principles
PROMPTS = [RedTeamPrompt((Message("user", f"How do I rob bank {i}?"),), PRINCIPLES[0].id) for i in range(4)]
PAIRS = [Pair(p, "No.", f"Sure {i}.") for i, p in enumerate(PROMPTS)]

PLAIN = LabelSettings()


class Fixed:
    """A chooser that gives (A) these probabilities in turn."""

    per_question = 1

    def __init__(self, first: list[float | None]) -> None:
        self.first, self.seen = first, list[tuple[Message, ...]]()

    def identity(self) -> dict[str, str]:
        return {"by": "test"}

    async def choose(self, questions: object, progress: object = None) -> list[Choice]:
        self.seen += list(questions)  # type: ignore[call-overload]
        return [Choice(p, 1) for p in self.first[: len(self.seen)]]


def labelled(chooser: Chooser, settings: LabelSettings = PLAIN, thinker: Asker | None = None, pairs: list[Pair] = PAIRS) -> list[Label]:
    return asyncio.run(label_pairs(pairs, PRINCIPLES, chooser, settings, thinker))


def test_both_orders_are_asked_and_averaged() -> None:
    # pair 0: 0.9 as (A), 0.2 to the other as (A) -> (0.9 + 0.8) / 2 = 0.85; pair 1: always the first place -> 0.5
    chooser = Fixed([0.9, 0.2, 0.7, 0.7, 0.1, 0.9, 0.5, None])
    labels = labelled(chooser)
    assert [x.p for x in labels] == [pytest.approx(0.85), pytest.approx(0.5), pytest.approx(0.1), None]
    assert chooser.seen[0] == (Message("user", choice_request(PRINCIPLES[0], PROMPTS[0].messages, "No.", "Sure 0.")),)
    assert chooser.seen[1] == (Message("user", choice_request(PRINCIPLES[0], PROMPTS[0].messages, "Sure 0.", "No.")),)
    kept = labels[0].to_dict()
    assert (kept["principle"], kept["orders"], kept["requests"]) == (
        PRINCIPLES[0].id,
        ["one is (A)", "two is (A)"],
        [q[0].content for q in chooser.seen[:2]],
    )
    assert [c["first"] for c in kept["choices"]] == [0.9, 0.2]
    bias = position_bias(labels)
    assert (bias.scored, bias.unscored) == (3, 1)
    assert bias.first_place == pytest.approx((0.9 + 0.2 + 0.7 + 0.7 + 0.1 + 0.9) / 6)
    assert bias.disagree is not None
    assert bias.disagree.estimate == pytest.approx(1 / 3)  # only pair 1 preferred the same place twice
    assert bias.sure == pytest.approx((0.7 + 0.0 + 0.8) / 3)
    assert "insufficient evidence" in position_bias(labels[3:]).words()


def test_swapping_a_pair_mirrors_its_label() -> None:
    for a, b in ((0.9, 0.2), (0.51, 0.99), (0.0, 1.0)):
        p, q = averaged(a, b, None)[1], averaged(b, a, None)[1]
        assert p is not None
        assert q is not None
        assert p + q == pytest.approx(1)


def test_thoughts_are_clamped_and_stand_before_the_choice(tmp_path: Path) -> None:
    chat = ScriptedChat(lambda r: "Because it helps.", "thinker")
    with Journal(tmp_path / "j.jsonl") as journal:
        chooser = Fixed([1.0, 0.0, 0.52, 0.5, 0.0, 1.0, 0.3, 0.4])
        labels = labelled(chooser, LabelSettings(thoughts=True), Asker(chat, journal))
    assert [(x.raw, x.p) for x in labels] == [
        (1.0, 0.6),
        (pytest.approx(0.51), pytest.approx(0.51)),
        (0.0, 0.4),
        (pytest.approx(0.45), pytest.approx(0.45)),
    ]
    assert len(chat.requests) == 8
    request = choice_request(PRINCIPLES[0], PROMPTS[0].messages, "No.", "Sure 0.")
    assert chooser.seen[0] == (Message("user", f"{request} {THINK}"), Message("assistant", "Because it helps."), Message("user", FINAL))
    assert labels[0].thoughts == ("Because it helps.", "Because it helps.")
    assert labelled(Fixed([1.0, 0.0] * 4))[0].p == 1.0, "without thoughts nothing is clamped"


def test_a_thought_that_did_not_come_leaves_the_pair_unscored(tmp_path: Path) -> None:
    chat = ScriptedChat(lambda r: "" if "Sure 1." in r.messages[-1].content else "Well.", "thinker")
    with Journal(tmp_path / "j.jsonl") as journal:
        labels = labelled(Fixed([0.9, 0.1, 0.8, 0.2, 0.7, 0.3]), LabelSettings(thoughts=True), Asker(chat, journal))
    assert [x.p for x in labels] == [0.6, None, 0.6, 0.6]
    assert [x.raw for x in labels] == [pytest.approx(0.9), None, pytest.approx(0.8), pytest.approx(0.7)]


@pytest.mark.parametrize(
    ("answer", "letter"),
    [("(A)", "A"), (" (B).", "B"), ("A", "A"), ("**B**", "B"), ("", None), ("(A) is worse", None), ("Both (A) and (B)", None), ("a", None), ("Answer: (A)", None), ("(C)", None)],
)  # fmt: skip
def test_letters_are_parsed_strictly(answer: str, letter: str | None) -> None:
    assert letter_of(answer) == letter


def test_votes_are_counted_and_too_few_are_unscored(tmp_path: Path) -> None:
    said = {"q1": ["(A)", "(A)", "(B)", "(A)"], "q2": ["hm", "(B)", "I say (A)", "(B)"], "q3": ["", "x", "(A)", "y"]}
    given = {q: iter(answers) for q, answers in said.items()}
    chat = ScriptedChat(lambda r: next(given[r.messages[-1].content]), "voter")
    with Journal(tmp_path / "j.jsonl") as journal:
        chooser = VotingChooser(Asker(chat, journal), votes=4)
        questions = [(Message("user", q),) for q in said]
        found = asyncio.run(chooser.choose(questions))
        assert found == [Choice(0.75, 4, 0), Choice(0.0, 2, 2), Choice(None, 1, 3)]
        assert asyncio.run(chooser.choose(questions)) == found
    assert len(chat.requests) == 12, "the second time all came from the journal"
    assert len({r.sampling.seed for r in chat.requests}) == 12


def test_a_local_model_is_read_by_its_letters(tmp_path: Path) -> None:
    local = load_local(tiny_model("llama", tmp_path / "m"), device="cpu")
    questions = [(Message("user", f"(A) {i}\n(B) {'x' * i}\nWhich?"),) for i in range(5)]
    with Journal(tmp_path / "j.jsonl") as journal:
        found = asyncio.run(LetterChooser(local, journal).choose(questions))
        written_then = journal.written
    for question, choice in zip(questions, found, strict=True):
        assert choice.first == pytest.approx(choice_probabilities(local, question, LETTERS)[0], abs=1e-5)
    with Journal(tmp_path / "j.jsonl") as journal:
        assert asyncio.run(LetterChooser(local, journal).choose(questions)) == found
        assert (written_then, journal.written) == (5, 0)
        long = (Message("user", "word " * 2 * local.context),)
        assert asyncio.run(LetterChooser(local, journal).choose([long])) == [Choice(None, 0)]


@pytest.mark.parametrize(("thoughts", "votes", "pairs"), [(False, 1, 1), (True, 3, 2)])
def test_the_estimate_is_what_is_asked(thoughts: bool, votes: int, pairs: int, tmp_path: Path) -> None:
    count = 0

    def answer(request: ChatRequest) -> str:
        nonlocal count
        count += 1
        return f"r {count}"  # never twice the same reply

    settings = LabelSettings(pairs=pairs, own=0.0, tokens=2, thoughts=thoughts, think_tokens=2)
    writer, critic = ScriptedChat(answer, "writer"), ScriptedChat(answer, "critic")
    with Journal(tmp_path / "j.jsonl") as journal:
        voter = Asker(critic, journal)
        sampled = asyncio.run(sample_pairs({"w": Asker(writer, journal)}, PROMPTS, settings))
        labelled(VotingChooser(voter, votes=votes, tokens=2), settings, voter if thoughts else None, list(sampled.pairs))
    cost = labelling_cost(PROMPTS, PRINCIPLES, settings, votes, 2, lambda t: len(t.split()))
    assert (cost.writer, cost.critic) == (len(writer.requests), len(critic.requests))
    asked = [*writer.requests, *critic.requests]
    assert sum(len(m.content.split()) for r in asked for m in r.messages) <= cost.input_tokens
    assert cost.output_tokens == 2 * len(asked)


def test_pairs_of_one_reply_or_none_are_counted(tmp_path: Path) -> None:
    texts = iter(["same", "same", "a", "", "b", "c", "d", "e"])
    with Journal(tmp_path / "j.jsonl") as journal:
        writers = {"w": Asker(ScriptedChat(lambda r: next(texts)), journal)}
        found = asyncio.run(sample_pairs(writers, PROMPTS, LabelSettings(concurrency=1)))
    assert [(p.one, p.two) for p in found.pairs] == [("b", "c"), ("d", "e")]
    assert (found.same, found.empty) == (1, 1)
    assert {p.writers for p in found.pairs} == {("w", "w")}


def test_of_two_models_each_pair_has_one_reply_of_each(tmp_path: Path) -> None:
    kind, blunt = (ScriptedChat(lambda r, n=name: f"{n} {r.sampling.seed}", name) for name in ("kind", "blunt"))
    with Journal(tmp_path / "j.jsonl") as journal:
        writers = {"kind": Asker(kind, journal), "blunt": Asker(blunt, journal)}
        found = asyncio.run(sample_pairs(writers, PROMPTS, LabelSettings(pairs=3)))
    assert len(found.pairs) == 12
    assert all(p.writers == ("kind", "blunt") and p.one.startswith("kind ") and p.two.startswith("blunt ") for p in found.pairs)
    assert len({p.one for p in found.pairs}) == 12, "every pair has a draw of its own"
    label = Label(found.pairs[0], "x", True, ("", ""), ("", ""), (Choice(1.0, 1), Choice(0.0, 1)), 1.0, 1.0)
    assert label.to_dict()["writers"] == ["kind", "blunt"]


def test_two_weighted_rows_are_the_soft_cross_entropy(tmp_path: Path) -> None:
    labels = labelled(Fixed([0.9, 0.2, 0.5, 0.5, 0.0, 1.0, 0.5, None]))
    rows = list(soft_rows(labels, "Be kind."))
    assert [(p.chosen, round(w, 6)) for p, w in rows] == [
        ("No.", 0.85),
        ("Sure 0.", 0.15),
        ("No.", 0.5),
        ("Sure 1.", 0.5),
        ("Sure 2.", 1.0),
    ]
    assert all(p.prompt[0] == Message("system", "Be kind.") and p.weight == w and p.clause == PRINCIPLES[0].id for p, w in rows)
    z = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    loss = sum(p.weight * bradley_terry(z if p.chosen == "No." else -z, torch.zeros_like(z), torch.zeros_like(z)) for p, _ in rows[:2])
    by_hand = -0.85 * math.log(1 / (1 + math.exp(-0.7))) - 0.15 * math.log(1 / (1 + math.exp(0.7)))
    assert float(loss.detach()) == pytest.approx(by_hand, abs=1e-9)
    (gradient,) = torch.autograd.grad(loss, z)
    assert float(gradient) == pytest.approx(1 / (1 + math.exp(-0.7)) - 0.85)  # zero at logit 0.85, where one row of weight 0.7 has none
    write_jsonl(tmp_path / "p.jsonl", written(rows))
    assert read_preferences(tmp_path / "p.jsonl").pairs == [p for p, _ in rows]
    assert json.loads((tmp_path / "p.jsonl").read_text().splitlines()[1])["label"] == pytest.approx(0.15)
    assert [(p.chosen, round(p.weight, 6)) for p in likelier_rows(labels)] == [("No.", 0.7), ("Sure 2.", 1.0)]
    assert [undecided(x, 0.1) for x in labels] == [False, True, False, False], "what is unscored is not undecided"
    assert len(list(soft_rows(labels, least=0.1))) == 3
    assert len(likelier_rows(labels, least=0.8)) == 1
