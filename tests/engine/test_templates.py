"""Templates: training ids are inference ids, for templates written as the well-known ones are and for models with none."""

from typing import Any

import pytest

from trueline.charter.turns import Message
from trueline.engine.parity import parity
from trueline.engine.templates import (
    describe,
    encode_completion,
    encode_prompt,
    encode_turns,
    merged_system,
    render,
    turn_ends,
)
from trueline.engine.tiny import NO_SYSTEM, TEMPLATE, tiny_tokenizer
from trueline.errors import ModelError

TALK = (Message("system", "Be kind."), Message("user", "What is the fee?"))
LONG = (*TALK, Message("assistant", "It is 4 euros."), Message("user", "And for a card?"), Message("assistant", "None."))

CHATML = (
    "{%- for m in messages -%}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\n' }}{%- endif -%}"
)
HEADERS = (
    "{{ bos_token }}{%- for m in messages -%}{{ '<|start|>' + m['role'] + '<|stop|>\n\n' + m['content'] | trim + '<|eot_id|>' }}"
    "{%- endfor -%}{%- if add_generation_prompt -%}{{ '<|start|>assistant<|stop|>\n\n' }}{%- endif -%}"
)
TURNS = (
    "{{ bos_token }}{%- if messages[0]['role'] == 'system' -%}{{ raise_exception('System role not supported') }}{%- endif -%}"
    "{%- for m in messages -%}{%- if (m['role'] == 'user') != (loop.index0 % 2 == 0) -%}"
    "{{ raise_exception('Conversation roles must alternate') }}{%- endif -%}"
    "{{ '<start_of_turn>' + ('model' if m['role'] == 'assistant' else m['role']) + '\n' + m['content'] | trim + '<end_of_turn>\n' }}"
    "{%- endfor -%}{%- if add_generation_prompt -%}{{ '<start_of_turn>model\n' }}{%- endif -%}"
)
INST = (
    "{{ bos_token }}{%- for m in messages -%}{%- if m['role'] == 'user' -%}{{ '[INST] ' + m['content'] + ' [/INST]' }}"
    "{%- elif m['role'] == 'assistant' -%}{{ ' ' + m['content'] + eos_token }}{%- endif -%}{%- endfor -%}"
)
THINKING = (
    "{%- for m in messages -%}{{ '<|im_start|>' + m['role'] + '\n' }}"
    "{%- if m['role'] == 'assistant' and loop.last -%}{{ '<think>\n\n</think>\n\n' }}{%- endif -%}"
    "{{ m['content'] + '<|im_end|>\n' }}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\n' }}{%- endif -%}"
)
ENDLESS = (
    "{%- for m in messages -%}{{ m['role'] + ': ' + m['content'] + '\n' }}{%- endfor -%}"
    "{%- if add_generation_prompt -%}assistant:{%- endif -%}"
)
TEMPLATES = {
    "plain": None,
    "tags": TEMPLATE,
    "no-system": NO_SYSTEM,
    "chatml": CHATML,
    "headers": HEADERS,
    "turns": TURNS,
    "inst": INST,
    "thinking": THINKING,
    "endless": ENDLESS,
}


def tokenizer_of(name: str) -> Any:
    tokenizer = tiny_tokenizer(TEMPLATES[name])
    more = ["<|im_start|>", "<|im_end|>", "<|eot_id|>", "<|start|>", "<|stop|>", "<start_of_turn>", "<end_of_turn>"]
    tokenizer.add_special_tokens({"additional_special_tokens": more, "bos_token": "<|bos|>"})
    return tokenizer


@pytest.mark.parametrize("name", TEMPLATES)
@pytest.mark.parametrize("reply", ["It is 4 euros.", "Yes", "One.\n\nTwo 😀", "the bank account"])
def test_training_ids_are_inference_ids(name: str, reply: str) -> None:
    tokenizer = tokenizer_of(name)
    prompt, completion = encode_completion(tokenizer, TALK, reply)
    assert prompt == encode_prompt(tokenizer, TALK)
    assert completion[-1] in turn_ends(tokenizer)
    assert sum(t in turn_ends(tokenizer) for t in completion) == 1
    assert tokenizer.decode(completion, skip_special_tokens=True).strip().removeprefix("<think>\n\n</think>\n\n") == reply
    assert (prompt + completion).count(tokenizer.bos_token_id) <= 1
    assert "Be kind." in render(tokenizer, TALK)
    found = parity(tokenizer, [(TALK, reply), (LONG[:4], reply)])
    assert found.holds, found.problems
    assert found.checked == 2


def test_the_end_is_the_templates_own() -> None:
    ends = {name: tokenizer_of(name).convert_tokens_to_ids(e) for name, e in (("chatml", "<|im_end|>"), ("turns", "<end_of_turn>"))}
    for name, end in ends.items():
        assert encode_completion(tokenizer_of(name), TALK, "Yes")[1][-1] == end


def test_a_whole_conversation_keeps_the_assistants_turns() -> None:
    tokenizer = tokenizer_of("tags")
    turns = encode_turns(tokenizer, LONG)
    assert list(turns.ids) == encode_prompt(tokenizer, LONG, add_generation=False)
    kept = [i for i, k in zip(turns.ids, turns.keep, strict=True) if k]
    assert tokenizer.decode(kept) == "It is 4 euros.<|end|>None.<|end|>"
    with pytest.raises(ModelError, match="changes earlier turns"):
        encode_turns(tokenizer_of("thinking"), LONG)
    with pytest.raises(ModelError, match="no assistant turn"):
        encode_turns(tokenizer, TALK)


def test_fallbacks_are_stated() -> None:
    assert "plain" in describe(tiny_tokenizer(None))
    assert describe(tiny_tokenizer(TEMPLATE)) == "the tokenizer's chat template"
    for template in (NO_SYSTEM, TURNS, INST):  # INST drops the system text without a word
        assert "no system role" in describe(tiny_tokenizer(template))
        assert render(tiny_tokenizer(template), TALK).count("Be kind.\n\nWhat is the fee?") == 1
    assert merged_system(TALK[:1]) == (Message("user", "Be kind."),)
    assert merged_system(TALK[1:]) == TALK[1:]


def test_a_refusing_template_says_why() -> None:
    twice = (Message("user", "a"), Message("user", "b"))
    with pytest.raises(ModelError, match=r"refuses this conversation \(user, user\).*alternate"):
        render(tokenizer_of("turns"), twice)
    broken = parity(tokenizer_of("turns"), [(twice, "x")])
    assert not broken.holds
    assert "example 1" in broken.problems[0]
    assert not parity(tokenizer_of("turns"), []).holds


def test_parity_finds_a_doubled_beginning() -> None:
    tokenizer = tokenizer_of("headers")
    tokenizer.chat_template = "{{ bos_token }}" + HEADERS
    found = parity(tokenizer, [(TALK, "Yes")])
    assert any("stands 2 times" in p for p in found.problems)
