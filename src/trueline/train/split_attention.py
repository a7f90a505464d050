"""Attention of rows that several texts share, piece by piece: what may not see each other is never multiplied.

With a mask, a row of a prompt and its replies costs the square of its whole length. Split, the prompt attends to
itself, causally and without a mask, and each reply to the prompt and itself: as much as the texts cost alone, less the prompt's copies.
(The mask is made all the same: a window's pieces are read off it, and a model that gets none makes one.)
On a processor this is faster the more or the longer the replies are. Whether a loaded model computes it is tried on it once; where it does
not (a soft cap, attention sinks, an attention of its own), or on a GPU, where one call with a mask is faster than many, the mask stays.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

import torch

from trueline.train.layout import Layout, Mask
from trueline.train.own_attention import ERRORS, WINDOWS, attending, refuse_unknown

NAME = "trueline_split"
WORTH = 3.6  # how much larger the mask must be than its pieces: below, taking rows apart costs more than it saves (measured: 2 to 3.3)
CLOSE = 1e-4  # how far, relative to the largest hidden state, the two ways may be apart in float32
_tried: WeakKeyDictionary[Any, bool] = WeakKeyDictionary()


@dataclass(slots=True)
class _Plan:
    """layout: of the rows; plain: address of the mask that says nothing but what the layout says (no window); masks: of replies of one shape."""

    layout: Layout
    plain: int
    masks: dict[tuple[int, int], torch.Tensor] = field(default_factory=dict)

    def of(self, prompt: int, reply: int, like: torch.Tensor) -> torch.Tensor:
        """(reply, prompt + reply): a reply sees the whole prompt and itself up to each token."""
        if (prompt, reply) not in self.masks:
            out = torch.full((reply, prompt + reply), torch.finfo(like.dtype).min, dtype=like.dtype, device=like.device)
            self.masks[prompt, reply] = out.triu_(prompt + 1)
        return self.masks[prompt, reply]


_plan: _Plan | None = None


def _row(
    plan: _Plan, r: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor | None, scale: float | None
) -> torch.Tensor:
    """One row: query, key, value (heads, width, d) -> (heads, width, d). Pieces are split and not sliced: the backward pass of a slice fills an
    array as large as the whole."""
    attend = torch.nn.functional.scaled_dot_product_attention
    sizes = [n for prompt, replies in plan.layout.spans[r] for n in (prompt, *replies)]
    rest = query.shape[1] - sum(sizes)
    q, k, v = (torch.split(x, [*sizes, rest], dim=1) for x in (query, key, value))
    out, piece, here = [], 0, 0
    for prompt, replies in plan.layout.spans[r]:
        begin, at = here, piece
        own = None if mask is None else mask[begin : begin + prompt, begin : begin + prompt]
        out.append(attend(q[at][None], k[at][None], v[at][None], attn_mask=own, is_causal=own is None, scale=scale)[0])
        piece, here = piece + 1, here + prompt
        for n in replies:
            if mask is None:
                own = plan.of(prompt, n, query)
            else:
                columns = mask[here : here + n]
                own = torch.cat([columns[:, begin : begin + prompt], columns[:, here : here + n]], dim=1)
            keys, values = (torch.cat([x[at], x[piece]], dim=1)[None] for x in (k, v))
            out.append(attend(q[piece][None], keys, values, attn_mask=own, scale=scale)[0])
            piece, here = piece + 1, here + n
    if rest:
        out.append(torch.zeros_like(v[-1]))
    return torch.cat(out, dim=1)


def _forward(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **more: Any,
) -> tuple[torch.Tensor, None]:
    """What transformers calls as this model's attention: (rows, heads, width, d) -> (rows, width, heads, d)."""
    from transformers.integrations.sdpa_attention import repeat_kv

    plan = _plan
    refuse_unknown(plan is not None, dropout, more)
    assert plan is not None
    groups = getattr(module, "num_key_value_groups", 1)
    key, value = repeat_kv(key, groups), repeat_kv(value, groups)
    windowed = attention_mask is not None and attention_mask.data_ptr() != plan.plain
    rows = [
        _row(plan, r, q, k, v, attention_mask[r, 0] if windowed and attention_mask is not None else None, scaling)
        for r, (q, k, v) in enumerate(zip(query.unbind(), key.unbind(), value.unbind(), strict=True))
    ]
    return torch.stack(rows).transpose(1, 2).contiguous(), None


@contextmanager
def _splitting(model: Any, layout: Layout, plain: int) -> Iterator[None]:
    global _plan
    earlier, _plan = _plan, _Plan(layout, plain)
    try:
        with attending(model, NAME, _forward):
            yield
    finally:
        _plan = earlier


def _worth(layout: Layout) -> bool:
    """Whether the mask is so much larger than its pieces."""
    rows, width = layout.ids.shape
    pieces = sum(p * p / 2 + sum(n * (p + n / 2) for n in replies) for row in layout.spans for p, replies in row)
    return float(rows * width * width) >= WORTH * pieces


def split_hidden(model: Any, body: Any, layout: Layout, mask: Mask) -> torch.Tensor | None:
    """Last hidden states of a layout (rows, width, d), what stands in padding is no one's; None where the mask is to be used."""
    if layout.ids.device.type != "cpu" or not _worth(layout):
        return None
    if body not in _tried:
        _tried[body] = _agrees(model, body, layout, mask)
    return _hidden(model, body, layout, mask) if _tried[body] else None


def _hidden(model: Any, body: Any, layout: Layout, mask: Mask) -> torch.Tensor:
    whole = mask["full_attention"].data_ptr() if isinstance(mask, dict) and "full_attention" in mask else 0
    config = model.config.get_text_config()
    if isinstance(mask, torch.Tensor) and not any(getattr(config, name, None) for name in WINDOWS):
        whole = mask.data_ptr()
    with _splitting(model, layout, whole):
        found = body(input_ids=layout.ids, attention_mask=mask, position_ids=layout.positions, use_cache=False).last_hidden_state
    assert isinstance(found, torch.Tensor)
    return found


@torch.no_grad()
def _agrees(model: Any, body: Any, layout: Layout, mask: Mask) -> bool:
    real = layout.pair >= 0
    try:
        mine = _hidden(model, body, layout, mask)[real].float()
    except ERRORS:
        return False
    theirs = body(input_ids=layout.ids, attention_mask=mask, position_ids=layout.positions, use_cache=False).last_hidden_state[real].float()
    loose = CLOSE if next(body.parameters()).dtype == torch.float32 else 0.05
    return bool((mine - theirs).abs().max() <= loose * theirs.abs().max().clamp(min=1e-6))
