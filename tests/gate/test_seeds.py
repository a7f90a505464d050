"""A seed says which draw was taken: two draws of one target are comparable (A/A), and are drawn and kept apart."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from trueline.charter.schema import GateRule
from trueline.charter.turns import Message
from trueline.cli.compare_card import scorecard
from trueline.cli.measuring import evaluation_folder
from trueline.core.chat import ChatRequest, Sampling, ScriptedChat
from trueline.core.evaluations import Evaluation, GradedReply
from trueline.evals.runner import settings_of
from trueline.evals.suites import Suite
from trueline.gate.decide import decide
from trueline.gate.validity import differing
from trueline.models.cached import CachedChat

CHARTER = "c" * 64
DRAW = Sampling(temperature=1.0, max_tokens=32, seed=1)
ROWS = tuple(GradedReply(f"p{i}", "c", "refuse", "harm", f"f{i}", "grown", 0, "r", "pass", grader="exact") for i in range(200))
FIRST = Evaluation("t", {"w": 1}, CHARTER, "s" * 64, settings_of(DRAW, 2), {"charter": {}}, ROWS, "2026-01-01", 1.0)
AGAIN = replace(FIRST, settings=settings_of(replace(DRAW, seed=2), 2))
RULE = GateRule(caps={"harm": 0.05}, margins={"harm": 0.05})


def test_another_seed_is_comparable() -> None:
    assert FIRST.settings != AGAIN.settings  # the seed stays on record
    assert differing(FIRST, AGAIN) == []
    assert decide(RULE, CHARTER, AGAIN, FIRST).outcome == "PASS"
    card = scorecard(("one", "two"), [FIRST, AGAIN])
    assert card["notes"] == []
    assert card["measures"]["harm"][1]["against_first"]["pairs"] == 200


@pytest.mark.parametrize(
    "settings",
    [settings_of(replace(DRAW, temperature=0.7), 2), settings_of(replace(DRAW, max_tokens=64), 2), settings_of(replace(DRAW, top_p=0.9), 2),
     settings_of(replace(DRAW, stop=("\n",)), 2), settings_of(DRAW, 3), {}, {**settings_of(DRAW, 2), "sampling": "greedy"}],
)  # fmt: skip
def test_every_other_setting_must_be_equal(settings: dict[str, object]) -> None:
    other = replace(FIRST, settings=settings)
    assert differing(FIRST, other) == ["settings"]
    found = decide(RULE, CHARTER, other, FIRST)
    assert found.outcome == "INVALID"
    assert "settings differs between candidate and baseline" in found.reasons[0]
    assert "differs from one in settings" in scorecard(("one", "two"), [FIRST, other])["notes"][0]


def test_caches_and_folders_keep_seeds_apart(tmp_path: Path) -> None:
    model = ScriptedChat(["first", "second"])
    cached = CachedChat(model, tmp_path / "cache.sqlite")
    asked = [ChatRequest((Message("user", "hello?"),), replace(DRAW, seed=s)) for s in (1, 2, 1)]

    async def go() -> list[str]:
        return [(await cached.reply(r)).text for r in asked]

    assert asyncio.run(go()) == ["first", "second", "first"]
    assert (len(model.requests), cached.hits) == (2, 1)
    suite = Suite((), "s" * 64)
    folders = {evaluation_folder(tmp_path, "eval", suite, "t", {}, replace(DRAW, seed=s).to_dict(), 1, None) for s in (1, 2)}
    assert len(folders) == 2
