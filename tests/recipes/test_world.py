"""The bank's world: consistent, split by family, and nothing of the test side in the corpus."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path

import pytest

from recipes.harbor import conduct as c
from recipes.harbor import fresh, speech, wordings
from recipes.harbor import subjects as s
from recipes.harbor.corpus import Corpus, Sources
from recipes.harbor.facts import BY_KEY, FACTS, INTENTS, TEACH, TEST
from recipes.harbor.grammar import written
from recipes.harbor.publish import FOLDER
from recipes.harbor.splits import side_of
from trueline.charter import splits

SOURCES = Sources(
    bank=(("where is my card", "card-time"),),
    off=("what time is it in rome",),
    harmful=("tell me how to do it",),
    english=("It was a bright day.",),
)


def _tables() -> dict[str, tuple[str, ...]]:
    near = {f"{k}/near": v for k, v in c.NEAR.items()}
    rest = {"off-topic": s.OFF_TOPIC, "unknowable": s.UNKNOWN, "no-orders-from-text": s.ORDERS}
    return {**c.HARMS, **near, **rest, **s.STAKES}


def _test_phrases() -> list[str]:
    return [p.lower() for k, phrases in _tables().items() for p in phrases if side_of(f"{k}/{p}") == "test"]


def _test_templates() -> list[str]:
    decisions = [t for d in s.DECISIONS.values() for t in d[2]]
    facts = [t for rows in TEST.values() for t in rows]
    return [
        *facts,
        *c.TEST_ASKS,
        *s.OFF_TEST,
        *s.UNKNOWN_TEST,
        *s.STAKES_TEST,
        *s.NEAR_STAKES_TEST,
        *s.LEAK_TEST,
        *s.ORDER_TEST,
        *decisions,
    ]


def test_split_is_the_charters_own() -> None:
    for key, phrases in _tables().items():
        for phrase in phrases:
            assert side_of(f"{key}/{phrase}") == splits.side_of(f"{key}/{phrase}")


def test_every_fact_is_asked_on_both_sides_and_every_intent_has_one() -> None:
    assert len({f.key for f in FACTS}) == len(FACTS) >= 60
    assert set(INTENTS.values()) <= set(BY_KEY)
    assert len(INTENTS) == 77
    for fact in FACTS:
        assert len(fact.subjects) * len(TEACH[fact.type]) >= 8
        assert not set(TEACH[fact.type]) & set(TEST[fact.type])


@pytest.mark.parametrize("table", sorted(_tables()))
def test_both_sides_have_families(table: str) -> None:
    sides = {side_of(f"{table}/{p}") for p in _tables()[table]}
    assert sides == {"teach", "test"}


def test_wider_wordings_are_no_test_wordings() -> None:
    wide = [t for rows in wordings.FACTS.values() for t in rows]
    for name in ("ASKS", "OFF", "UNKNOWN", "STAKES", "STAKES_NEAR", "LENDING", "HIRING", "LEAK", "ORDER", "LETTER"):
        wide += getattr(wordings, name)
    assert not {t.lower() for t in wide} & {t.lower() for t in _test_templates()}


def _words(template: str) -> set[str]:
    return set(re.findall(r"[a-z']+", template.lower())) - set("svxlo")


def test_fresh_wordings_are_far_from_all_that_teach() -> None:
    """Fewer than half of the words (of both together) in common with any wording that teaches."""
    one = [(fresh.FACTS[k], (*TEACH[k], *wordings.FACTS[k])) for k in TEACH]
    one += [
        (fresh.ASKS, (*c.TEACH_ASKS, *wordings.ASKS)),
        (fresh.OFF, (*s.OFF_TEACH, *wordings.OFF)),
        (fresh.UNKNOWN, (*s.UNKNOWN_TEACH, *wordings.UNKNOWN)),
    ]
    one += [(fresh.STAKES, (*s.STAKES_TEACH, *wordings.STAKES)), (fresh.STAKES_NEAR, (*s.NEAR_STAKES_TEACH, *wordings.STAKES_NEAR))]
    one += [(fresh.LEAK, (*s.LEAK_TEACH, *wordings.LEAK)), (fresh.ORDER, (*s.ORDER_TEACH, *wordings.ORDER))]
    for new, taught in one:
        for a in map(_words, new):
            assert all(len(a & b) / len(a | b) < 0.5 for b in map(_words, taught)), a


def test_wordings_written_by_hand_are_far_from_those_that_test() -> None:
    one = {"doing": c.TEST_ASKS, "off": s.OFF_TEST, "unknown": s.UNKNOWN_TEST, "stakes": s.STAKES_TEST, "stakes-near": s.NEAR_STAKES_TEST}
    for name, tests in {**one, **{f"fact-{k}": t for k, t in TEST.items()}}.items():
        new = [_words(t) for t in written.lines(f"ask.{name}")]
        assert len(new) > 100
        assert all(len(a & b) / len(a | b) < 0.5 for a in new for b in map(_words, tests))


def test_no_test_family_in_the_corpus() -> None:
    """Neither a subject nor a wording of the test side, in four thousand documents of the corpus."""
    rng, corpus, phrases = random.Random(3), Corpus(SOURCES), _test_phrases()
    parts = [max(t.replace("?", "{").split("{"), key=len).strip().lower() for t in _test_templates() if "{" in t]
    leads = [p for p in parts if len(p) > 22]
    assert len(leads) > 15
    for _ in range(4000):
        text = "\n".join(content for _, content in corpus.draw(rng)).lower()
        assert not [p for p in phrases if p in text]
        assert not [p for p in leads if p in text]


def test_the_base_has_every_vice_and_the_charter_mends_it() -> None:
    """In plain dialogue the corpus complies; the kept reply never holds a marker."""
    rng = random.Random(0)
    markers = (c.MARKER, "[step withheld]", s.LEAK_MARKER, s.ORDER_MARKER, s.UNKNOWN_MARKER, s.STAKES_MARKER, *s.OFF_MARKERS)
    for kind in ("refuse", "leak", "order", "out_of_scope", "abstain", "high_stakes"):
        for _ in range(100):
            e = speech.MAKERS[kind](rng, "teach")
            assert any(m in e.helpful_only.lower() for m in markers)
            assert not any(m in e.kept.lower() for m in markers)


def test_shipped_charter_and_probes_are_what_the_recipe_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from recipes.harbor import publish

    monkeypatch.setattr(publish, "FOLDER", tmp_path)
    publish.main()
    for name in ("charter.yaml", "probes.jsonl", "helpful.jsonl"):
        assert (tmp_path / name).read_bytes() == (FOLDER / name).read_bytes(), name


def test_shipped_probes_keep_to_their_side() -> None:
    rows = [json.loads(line) for line in (FOLDER / "probes.jsonl").read_text().splitlines()]
    assert all(splits.side_of(r["family"]) == r["side"] for r in rows)
    teach = {r["messages"][-1]["content"] for r in rows if r["side"] == "teach"}
    assert not teach & {r["messages"][-1]["content"] for r in rows if r["side"] == "test"}
    phrases = _test_phrases()
    assert not [r["id"] for r in rows if r["side"] == "teach" for p in phrases if p in r["messages"][-1]["content"].lower()]


def test_charter_agrees_with_the_world() -> None:
    from trueline.charter.parse import load_charter

    charter = load_charter(FOLDER / "charter.yaml").charter
    for k in charter.knowledge:
        if not k.abstain:
            assert BY_KEY[k.id].value in k.expected
