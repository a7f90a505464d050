"""Where tokens stand: rows for a model in which several texts, or a prompt and its two replies, share a row without seeing each other.

A group is a prompt (computed once) and the replies to it, none of which sees another; replies take up the positions behind the
prompt ("Accelerating DPO with prefix sharing", 2410.20305). A row holds one group or, packed, several. The mask is additive (a boolean
one is silently wrong under eager attention) and, for layers with a sliding window, restricted in position space.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

Ids = Sequence[int]
Mask = torch.Tensor | dict[str, torch.Tensor]


@dataclass(frozen=True, slots=True)
class Group:
    """`prompt` ids and the ids of each reply to it. `earlier`: spans (begin, end) of the prompt that count too, with the first reply."""

    prompt: Ids
    replies: tuple[Ids, ...]
    earlier: tuple[tuple[int, int], ...] = ()

    def __len__(self) -> int:
        return len(self.prompt) + sum(map(len, self.replies))


@dataclass(frozen=True, slots=True)
class Layout:
    """ids, positions: (rows, width). pair, part: (rows, width), which group a token belongs to (-1: padding) and which reply of it
    (0: the prompt). For every token that counts, in the order of groups and replies: `row` and `at` where it is predicted from,
    `target` its id, `reply` the running number of its reply; all (counted,). `ends`: (replies, 2), row and place of the last tokens.
    `spans`: of every row, of every group in it, the tokens of its prompt and of each reply."""

    ids: torch.Tensor
    positions: torch.Tensor
    pair: torch.Tensor
    part: torch.Tensor
    row: torch.Tensor
    at: torch.Tensor
    target: torch.Tensor
    reply: torch.Tensor
    ends: torch.Tensor
    spans: tuple[tuple[tuple[int, tuple[int, ...]], ...], ...]


def lay_out(rows: Sequence[Sequence[Group]], pad_id: int, device: torch.device) -> Layout:
    """Puts the groups of every row one behind the other, padded on the right to the longest row."""
    n, width = len(rows), max(sum(map(len, groups)) for groups in rows)
    ids = torch.full((n, width), pad_id)
    positions, part = torch.zeros((2, n, width), dtype=torch.long)
    pair = torch.full((n, width), -1)
    row_of: list[int] = []
    at_of: list[int] = []
    target: list[int] = []
    reply: list[int] = []
    ends: list[tuple[int, int]] = []
    number = 0
    for r, groups in enumerate(rows):
        here = 0
        for g, group in enumerate(groups):
            p, begin = len(group.prompt), here
            flat = [*group.prompt]
            for reply_ids in group.replies:
                flat += reply_ids
            ids[r, begin : begin + len(flat)] = torch.tensor(flat)
            pair[r, begin : begin + len(flat)] = g
            positions[r, begin : begin + p] = torch.arange(p)
            for a, b in group.earlier:
                at_of += range(begin + a - 1, begin + b - 1)
                row_of += [r] * (b - a)
                target += group.prompt[a:b]
                reply += [number] * (b - a)
            here = begin + p
            for k, reply_ids in enumerate(group.replies, 1):
                m = len(reply_ids)
                positions[r, here : here + m] = torch.arange(p, p + m)
                part[r, here : here + m] = k
                # a token is predicted from the one before it; the first of each reply from the prompt's last
                at_of += [begin + p - 1, *range(here, here + m - 1)]
                row_of += [r] * m
                target += reply_ids
                reply += [number] * m
                here += m
                ends.append((r, here - 1))
                number += 1
    tensors = [ids, positions, pair, part, *map(torch.tensor, (row_of, at_of, target, reply, ends))]
    spans = tuple(tuple((len(g.prompt), tuple(map(len, g.replies))) for g in groups) for groups in rows)
    return Layout(*(t.to(device) for t in tensors), spans=spans)  # type: ignore[misc]  # nine tensors


def _visible(layout: Layout) -> torch.Tensor:
    """(rows, width, width), True where query (first) may see key (second): earlier, of its own group, in the prompt or its own reply."""
    width = layout.ids.shape[1]
    causal = torch.ones((width, width), dtype=torch.bool, device=layout.ids.device).tril()
    own = (layout.part[:, None, :] == 0) | (layout.part[:, None, :] == layout.part[:, :, None])
    seen = causal & own & (layout.pair[:, None, :] == layout.pair[:, :, None])
    # padding sees itself: a row of the softmax over nothing is not a number
    return seen | torch.eye(width, dtype=torch.bool, device=seen.device)


def _additive(seen: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    out = torch.zeros(seen.shape, dtype=dtype, device=seen.device).masked_fill_(~seen, torch.finfo(dtype).min)
    return out[:, None]


def mask_of(layout: Layout, config: Any, dtype: torch.dtype) -> Mask:
    """What goes in as `attention_mask`: (rows, 1, width, width), or one such mask for every kind of layer where the model has several.

    A window of w tokens means positions less than w apart; a chunk of c, positions with the same quotient by c (Llama 4)."""
    seen = _visible(layout)
    kinds = set(getattr(config, "layer_types", None) or [])
    window, chunk = getattr(config, "sliding_window", None), getattr(config, "attention_chunk_size", None)
    if not kinds and window and getattr(config, "use_sliding_window", True):
        kinds = {"sliding_attention"}
    apart = layout.positions[:, :, None] - layout.positions[:, None, :]

    def of(kind: str) -> torch.Tensor:
        if kind == "sliding_attention" and window:
            return _additive(seen & (apart < window), dtype)
        if kind == "chunked_attention" and chunk:
            same = (layout.positions // chunk)[:, :, None] == (layout.positions // chunk)[:, None, :]
            return _additive(seen & same, dtype)
        return _additive(seen, dtype)

    if len(kinds) <= 1:
        return of(next(iter(kinds), "full_attention"))
    return {kind: of(kind) for kind in sorted(kinds)}
