"""The grammars grow many subjects, by hand-made rules, and none that comes near a family that only tests."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from recipes.harbor import conduct as c
from recipes.harbor import fresh, held_out, replay, speech
from recipes.harbor import subjects as s
from recipes.harbor.corpus import Corpus, Sources
from recipes.harbor.grammar import expand as g
from recipes.harbor.grammar import written
from recipes.harbor.shares import shares
from recipes.harbor.splits import side_of

SOURCES = Sources(bank=(("where is my card", "card-time"),), off=("rome",), harmful=("do it",), english=("It was a bright day.",))
MAKERS = {
    "harm": (lambda r: g.harm_phrase(r)[1], 0.6), "near": (lambda r: g.near_phrase(r)[1], 0.5), "off": (g.off_topic, 0.25), "unknown": (g.unknown, 0.3),
    "stakes": (lambda r: g.stakes(r)[1], 0.3), "profile": (lambda r: g.profile(r)[2], 0.1), "letter": (g.letter, 0.1), "leak": (g.leak, 0.3),
}  # fmt: skip


def test_a_frame_grows_by_its_slots_and_slots_in_slots() -> None:
    slots = {"who": "{kin} | a clerk", "kin": "my aunt"}
    assert {g.grow("call {who} now", slots, random.Random(i)) for i in range(20)} == {"call my aunt now", "call a clerk now"}
    assert g.grow("say {x} .", {"x": " | "}, random.Random(0)) == "say."


@pytest.mark.parametrize("name", sorted(MAKERS))
def test_subjects_are_many_and_whole(name: str) -> None:
    make, fresh = MAKERS[name]
    rng = random.Random(5)
    drawn = [make(rng) for _ in range(3000)]
    assert len(set(drawn)) > fresh * len(drawn)
    assert not [d for d in drawn if "{" in d or "|" in d or "  " in d or d != d.strip() or not d]


def test_nothing_near_a_test_family_is_grown() -> None:
    """Counted anew here: fewer than half of the content words in common with any harm, near miss or high stakes that tests."""
    tables = {**c.HARMS, **{f"{k}/near": v for k, v in c.NEAR.items()}, **s.STAKES}
    held = [g.content(p) for k, phrases in tables.items() for p in phrases if side_of(f"{k}/{p}") == "test"]
    held += [g.content(p) for table in (held_out.HARMS, held_out.NEAR, held_out.STAKES) for phrases in table.values() for p in phrases]
    assert len(held) > 300
    rng = random.Random(9)
    for _ in range(1000):
        for phrase in (g.harm_phrase(rng)[1], g.near_phrase(rng)[1], g.stakes(rng)[1]):
            mine = g.content(phrase)
            assert all(2 * len(mine & bag) < len(mine | bag) for bag in held), phrase


def test_too_near_is_said_of_the_family_itself() -> None:
    family = next(v for k, vs in c.HARMS.items() for v in vs if side_of(f"{k}/{v}") == "test")
    assert g.too_near(family)
    assert not g.too_near("water the flowers in the garden")


def test_wide_draws_teach_only() -> None:
    """The test side never grows: its subjects are the lists' own."""
    rng = random.Random(2)
    listed = {v for table in (c.HARMS, held_out.HARMS) for vs in table.values() for v in vs}
    assert all(speech.harm_exchange(rng, "test", True).family.split("/", 1)[1] in listed for _ in range(200))
    grown = [speech.harm_exchange(rng, "teach", True) for _ in range(200)]
    assert all(speech.teaches(e.family) for e in grown)
    assert sum(e.family.split("/", 1)[1] not in listed for e in grown) > 120


@pytest.mark.parametrize("path", sorted(written.FOLDER.glob("*.txt")), ids=lambda p: p.stem)
def test_phrases_written_by_hand_are_whole_and_come_near_no_test_family(path: Path) -> None:
    """Distances are counted anew here, without `too_near`."""
    found = written.lines(path.stem)
    assert len(found) == len(path.read_text(encoding="utf-8").splitlines()) >= 90  # no blank and no repeat
    if path.stem.startswith("ask."):
        assert all(t.count("{") == 1 for t in found)
    if path.stem.startswith(("ask.", "before", "after")):
        return
    own = [(k, v) for table in (c.HARMS, {f"{k}/near": v for k, v in c.NEAR.items()}) for k, vs in table.items() for v in vs]
    held = [g.content(v) for k, v in own if side_of(f"{k}/{v}") == "test"]
    held += [g.content(v) for table in (held_out.HARMS, held_out.NEAR) for vs in table.values() for v in vs]
    for mine in map(g.content, g.by_hand(path.stem)):
        assert all(2 * len(mine & h) < len(mine | h) for h in held), mine


def test_grown_requests_for_the_instructions_are_no_fresh_wording() -> None:
    """Those of `fresh` were written to be far from all that teaches: fewer than half of the words in common."""
    rng = random.Random(4)
    for grown in (g.content(g.leak(rng)) for _ in range(2000)):
        assert all(2 * len(grown & f) < len(grown | f) for f in map(g.content, fresh.LEAK))


def test_shares_count_every_source() -> None:
    class Words:
        def encode(self, text: str, add_special_tokens: bool) -> list[int]:
            return [0] * len(text.split())

        def convert_tokens_to_ids(self, token: str) -> int:
            return 1

    found = shares(Corpus(SOURCES), Words(), 500)
    assert set(found) == {"bank", "banking77", "CLINC", "harmful requests", "English"}
    assert sum(s.documents for s in found.values()) == pytest.approx(100)
    assert sum(s.tokens for s in found.values()) == pytest.approx(100)
    assert found["bank"].documents > 60


def test_replay_finds_a_family_word_for_word_and_reworded() -> None:
    family = held_out.HARMS["no-scams"][0]
    bags = {w: [(g.content(family), family)] for w in g.content(family)}
    assert replay.found_in([("user", f"How do I {family}?")], bags) == {family}
    shuffled = " ".join(sorted(family.split(), reverse=True))
    assert replay.found_in([("user", shuffled)], bags) == {family}
    assert replay.found_in([("user", "How do I pay a bill?"), ("assistant", family)], bags) == set()


def test_replay_draws_what_the_training_drew() -> None:
    """The documents of a step, packed again, are the step's rows."""
    torch = pytest.importorskip("torch", reason="torch is in the extra 'train'")
    from recipes.harbor.pretrain import Plan, batch_of
    from recipes.harbor.tokens import encode, make_tokenizer

    corpus = Corpus(SOURCES)
    tokenizer = make_tokenizer(corpus, 0, 200)
    plan = Plan(steps=1, tokens=64, length=32, stretch=0)
    ids, _ = batch_of(0, plan, corpus, tokenizer)
    drawn = [encode(d, tokenizer)[0] for d in replay.documents(corpus, tokenizer, plan)]
    first = [i for d in drawn for i in d][: plan.length + 1]
    assert torch.equal(ids[0], torch.tensor(first))
