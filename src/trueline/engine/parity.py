"""Checks that training ids are inference ids: what a trainer's preflight asks before it spends anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from trueline.charter.turns import Message
from trueline.engine.templates import describe, encode_completion, encode_prompt, turn_ends
from trueline.errors import ModelError


@dataclass(frozen=True, slots=True)
class Parity:
    """`checked` conversations; `template` in words; `problems`: one line each, empty when all agree."""

    checked: int
    template: str
    problems: tuple[str, ...]

    @property
    def holds(self) -> bool:
        """Whether something was checked and nothing was wrong."""
        return self.checked > 0 and not self.problems


def parity(tokenizer: Any, examples: Sequence[tuple[Sequence[Message], str]]) -> Parity:
    """Compares, for every (conversation, reply): the prompt a trainer uses with the one inference uses and with the
    tokenizer's own `apply_chat_template(tokenize=True)`; one BOS at most; the reply ends in an id that inference stops
    at; the prompt decodes to the user's last words, and what is taught to the reply."""
    problems = []
    for i, (messages, reply) in enumerate(examples):
        try:
            problems += [f"example {i + 1}: {p}" for p in _problems(tokenizer, messages, reply)]
        except ModelError as e:
            problems.append(f"example {i + 1}: {e}")
    return Parity(len(examples), describe(tokenizer), tuple(problems))


def _problems(tokenizer: Any, messages: Sequence[Message], reply: str) -> list[str]:
    prompt, completion = encode_completion(tokenizer, messages, reply)
    found = []
    if prompt != encode_prompt(tokenizer, messages):
        found.append("the prompt in training differs from the prompt in use")
    if tokenizer.chat_template and "no system role" not in describe(tokenizer):
        theirs = tokenizer.apply_chat_template([m.to_dict() for m in messages], tokenize=True, add_generation_prompt=True)
        ids = theirs["input_ids"] if hasattr(theirs, "keys") else theirs
        if list(ids) != prompt:
            found.append("the prompt differs from the tokenizer's own apply_chat_template(tokenize=True)")
    bos = tokenizer.bos_token_id
    if bos is not None and bos != tokenizer.eos_token_id and (prompt + completion).count(bos) > 1:
        found.append(f"the beginning-of-sequence token {bos} stands {(prompt + completion).count(bos)} times")
    if not completion or completion[-1] not in turn_ends(tokenizer):
        found.append("the reply does not end with a token at which inference stops")
    asked = tokenizer.decode(prompt, skip_special_tokens=True)
    words = messages[-1].content if messages and messages[-1].role == "user" else ""
    if "".join(words.split()) not in "".join(asked.split()):
        found.append(f"the prompt {asked[-60:]!r} does not hold the user's words {words[:60]!r}")
    taught = tokenizer.decode(completion, skip_special_tokens=True)
    if reply.strip() not in taught:
        found.append(f"the taught text {taught[:60]!r} does not hold the reply {reply[:60]!r}")
    return found
