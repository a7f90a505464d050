"""The tokenizer (byte-level BPE) and documents as token ids with loss weights."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from recipes.harbor.corpus import Corpus, Turns

SPECIALS = ["<|pad|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>"]
VOCABULARY = 4096
OTHERS = 0.2  # loss weight of what the model does not say itself


def make_tokenizer(corpus: Corpus, seed: int, documents: int = 60_000) -> Any:
    """Trains the BPE on a draw of the corpus and wraps it for transformers, with the chat template."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    rng = random.Random(f"{seed}|tokenizer")
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=SPECIALS, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    raw.train_from_iterator((content for _ in range(documents) for _, content in corpus.draw(rng)), trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw, eos_token="<|end|>", pad_token="<|pad|>", model_max_length=1024, clean_up_tokenization_spaces=False
    )
    tokenizer.chat_template = (Path(__file__).parent / "chat_template.jinja").read_text().strip()
    return tokenizer


def encode(turns: Turns, tokenizer: Any) -> tuple[list[int], list[float]]:
    """(ids, weights) of one document: the assistant's words and its end count 1, all else `OTHERS`."""
    ids: list[int] = []
    weights: list[float] = []
    end = tokenizer.convert_tokens_to_ids("<|end|>")
    for role, content in turns:
        body = tokenizer.encode(content, add_special_tokens=False)
        if role == "text":
            ids += [*body, end]
            weights += [0.5] * (len(body) + 1)
            continue
        mine = 1.0 if role == "assistant" else OTHERS
        ids += [tokenizer.convert_tokens_to_ids(f"<|{role}|>"), *body, end]
        weights += [0.0, *([mine] * len(body)), mine]
    return ids, weights
