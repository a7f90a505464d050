"""Small random-weight folders of current architectures: what every feature is tried on, besides the rehearsal model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

TEMPLATE = (
    "{%- for m in messages -%}<|{{ m['role'] }}|>{{ m['content'] }}<|end|>{%- endfor -%}"
    "{%- if add_generation_prompt -%}<|assistant|>{%- endif -%}"
)
NO_SYSTEM = "{%- if messages[0]['role'] == 'system' -%}{{ raise_exception('System role not supported') }}{%- endif -%}" + TEMPLATE
SPECIALS = ["<|pad|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>"]


def _sizes(**more: Any) -> dict[str, Any]:
    base = {
        "vocab_size": 512, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
        "num_key_value_heads": 1, "head_dim": 16, "max_position_embeddings": 512,
        "pad_token_id": 0, "eos_token_id": 1, "bos_token_id": None,
    }  # fmt: skip
    return {**base, **more}


def _config(architecture: str) -> Any:
    import transformers as t

    makers: dict[str, Callable[[], Any]] = {
        "llama": lambda: t.LlamaConfig(**_sizes(tie_word_embeddings=True)),
        "qwen3": lambda: t.Qwen3Config(**_sizes()),
        "gemma3": lambda: t.Gemma3TextConfig(**_sizes(num_hidden_layers=6, sliding_window=16)),
        "mistral": lambda: t.MistralConfig(**_sizes(sliding_window=None)),
        "mistral-window": lambda: t.MistralConfig(**_sizes(sliding_window=16)),
        "gpt2": lambda: t.GPT2Config(
            vocab_size=512,
            n_embd=32,
            n_layer=2,
            n_head=2,
            n_positions=512,
            pad_token_id=0,
            eos_token_id=1,
            bos_token_id=1,
        ),
    }
    if architecture not in makers:
        raise KeyError(f"unknown architecture {architecture!r}, expected one of {', '.join(makers)}")
    return makers[architecture]()


ARCHITECTURES = ("llama", "qwen3", "gemma3", "mistral", "mistral-window", "gpt2")


def tiny_tokenizer(template: str | None = TEMPLATE) -> Any:
    """A byte-level tokenizer of 512 ids (bytes and a few merges)."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    words = "the bank account card payment fee loan help cannot with what is how do I you can and please thank euros days"
    trainer = trainers.BpeTrainer(
        vocab_size=512,
        special_tokens=SPECIALS,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    raw.train_from_iterator([words] * 4, trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, eos_token="<|end|>", pad_token="<|pad|>", clean_up_tokenization_spaces=False)
    tokenizer.chat_template = template
    return tokenizer


LIVELY = {"gemma3": 0.08}
"""Spread of the weights from which greedy replies differ between prompts and wander over the vocabulary (others: 0.3)."""


def tiny_model(architecture: str, path: Path, seed: int = 0, template: str | None = TEMPLATE, *, lively: bool = False) -> Path:
    """Writes a random-weight folder of `architecture` (one of `ARCHITECTURES`) to `path` and returns it. `lively`: with
    weights so spread that attention decides the next token; the usual 0.02 mostly repeats the last one, and a test of
    equal replies then cannot fail. Raises `KeyError` for an unknown architecture."""
    import torch
    from transformers import AutoModelForCausalLM

    config = _config(architecture)
    if lively:
        config.initializer_range = LIVELY.get(architecture, 0.3)
    with torch.random.fork_rng(devices=[]):  # transformers draws weights from the global source: leave it as it was
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(config)
    model.save_pretrained(path)
    tiny_tokenizer(template).save_pretrained(path)
    return path
