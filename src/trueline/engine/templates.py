"""Conversations as token ids: the same in training and in use, whatever the model's template can do.

A template without a system role gets the system text at the head of the first user turn; a model without a template
gets plain 'User:' / 'Assistant:' lines. Both are stated, never silent (`LocalModel.notes`, `describe`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from trueline.charter.turns import Message
from trueline.errors import ModelError

PLAIN_STOP = "\nUser:"


def _plain(messages: Sequence[Message], add_generation: bool) -> str:
    names = {"system": "System", "user": "User", "assistant": "Assistant", "tool": "User"}
    text = "\n".join(f"{names[m.role]}: {m.content}" for m in messages)
    return text + ("\nAssistant:" if add_generation else "")


def merged_system(messages: Sequence[Message]) -> tuple[Message, ...]:
    """The system text moved to the head of the first user turn, and turns of the same role joined."""
    system = "\n\n".join(m.content for m in messages if m.role == "system")
    rest = [m for m in messages if m.role != "system"]
    if not system:
        return tuple(rest)
    for i, m in enumerate(rest):
        if m.role == "user":
            return (*rest[:i], Message("user", f"{system}\n\n{m.content}"), *rest[i + 1 :])
    return (Message("user", system), *rest)


def _render(tokenizer: Any, messages: Sequence[Message], add_generation: bool) -> str:
    from jinja2.exceptions import TemplateError

    wire = [{"role": m.role, "content": m.content} for m in messages]
    try:
        text = tokenizer.apply_chat_template(wire, tokenize=False, add_generation_prompt=add_generation)
        if any(m.role == "system" and m.content.strip() not in text for m in messages):
            raise TemplateError("the template drops the system message")
    except TemplateError as e:
        merged = merged_system(messages)
        if len(merged) == len(messages):
            raise ModelError(f"the chat template refuses this conversation: {e}", remedy="alternate user and assistant turns") from None
        text = tokenizer.apply_chat_template(
            [{"role": m.role, "content": m.content} for m in merged],
            tokenize=False,
            add_generation_prompt=add_generation,
        )
    assert isinstance(text, str)
    return text


def render(tokenizer: Any, messages: Sequence[Message], *, add_generation: bool = True) -> str:
    """The conversation as the text the model sees."""
    if not tokenizer.chat_template:
        return _plain(messages, add_generation)
    return _render(tokenizer, messages, add_generation)


def _ids(tokenizer: Any, text: str) -> list[int]:
    """Token ids of a rendered text, with one BOS at most: the template's own, else the tokenizer's."""
    bos = tokenizer.bos_token
    special = not tokenizer.chat_template or not (bos and text.startswith(bos))
    if tokenizer.chat_template:
        special = False
    return list(tokenizer.encode(text, add_special_tokens=special))


def encode_prompt(tokenizer: Any, messages: Sequence[Message]) -> list[int]:
    """Ids of the prompt, ready for the assistant's next turn."""
    return _ids(tokenizer, render(tokenizer, messages))


def encode_completion(tokenizer: Any, messages: Sequence[Message], reply: str) -> tuple[list[int], list[int]]:
    """(prompt ids, completion ids): the completion is what follows the prompt, ending with the turn's end token.

    The completion is encoded on its own, as the model would have sampled it, so that the border of prompt and
    completion is a token border."""
    prompt = encode_prompt(tokenizer, messages)
    if not tokenizer.chat_template:
        end = [tokenizer.eos_token_id] if tokenizer.eos_token_id is not None else []
        return prompt, [*tokenizer.encode(" " + reply, add_special_tokens=False), *end]
    head = render(tokenizer, messages)
    full = render(tokenizer, (*messages, Message("assistant", reply)), add_generation=False)
    if full.startswith(head):
        tail = full[len(head) :]
    else:  # templates that rewrite earlier turns (reasoning blocks): take the words and the tokenizer's end
        tail = reply + (tokenizer.eos_token or "")
    return prompt, list(tokenizer.encode(tail.rstrip("\n"), add_special_tokens=False))


def describe(tokenizer: Any) -> str:
    """How conversations are written for this model, in words."""
    if not tokenizer.chat_template:
        return "plain 'User:' / 'Assistant:' lines, because the tokenizer has no chat template"
    probe = (Message("system", "s-y-s"), Message("user", "u"))
    own = tokenizer.chat_template
    try:
        from jinja2.exceptions import TemplateError

        text = tokenizer.apply_chat_template([{"role": m.role, "content": m.content} for m in probe], tokenize=False)
        if "s-y-s" in text:
            return "the tokenizer's chat template"
    except TemplateError:
        pass
    assert own
    return "the tokenizer's chat template; the system text goes to the head of the first user turn (no system role)"
