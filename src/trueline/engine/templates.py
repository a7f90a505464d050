"""Conversations as token ids: the same in training and in use, whatever the model's template can do.

A template without a system role gets the system text at the head of the first user turn; a model without a template
gets plain 'User:' / 'Assistant:' lines. Both are stated, never silent (`describe`, `LocalModel.notes`).
Special tokens come from the template alone where there is one, so that BOS is never doubled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from trueline.charter.turns import Message
from trueline.errors import ModelError

PLAIN_STOP = "\nUser:"
"""Where a reply ends for a model without a template, besides its end token."""
_ENDS = ("<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<end_of_turn>", "<turn|>", "<|end|>", "<|endoftext|>", "</s>")


def _plain(messages: Sequence[Message], add_generation: bool) -> str:
    names = {"system": "System", "user": "User", "assistant": "Assistant", "tool": "User"}
    text = "\n".join(f"{names[m.role]}: {m.content}" for m in messages)
    return text + ("\nAssistant:" if add_generation else "")


def merged_system(messages: Sequence[Message]) -> tuple[Message, ...]:
    """The system text moved to the head of the first user turn."""
    system = "\n\n".join(m.content for m in messages if m.role == "system")
    rest = [m for m in messages if m.role != "system"]
    if not system:
        return tuple(rest)
    for i, m in enumerate(rest):
        if m.role == "user":
            return (*rest[:i], Message("user", f"{system}\n\n{m.content}"), *rest[i + 1 :])
    return (Message("user", system), *rest)


def _apply(tokenizer: Any, messages: Sequence[Message], add_generation: bool) -> str:
    """The template's text. Raises jinja2's `TemplateError` where the template refuses."""
    wire = [m.to_dict() for m in messages]
    return str(tokenizer.apply_chat_template(wire, tokenize=False, add_generation_prompt=add_generation))


def _render(tokenizer: Any, messages: Sequence[Message], add_generation: bool) -> str:
    from jinja2.exceptions import TemplateError

    systems = [m.content.strip() for m in messages if m.role == "system"]
    refused = "it drops the system message"
    try:
        text = _apply(tokenizer, messages, add_generation)
        if all(s in text for s in systems):
            return text
    except (TemplateError, TypeError) as e:
        refused = " ".join(str(e).split())[:160]
    if systems:
        try:
            return _apply(tokenizer, merged_system(messages), add_generation)
        except (TemplateError, TypeError) as e:
            refused = " ".join(str(e).split())[:160]
    what = f"the chat template refuses this conversation ({', '.join(m.role for m in messages[:6])}): {refused}"
    raise ModelError(what, remedy="start with a user turn and alternate user and assistant")


def render(tokenizer: Any, messages: Sequence[Message], *, add_generation: bool = True) -> str:
    """The conversation as the text the model sees. Raises `ModelError` where its template refuses it."""
    if not tokenizer.chat_template:
        return _plain(messages, add_generation)
    return _render(tokenizer, messages, add_generation)


def _ids(tokenizer: Any, text: str) -> list[int]:
    """Ids of a rendered text: with a template, its own special tokens; without, the tokenizer's BOS but no EOS."""
    if tokenizer.chat_template:
        return list(tokenizer.encode(text, add_special_tokens=False))
    ids = list(tokenizer.encode(text, add_special_tokens=True))
    while ids and ids[-1] == tokenizer.eos_token_id:
        ids.pop()
    return ids


def encode_prompt(tokenizer: Any, messages: Sequence[Message], add_generation: bool = True) -> list[int]:
    """Ids of the prompt, ready for the assistant's next turn. Raises `ModelError` where the template writes nothing: no token could be
    predicted from it."""
    ids = _ids(tokenizer, render(tokenizer, messages, add_generation=add_generation))
    if not ids:
        what = f"the prompt ({', '.join(m.role for m in messages[:6])}) has no tokens as the model's chat template writes it"
        raise ModelError(what, remedy="mend the chat template of the tokenizer")
    return ids


def turn_ends(tokenizer: Any) -> frozenset[int]:
    """Ids that end a turn, as far as the tokenizer knows: its EOS and the end-of-turn tokens its template writes."""
    template = str(tokenizer.chat_template or "")
    known = tokenizer.get_vocab()
    found = {int(known[name]) for name in _ENDS if name in known and name in template}
    return frozenset(found | ({int(tokenizer.eos_token_id)} if tokenizer.eos_token_id is not None else set()))


def _closed(tokenizer: Any, ids: list[int]) -> list[int]:
    """`ids` up to their last end of turn; where there is none, with the tokenizer's own."""
    ends = turn_ends(tokenizer)
    for i in range(len(ids) - 1, -1, -1):
        if ids[i] in ends:
            return ids[: i + 1]
        if tokenizer.decode(ids[i : i + 1]).strip():
            break  # words after the last end: the template writes no end of turn
    return [*ids, int(tokenizer.eos_token_id)] if tokenizer.eos_token_id is not None else ids


def encode_completion(tokenizer: Any, messages: Sequence[Message], reply: str) -> tuple[list[int], list[int]]:
    """(prompt ids, completion ids): the completion is the template's full text minus its prompt, ending with the end
    of the turn exactly as the model must sample it.

    Where the prompt's ids are not a prefix of the full ids (a merge over the border, or a template that rewrites the
    turn), the text after the prompt is encoded by itself, so that the border of prompt and reply is a token border."""
    prompt = encode_prompt(tokenizer, messages)
    full_text = render(tokenizer, (*messages, Message("assistant", reply)), add_generation=False)
    full = _ids(tokenizer, full_text)
    if len(full) > len(prompt) and full[: len(prompt)] == prompt:
        return prompt, _closed(tokenizer, full[len(prompt) :])
    head = render(tokenizer, messages)
    if not tokenizer.chat_template:
        tail = f" {reply}"
    elif full_text.startswith(head):
        tail = full_text[len(head) :]
    else:  # the template rewrites what stands before the reply: the words alone, and the end of the turn
        tail = reply
    return prompt, _closed(tokenizer, list(tokenizer.encode(tail, add_special_tokens=False)))


@dataclass(frozen=True, slots=True)
class Turns:
    """ids (n,) of a whole conversation; keep (n,): True on the assistant's tokens and their end of turn."""

    ids: tuple[int, ...]
    keep: tuple[bool, ...]


def encode_turns(tokenizer: Any, messages: Sequence[Message]) -> Turns:
    """A conversation for training on all of the assistant's turns in one row. Raises `ModelError` where the template
    writes an earlier turn otherwise once a later one follows: then encode each turn with `encode_completion`."""
    ids: list[int] = []
    keep: list[bool] = []
    for i, m in enumerate(messages):
        if m.role != "assistant":
            continue
        prompt, completion = encode_completion(tokenizer, messages[:i], m.content)
        if prompt[: len(ids)] != ids:
            what = f"the template changes earlier turns when turn {i + 1} follows"
            raise ModelError(what, remedy="train on the last turn only, or on each turn as a row of its own")
        keep += [False] * (len(prompt) - len(ids)) + [True] * len(completion)
        ids = [*prompt, *completion]
    if not ids:
        raise ModelError("the conversation has no assistant turn", remedy="give a reply to train on")
    return Turns(tuple(ids), tuple(keep))


def describe(tokenizer: Any) -> str:
    """How conversations are written for this model, in words."""
    if not tokenizer.chat_template:
        return "plain 'User:' / 'Assistant:' lines, because the tokenizer has no chat template"
    from jinja2.exceptions import TemplateError

    try:
        if "s-y-s" in _apply(tokenizer, (Message("system", "s-y-s"), Message("user", "u")), True):
            return "the tokenizer's chat template"
    except (TemplateError, TypeError):
        pass  # refused: it has no system role
    return "the tokenizer's chat template; the system text goes to the head of the first user turn (no system role)"
