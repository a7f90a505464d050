"""Linear reward models: n-grams alone and with an encoder; calibrated on what was not learnt; length taken off; saved and loaded."""

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from trueline.charter.turns import Message
from trueline.core.records import Preference
from trueline.data.rankings import Ranking, Rated
from trueline.engine.encoder import encode, load_encoder
from trueline.engine.tiny import tiny_model
from trueline.errors import TargetError, TrainingError
from trueline.train.judged import Judged, conversations_of, folds_of, of_pairs, of_rankings, of_ratings, ordered_index, split_judged
from trueline.train.reward import encoding, load_reward, save_reward, score
from trueline.train.reward_features import raw_features
from trueline.train.reward_linear import Fit, fit_linear_reward
from trueline.train.reward_model import held_out_report
from trueline.train.reward_text import TextSettings, train_text

GOOD, BAD, PLAIN = ("sorry", "careful", "doctor"), ("sure", "easy", "hack"), ("the", "a", "of", "and", "to", "is", "in", "it", "we", "on")


def reply(source: random.Random, words: tuple[str, ...], n: int) -> str:
    return " ".join([source.choice(words), *(source.choice(PLAIN) for _ in range(n))])


def noisy_pairs(n: int, seed: int, right: float = 0.8, longer: float = 0.0) -> list[Judged]:
    """Pairs of a polite and a rude reply of random length; people prefer the polite one with probability `right`, but with probability
    `longer` the longer one whatever it says."""
    source, out = random.Random(seed), []
    for i in range(n):
        a, b = reply(source, GOOD, source.randint(3, 25)), reply(source, BAD, source.randint(3, 25))
        first = source.random() < right
        if source.random() < longer:
            first = len(a) > len(b)
        chosen, rejected = (a, b) if first else (b, a)
        out.append(Preference((Message("user", f"question {seed} {i}"),), chosen, rejected, source="ab"[i % 2]))
    return of_pairs(out)


def report(model: Any, rows: list[Judged]) -> dict[str, Any]:
    return held_out_report(rows, np.array(score(model, conversations_of(rows))))


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random sentence encoder of three layers."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("bert")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *GOOD, *BAD, *PLAIN]
    raw = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="[UNK]"))
    raw.pre_tokenizer = pre_tokenizers.Whitespace()
    raw.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    PreTrainedTokenizerFast(tokenizer_object=raw, **names).save_pretrained(folder)
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 32, "max_position_embeddings": 40}
    BertModel(BertConfig(vocab_size=len(words), **sizes)).save_pretrained(folder)
    return folder


def test_noisy_pairs_give_calibrated_scores_on_rows_never_seen() -> None:
    model, told = train_text(noisy_pairs(400, 0), TextSettings())
    found = report(model, noisy_pairs(400, 1))
    assert 0.74 < found["held_out_accuracy"]["estimate"] < 0.86  # the best possible is 0.8
    assert found["ece"] < 0.08  # 15 bins of 27 pairs: about 0.06 by chance alone
    assert set(found["accuracy_by_source"]) == {"a", "b"}
    assert found["accuracy_by_source"]["a"]["n"] == 200
    assert told["temperature"] > 0


def test_a_planted_love_of_length_is_taken_off() -> None:
    train, test = noisy_pairs(400, 2, right=0.95, longer=0.5), noisy_pairs(300, 3, right=1.0)
    biased, _ = train_text(train, TextSettings())
    mended, told = train_text(train, TextSettings(debias_length=True))
    before, after = report(biased, test), report(mended, test)
    assert told["length_slope"] > 0
    assert before["length_correlation"] > 0.3
    assert abs(after["length_correlation"]) < 0.12
    assert after["held_out_accuracy"]["estimate"] > before["held_out_accuracy"]["estimate"]
    assert after["accuracy_chosen_shorter"]["estimate"] > before["accuracy_chosen_shorter"]["estimate"]


def test_the_gradient_of_the_fit_vanishes_and_scaling_weights_changes_nothing() -> None:
    rows = noisy_pairs(40, 4)
    raw = raw_features(conversations_of(rows), None)
    fit = Fit("bradley-terry", True, 0)
    one, ten = (fit_linear_reward(raw, rows, np.full(40, w), fit, [0.01])[0] for w in (1.0, 10.0))
    assert np.allclose(one.grams, ten.grams, atol=1e-6)
    # at the minimum ridge x weights = mean of (1 - P(chosen)) x (difference of features)
    r = one.rewards(raw)
    miss = 1 / (1 + np.exp(r[0::2] - r[1::2]))
    sparse, _ = one.scaling.apply(raw)
    expected = (sparse[0::2] - sparse[1::2]).T @ miss / 40 / 0.01
    assert np.abs(one.grams - expected).max() < 0.05 * np.abs(expected).max()


def test_rankings_and_ratings_are_learnt_without_a_model() -> None:
    source = random.Random(5)
    three = [tuple(reply(source, words, 8) for words in (GOOD, PLAIN, BAD)) for _ in range(60)]
    rankings = of_rankings([Ranking((Message("user", f"q{i}"),), r, (1, 2, 2)) for i, r in enumerate(three)])
    model, _ = train_text(rankings, TextSettings("plackett-luce"))
    assert report(model, rankings)["held_out_accuracy"]["estimate"] > 0.95
    assert report(model, rankings)["held_out_accuracy"]["n"] == 120  # the tie gives no pair
    ratings = of_ratings([Rated((Message("user", f"q{i}"),), t, n) for i, r in enumerate(three) for t, n in zip(r, (9, 4, 1), strict=True)])
    model, _ = train_text(ratings, TextSettings("ordinal"))
    assert report(model, ratings)["held_out_accuracy"]["estimate"] > 0.9
    assert len(model.thresholds[0]) == 2
    assert model.thresholds[0][0] < model.thresholds[0][1]


def test_save_load_and_every_combination(tmp_path: Path, bert: Path) -> None:
    rows = noisy_pairs(60, 6)
    encode_texts, named = encoding(str(bert))
    made: dict[str, list[float]] = {}
    for how, penalty in (("mean", None), ("min", None), ("mean-std", 2.0)):
        model, _ = train_text(rows, TextSettings(members=3, combine=how, penalty=penalty), encode_texts, None, named)
        save_reward(model, tmp_path / how)
        again = load_reward(tmp_path / how)
        talks = conversations_of(rows)
        assert score(again, talks) == score(model, talks)
        each = model.members.rewards(talks)
        assert np.abs(each[0] - each[1]).max() > 1e-3
        made[how] = list(model.scale.combined(each))
    assert all(low <= middle + 1e-9 for low, middle in zip(made["min"], made["mean"], strict=True))
    assert all(low <= middle + 1e-9 for low, middle in zip(made["mean-std"], made["mean"], strict=True))
    assert score(again, []) == []


def test_a_spoilt_or_foreign_folder_is_one_line(tmp_path: Path, bert: Path) -> None:
    encode_texts, named = encoding(str(bert))
    model, _ = train_text(noisy_pairs(20, 7), TextSettings(), encode_texts, None, named)
    save_reward(model, tmp_path / "out")
    told = (tmp_path / "out" / "reward.json").read_text()
    (tmp_path / "out" / "reward.json").write_text(told.replace(named[1], "0" * 64))
    with pytest.raises(TargetError, match="not the one this model was trained on"):
        load_reward(tmp_path / "out")
    (tmp_path / "out" / "reward.json").write_text(told)
    whole = (tmp_path / "out" / "member-0.safetensors").read_bytes()
    (tmp_path / "out" / "member-0.safetensors").write_bytes(whole[:100])
    with pytest.raises(TargetError):
        load_reward(tmp_path / "out")
    (tmp_path / "out" / "member-0.safetensors").unlink()
    torch.save({}, tmp_path / "out" / "member-0.pt")
    with pytest.raises(TargetError, match="could run code"):
        load_reward(tmp_path / "out")


def test_the_encoder_reads_long_texts_in_windows_and_padding_changes_nothing(bert: Path) -> None:
    encoder = load_encoder(str(bert))
    assert encoder.layers == (1, 2, 3)
    texts = ["sorry", " ".join(["sure"] * 200), "careful the doctor", ""]
    together = encode(encoder, texts)
    assert together.shape == (4, 3, 16)
    assert np.allclose(together, np.concatenate([encode(encoder, [t]) for t in texts]), atol=1e-5)
    assert np.allclose(np.linalg.norm(together, axis=2), 1, atol=1e-5)


def test_what_is_no_encoder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TargetError):
        load_encoder(str(tiny_model("llama", tmp_path / "m")))
    with pytest.raises(TargetError, match="no model folder"):
        load_encoder(str(tmp_path / "nowhere"))


def test_families_never_cross_and_folds_are_of_nearly_equal_size() -> None:
    rows = [r for seed in range(3) for r in noisy_pairs(50, seed)] * 2
    folds = folds_of(rows, 5, "x")
    for family in {r.family() for r in rows}:
        assert len({f for f, r in zip(folds, rows, strict=True) if r.family() == family}) == 1
    assert {folds.count(k) for k in range(5)} == {60}
    rest, part = split_judged(rows, 0.3, "y")
    assert not {r.family() for r in rest} & {r.family() for r in part}
    assert 0.15 < len(part) / len(rows) < 0.45


def test_ordered_pairs_by_hand() -> None:
    prompt = (Message("user", "q"),)
    ranking = Judged(prompt, ("a", "b", "c"), (2, 1, 2))
    low, high = Judged(prompt, ("d",), (1,), level=0), Judged(prompt, ("e",), (1,), level=2)
    assert ordered_index([ranking, low, high]) == [(0, 1, 0), (0, 1, 2), (1, 4, 3)]


def test_nothing_to_learn_from_is_an_error() -> None:
    with pytest.raises(TrainingError, match="nothing to learn"):
        train_text([], TextSettings())
    with pytest.raises(TrainingError, match="unknown way"):
        train_text(noisy_pairs(4, 0), TextSettings(combine="median"))
    assert "insufficient evidence" in str(held_out_report([], np.zeros(0)))
