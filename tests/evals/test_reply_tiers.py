"""Which tier of the reply grader serves, and that the encoder's is what its card says."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.recipes.test_reply_grader import ANSWERS, REFUSALS
from trueline.errors import DataError
from trueline.evals.graders import reply, reply_encoder
from trueline.evals.graders.reply import ReplyGrader, chosen_tier, linear_reply_grader, read_part, shipped_reply_grader
from trueline.evals.graders.reply_encoder import encoder_reply_grader, softmax
from trueline.models.encoder import folder as folders

CARD = json.loads((reply_encoder.FOLDER / "card.json").read_text())


@pytest.fixture
def encoder(monkeypatch: pytest.MonkeyPatch) -> ReplyGrader:
    if missing := folders.missing_encoder():
        pytest.skip(missing)
    monkeypatch.setenv(reply.TIER, "encoder")
    return shipped_reply_grader()


def test_the_setting_names_the_tier(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(reply.TIER, raising=False)
    assert chosen_tier() == "linear"
    assert shipped_reply_grader() is linear_reply_grader()
    monkeypatch.setenv(reply.TIER, "best")
    with pytest.raises(DataError, match="expected encoder or linear"):
        chosen_tier()


def test_an_encoder_that_is_not_there_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setenv(reply.TIER, "encoder")
    with pytest.raises(DataError, match="--no-deps"):
        chosen_tier()


def test_the_two_tiers_are_two_graders(encoder: ReplyGrader) -> None:
    """Evaluations graded by different tiers must not be compared: the gate compares identities."""
    assert encoder.identity()["name"] != linear_reply_grader().identity()["name"]
    assert encoder.identity()["digest"] == CARD["digest"]
    assert encoder.identity()["sensitivity"]["n"] > 100


def test_common_short_replies(encoder: ReplyGrader) -> None:
    for replies, right, wrong in ((REFUSALS, ("refused", "redirected"), "complied"), (ANSWERS, ("complied",), "refused")):
        seen = [s.label for s in encoder.classify_all([("", r) for r in replies])]
        assert sum(s in right for s in seen) >= 0.8 * len(seen), [x for x in zip(replies, seen, strict=True) if x[1] not in right]
        assert seen.count(wrong) <= 0.2 * len(seen)  # type: ignore[arg-type]


def test_a_reply_is_read_alone_and_no_further_than_240_characters(encoder: ReplyGrader) -> None:
    together, apart = encoder.classify_all([("", r) for r in REFUSALS[:3]]), [encoder.classify("", r) for r in REFUSALS[:3]]
    assert [s.label for s in together] == [s.label for s in apart]
    assert [s.confidence for s in together] == pytest.approx([s.confidence for s in apart], abs=1e-6)
    long = "I can\u2019t help you with this. " * 9
    assert len(read_part(long)) <= reply.READ
    assert encoder.classify("", long[:240]) == encoder.classify("another question", long + "Sure, here it is.")
    assert encoder.classify_all([]) == []


def test_the_card_says_what_it_must_and_the_docs_what_the_card_says() -> None:
    found = CARD["held_out"]["compliance"]
    assert found["balanced_accuracy_interval"][0] < found["balanced_accuracy"] < found["balanced_accuracy_interval"][1]
    told = (Path(__file__).parents[2] / "docs" / "graders.md").read_text(encoding="utf-8")
    low, high = found["balanced_accuracy_interval"]
    assert f"{found['balanced_accuracy']:.3f} (encoder, {low:.3f} to {high:.3f})" in told
    assert CARD["sensitivity"] == found["sensitivity"]
    assert {"milliseconds", "data", "data_digest", "limits", "by_length", "by_category"} <= set(CARD)
    for rate in (CARD["sensitivity"], CARD["specificity"]):
        assert rate["low"] < rate["estimate"] < rate["high"]


def test_the_docs_say_what_the_linear_card_says() -> None:
    card = linear_reply_grader().card
    told = (Path(__file__).parents[2] / "docs" / "graders.md").read_text(encoding="utf-8")
    found = card["held_out"]["compliance"]
    low, high = found["balanced_accuracy_interval"]
    assert f"{found['balanced_accuracy']:.3f} (linear, {low:.3f} to {high:.3f}; {found['balanced_accuracy_unscored_wrong']:.3f} if" in told
    for way, name in (("questions", "compliance"), ("questions", "refusal_style"), ("templates", "compliance")):
        of = card["crossed"][way][name]
        low, high = of["balanced_accuracy_interval"]
        assert f"{of['balanced_accuracy']:.3f}" in told
        assert f"({low:.3f} to {high:.3f})" in told
        assert of["unscored"] == 0


@pytest.mark.parametrize("hurt", ["delta", "card", "base"])
def test_damaged_files_are_refused(hurt: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoder: ReplyGrader) -> None:
    shutil.copytree(reply_encoder.FOLDER, tmp_path / "g")
    card, delta = tmp_path / "g" / "card.json", tmp_path / "g" / "delta.safetensors"
    if hurt == "delta":
        data = bytearray(delta.read_bytes())
        data[-1] ^= 1
        delta.write_bytes(data)
    elif hurt == "card":
        card.write_text("{")
    else:
        card.write_text(json.dumps({**CARD, "base": {**CARD["base"], "weights": "0" * 64}}))
    monkeypatch.setattr(reply_encoder, "FOLDER", tmp_path / "g")
    encoder_reply_grader.cache_clear()
    try:
        with pytest.raises(DataError):
            encoder_reply_grader()
    finally:
        encoder_reply_grader.cache_clear()


def test_softmax_by_hand() -> None:
    np.testing.assert_allclose(softmax(np.array([[0.0, 2 * np.log(3)]]), 2.0), [[0.25, 0.75]])
    np.testing.assert_allclose(softmax(np.array([[1e4, 0.0]]), 1.0), [[1, 0]])
