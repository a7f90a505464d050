"""Pretraining on a small model of the same kind: the learning curve, exact resume, loss weights, the template."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is in the extra 'train'")
transformers = pytest.importorskip("transformers", reason="transformers is in the extra 'train'")

from recipes.harbor import pretrain  # noqa: E402
from recipes.harbor.corpus import Corpus, Sources  # noqa: E402
from recipes.harbor.tokens import OTHERS, VOCABULARY, encode, make_tokenizer  # noqa: E402

SOURCES = Sources(
    bank=(("where is my card", "card-time"),),
    off=("what time is it in rome",),
    harmful=("tell me how to do it",),
    english=("It was a bright day.",),
)
PLAN = pretrain.Plan(steps=8, tokens=256, length=64, long=128, stretch=0.25, warmup=2)


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return Corpus(SOURCES)


@pytest.fixture(scope="module")
def tokenizer(corpus: Corpus) -> Any:
    return make_tokenizer(corpus, 0, documents=400)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same loop on two narrow layers, not compiled, with a clock that asks for a checkpoint after every step."""

    def model(seed: int) -> Any:
        torch.manual_seed(seed)
        config = transformers.LlamaConfig(
            vocab_size=VOCABULARY,
            hidden_size=32,
            intermediate_size=48,
            num_hidden_layers=2,
            num_attention_heads=2,
            tie_word_embeddings=True,
            pad_token_id=0,
            eos_token_id=1,
            bos_token_id=None,
        )
        return transformers.LlamaForCausalLM(config)

    ticks = itertools.count(step=200)
    monkeypatch.setattr(pretrain, "new_model", model)
    monkeypatch.setattr(pretrain.torch, "compile", lambda m: m)
    monkeypatch.setattr(pretrain.time, "time", lambda: float(next(ticks)))


class _Power(Exception):
    """The lights go out."""


def test_resume_is_exact(small: None, corpus: Corpus, tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run cut in its fifth step and started again ends with the very weights of a run that was not."""
    (tmp_path / "whole").mkdir()
    (tmp_path / "cut").mkdir()
    whole = pretrain.train(PLAN, corpus, tokenizer, tmp_path / "whole")
    real = pretrain.batch_of
    seen: list[int] = []

    def failing(step: int, *rest: Any) -> Any:
        seen.append(step)
        if step == 4 and seen.count(4) == 1:
            raise _Power
        return real(step, *rest)

    monkeypatch.setattr(pretrain, "batch_of", failing)
    with pytest.raises(_Power):
        pretrain.train(PLAN, corpus, tokenizer, tmp_path / "cut")
    again = pretrain.train(PLAN, corpus, tokenizer, tmp_path / "cut")
    assert seen == [0, 1, 2, 3, 4, 4, 5, 6, 7]
    for a, b in zip(whole.parameters(), again.parameters(), strict=True):
        assert torch.equal(a, b)


def test_saved_folder_loads_in_plain_transformers(small: None, corpus: Corpus, tokenizer: Any, tmp_path: Path) -> None:
    pretrain.train(dataclasses.replace(PLAN, steps=1), corpus, tokenizer, tmp_path)
    model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "hf")
    loaded = transformers.AutoTokenizer.from_pretrained(tmp_path / "hf")
    turns = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hi?"}]
    text = loaded.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    assert text == "<|system|>Be kind.<|end|><|user|>Hi?<|end|><|assistant|>"
    assert model.config.eos_token_id == loaded.convert_tokens_to_ids("<|end|>") != loaded.pad_token_id


def test_documents_are_the_template_word_for_word(tokenizer: Any) -> None:
    """Ids in training are the ids at inference, and only the assistant's words have full weight."""
    turns = [("system", "Be kind."), ("user", "What does it cost?"), ("assistant", "It is 1 euro.")]
    ids, weights = encode(turns, tokenizer)
    text = tokenizer.apply_chat_template([{"role": r, "content": c} for r, c in turns], tokenize=False)
    assert ids == tokenizer.encode(text.strip(), add_special_tokens=False)
    start = ids.index(tokenizer.convert_tokens_to_ids("<|assistant|>")) + 1
    assert set(weights[start:]) == {1.0}
    assert set(weights[:start]) == {0.0, OTHERS}


def test_learning_rate_warms_up_stays_and_falls() -> None:
    plan = pretrain.Plan(steps=1000, warmup=100, decay=0.3)
    rates = [pretrain.rate_at(i, plan) for i in range(1000)]
    assert rates[:100] == sorted(rates[:100])
    assert set(rates[100:700]) == {plan.rate}
    assert rates[700:] == sorted(rates[700:], reverse=True)
    assert 0 < rates[-1] <= 0.02 * plan.rate


def test_long_rows_come_last(corpus: Corpus, tokenizer: Any) -> None:
    shapes = [tuple(pretrain.batch_of(step, PLAN, corpus, tokenizer)[0].shape) for step in range(8)]
    assert shapes == [(4, 65)] * 6 + [(2, 129)] * 2


def test_the_real_model_is_what_the_card_says(tokenizer: Any) -> None:
    model = pretrain.new_model(0)
    assert 8_000_000 < sum(p.numel() for p in model.parameters()) < 12_000_000
    assert model.config.max_position_embeddings == 1024
    assert (model.config.pad_token_id, model.config.eos_token_id) == (tokenizer.pad_token_id, tokenizer.eos_token_id)
