"""Rows and batches: token ids with the positions that count, grouped by length to a token budget, in a seeded order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from trueline.charter.turns import Message
from trueline.core.clock import generator
from trueline.engine.templates import encode_completion
from trueline.train.head import body_of, form_of, picked_logps


@dataclass(frozen=True, slots=True)
class Row:
    """prompt + completion ids. The completion counts, and of the prompt the spans (begin, end) in `earlier`: the assistant's turns
    of a conversation that is taught whole. `weight` multiplies its loss."""

    prompt: tuple[int, ...]
    completion: tuple[int, ...]
    weight: float = 1.0
    earlier: tuple[tuple[int, int], ...] = ()

    def __len__(self) -> int:
        return len(self.prompt) + len(self.completion)

    def spans(self) -> tuple[tuple[int, int], ...]:
        """(begin, end) of everything that counts, in order."""
        return (*self.earlier, (len(self.prompt), len(self)))

    def counted(self) -> int:
        """How many tokens count."""
        return sum(end - begin for begin, end in self.spans())


def make_row(tokenizer: Any, messages: Sequence[Message], reply: str, limit: int, weight: float = 1.0) -> Row | None:
    """Encodes one example; None where it does not fit `limit` tokens (the caller counts and says so, nothing is cut)."""
    prompt, completion = encode_completion(tokenizer, messages, reply)
    if len(prompt) + len(completion) > limit:
        return None
    return Row(tuple(prompt), tuple(completion), weight)


def batches(lengths: Sequence[int], budget: int, seed: int, epoch: int) -> list[list[int]]:
    """Indices in batches of at most `budget` padded tokens: alike lengths together, batches in a random order."""
    source = generator(seed, "batches", str(epoch))
    order = list(range(len(lengths)))
    source.shuffle(order)
    order.sort(key=lambda i: lengths[i] // 8)
    out: list[list[int]] = []
    current: list[int] = []
    longest = 0
    for i in order:
        longest = max(longest, lengths[i])
        if current and longest * (len(current) + 1) > budget:
            out.append(current)
            current, longest = [], lengths[i]
        current.append(i)
    if current:
        out.append(current)
    source.shuffle(out)
    return out


@dataclass(frozen=True, slots=True)
class Padded:
    """ids: (rows, length), padded on the right; keep: (rows, length - 1), True where the next token counts."""

    ids: torch.Tensor
    keep: torch.Tensor


def pad(rows: Sequence[Row], pad_id: int, device: torch.device) -> Padded:
    """Stacks rows, padded on the right; padding is masked by length, never by id."""
    length = max(len(r) for r in rows)
    ids = torch.full((len(rows), length), pad_id)
    keep = torch.zeros((len(rows), length - 1), dtype=torch.bool)
    for i, r in enumerate(rows):
        ids[i, : len(r)] = torch.tensor(r.prompt + r.completion)
        for begin, end in r.spans():
            keep[i, begin - 1 : end - 1] = True
    return Padded(ids.to(device), keep.to(device))


def token_logps(model: Any, batch: Padded) -> torch.Tensor:
    """Log-probabilities of the counted tokens, shape (rows, length - 1), zero elsewhere. The vocabulary is projected at
    counted positions only. No attention mask goes in: what stands to the right, no causal model sees."""
    form = form_of(model)
    targets = batch.ids[:, 1:][batch.keep]
    if form.direct:
        head = model.get_output_embeddings()
        hidden = body_of(model)(input_ids=batch.ids, use_cache=False).last_hidden_state[:, :-1][batch.keep]
        picked = picked_logps(hidden, head.weight, head.bias, targets, form)
    else:
        logits = model(input_ids=batch.ids, use_cache=False).logits[:, :-1][batch.keep].float()
        picked = torch.log_softmax(logits, dim=-1).gather(1, targets[:, None])[:, 0]
    out = torch.zeros(batch.keep.shape, device=picked.device, dtype=picked.dtype)
    return out.masked_scatter(batch.keep, picked)
