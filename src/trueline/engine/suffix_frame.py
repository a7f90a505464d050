"""The place of a suffix among tokens: [before | slot | after | target], and which slots stay themselves when they are written as text.

`before` is the template's opening, earlier turns and the request; `after` the end of the user's turn and the opening of the assistant's. A
slot counts only where its text, put into the conversation and tokenised anew, gives the very same ids: otherwise the attack found on
tokens is not the attack that anybody can send.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from trueline.charter.turns import Message
from trueline.core.ports import with_suffix
from trueline.engine.loading import LocalModel
from trueline.engine.templates import encode_completion, encode_prompt, render, turn_ends
from trueline.errors import ModelError

Ids = tuple[int, ...]
_MARK = "qzxslotxzq"
"""Stands for the suffix while the template writes round it."""
_OPENINGS = (" !", "!", " x", " the", " and")
"""Pieces to begin with, repeated; the first of the paper's (2307.15043, section 3: '! ! !')."""


@dataclass(frozen=True, slots=True)
class Frame:
    """`before`, `slot` (the first suffix), `after`, `target`: token ids; `head` and `tail`: the text round the slot; `allowed`: ids that may
    stand in a slot (ASCII, printable, not special); `messages`: the conversation without a suffix."""

    tokenizer: Any
    messages: tuple[Message, ...]
    before: Ids
    slot: Ids
    after: Ids
    target: Ids
    head: str
    tail: str
    allowed: Ids

    def text(self, slot: Sequence[int]) -> str:
        """The slot as text, in its place: a leading space that its first token stands for is kept."""
        return self.texts([slot])[0]

    def texts(self, slots: Sequence[Sequence[int]]) -> list[str]:
        """Of each slot."""
        anchor = list(self.before[-8:])
        known, *whole = _decode(self.tokenizer, [anchor, *([*anchor, *s] for s in slots)])
        return [w[len(known) :] for w in whole]

    def faithful(self, slots: Sequence[Ids]) -> list[Ids]:
        """Those that come back from their text as the same ids, in the order given."""
        found = self.texts(slots)
        # templates trim a turn, and white space at its end would be lost
        neat = [(s, t) for s, t in zip(slots, found, strict=True) if t and t == t.rstrip() and "\ufffd" not in t]
        back = _encode(self.tokenizer, [self.head + t + self.tail for _, t in neat])
        return [s for (s, _), ids in zip(neat, back, strict=True) if tuple(ids) == (*self.before, *s, *self.after)]

    def written(self, slot: Ids) -> bool:
        """Whether the model's template, given the text, gives these ids: the last word, on the way that every request takes."""
        found = encode_prompt(self.tokenizer, with_suffix(self.messages, self.text(slot)))
        return tuple(found) == (*self.before, *slot, *self.after)


def _decode(tokenizer: Any, rows: Sequence[Sequence[int]]) -> list[str]:
    return [str(t) for t in tokenizer.batch_decode(rows, skip_special_tokens=False, clean_up_tokenization_spaces=False)]


def _encode(tokenizer: Any, texts: Sequence[str]) -> list[list[int]]:
    """As `encode_prompt` encodes a rendered conversation, many at once."""
    if not texts:
        return []
    bare = not tokenizer.chat_template
    found = [list(ids) for ids in tokenizer(list(texts), add_special_tokens=bare, return_attention_mask=False)["input_ids"]]
    for ids in found:
        while bare and ids and ids[-1] == tokenizer.eos_token_id:
            ids.pop()
    return found


def allowed_ids(tokenizer: Any) -> Ids:
    """Ids whose text is printable ASCII: no special or added token, no control character, no half of a character."""
    barred = {int(i) for i in tokenizer.all_special_ids} | {int(i) for i in tokenizer.added_tokens_decoder}
    ids = sorted({int(i) for i in tokenizer.get_vocab().values()} - barred)
    texts = _decode(tokenizer, [[i] for i in ids])
    return tuple(i for i, t in zip(ids, texts, strict=True) if t and t.isascii() and t.isprintable())


def frame_of(local: LocalModel, messages: Sequence[Message], target: str, length: int) -> Frame:
    """The frame of a search for `length` tokens. Raises `ModelError` where template or tokenizer leave the slot no borders of its own, the
    target is empty, or all together is longer than the model's context."""
    tokenizer, talk = local.tokenizer, tuple(messages)
    marked = render(tokenizer, with_suffix(talk, _MARK))
    if marked.count(_MARK) != 1:
        what = f"the chat template writes the end of the last user turn {marked.count(_MARK)} times, expected once"
        raise ModelError(what, remedy="attack this model with text attacks")
    head, tail = marked.split(_MARK)
    before, bare = _encode(tokenizer, [head, head + tail])
    after = tuple(bare[len(before) :])
    allowed = allowed_ids(tokenizer)
    rest = (tokenizer.decode([i], clean_up_tokenization_spaces=False) for i in allowed)
    for piece in (*_OPENINGS, *rest):
        (whole,) = _encode(tokenizer, [head + piece * length + tail])
        slot = tuple(whole[len(before) : len(before) + length])
        if not (slot and set(slot) <= set(allowed) and tuple(whole) == (*before, *slot, *after)):
            continue
        frame = Frame(tokenizer, talk, tuple(before), slot, after, (), head, tail, allowed)
        if frame.faithful([slot]) and frame.written(slot):
            return _aimed(local, frame, target)
    what = f"no run of {length} tokens after this request stays as it is when it is tokenised again"
    raise ModelError(what, remedy="try another length of the suffix")


def _aimed(local: LocalModel, frame: Frame, target: str) -> Frame:
    """The frame with the ids of the reply's opening, the end of turn left off."""
    tokenizer, ends = frame.tokenizer, turn_ends(frame.tokenizer)
    prompt, completion = encode_completion(tokenizer, with_suffix(frame.messages, frame.text(frame.slot)), target)
    while completion and completion[-1] in ends:
        completion.pop()
    if not completion or not target.strip():
        raise ModelError("the target of a gradient search has no tokens", remedy="give the opening words of the reply to look for")
    assert tuple(prompt) == (*frame.before, *frame.slot, *frame.after)
    size = len(prompt) + len(completion)
    if size > local.context:
        what = f"request, suffix and target have {size} tokens, the model takes at most {local.context}"
        raise ModelError(what, remedy="shorten the system prompt, the suffix or the target")
    return Frame(tokenizer, frame.messages, frame.before, frame.slot, frame.after, tuple(completion), frame.head, frame.tail, frame.allowed)


def merged(current: Ids, ranked: Iterable[Ids]) -> list[Ids]:
    """The swaps of the best candidates put together, one after the other: [best, best + second, ...] (I-GCG, 2405.21018, section 3.3). A
    place that a better candidate has changed keeps that change. Without the first, which is a candidate already."""
    found: list[Ids] = []
    together = list(current)
    for candidate in ranked:
        for n, (was, new) in enumerate(zip(current, candidate, strict=True)):
            if new != was and together[n] == was:
                together[n] = new
        if tuple(together) != current and tuple(together) not in found:
            found.append(tuple(together))
    return found[1:]
