"""Runs the prompts of a batch: the prefix that all share is computed once, a prompt that stands there several times once, the rest
left-padded.

Row r of a batch of width L is [pad_r | prompt_r], contiguous and ending at the last column. The shared prefix is run as
one row; each row gets it moved right by its pad, and the last L - shared columns of every row are run together. A row
shorter than the batch thus computes a few prefix tokens again in columns that would have been padding anyway.

Whether a loaded model may be batched and shared like this is decided by trying it (`batches_truly`), never by its name:
a model that fails the trial is run one row at a time.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import torch

from trueline.engine.cache import cache_of, has_plain_attention, joined, new_cache
from trueline.engine.loading import LocalModel

SHARE_FROM = 16
"""Tokens from which a shared prefix is worth a run of its own."""
RUN_COST = 48
"""What one more run of the model costs, in columns of one row (measured on two cores at 8 M parameters)."""
_TRIED: WeakKeyDictionary[Any, bool] = WeakKeyDictionary()


@dataclass(slots=True)
class Prefilled:
    """cache; mask (rows, columns), True = real; positions (rows,) of each row's last column; logits (rows, keep, vocab)
    of the last `keep` columns, float32."""

    cache: Any
    mask: torch.Tensor
    positions: torch.Tensor
    logits: torch.Tensor


def common_prefix(rows: Sequence[Sequence[int]]) -> int:
    """Length of the longest prefix that all rows share, at least one token short of the shortest."""
    limit = min(len(r) for r in rows) - 1
    first = rows[0]
    for n in range(limit):
        if any(r[n] != first[n] for r in rows):
            return n
    return limit


def forward(local: LocalModel, ids: torch.Tensor, keep: int = 1, **inputs: Any) -> tuple[torch.Tensor, Any]:
    """One run of the model: (logits of the last `keep` columns (rows, keep, vocab) in float32, cache)."""
    takes = inspect.signature(local.model.forward).parameters
    if "position_ids" not in takes:
        inputs.pop("position_ids", None)
    if "logits_to_keep" in takes:
        inputs["logits_to_keep"] = keep
    out = local.model(input_ids=ids, use_cache=inputs.get("past_key_values") is not None, **inputs)
    return out.logits[:, -keep:].float(), out.past_key_values


def blocks_of(lengths: Sequence[int], shared: int) -> list[list[int]]:
    """Row numbers in blocks of like length, so that little padding is run: the split of the rows, longest first, with
    the fewest columns, where a run of its own costs as much as `RUN_COST` columns."""
    order = sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))
    best, cut = [0.0], [0]  # least cost of the first n rows, and where their last block begins
    for n in range(1, len(order) + 1):
        costs = [best[k] + RUN_COST + (n - k) * (lengths[order[k]] - shared) for k in range(n)]
        k = min(range(n), key=costs.__getitem__)
        best.append(costs[k])
        cut.append(k)
    blocks, n = [], len(order)
    while n:
        blocks.append(order[cut[n] : n])
        n = cut[n]
    return blocks[::-1]


@torch.inference_mode()
def prefill(local: LocalModel, rows: Sequence[Sequence[int]], *, room: int = 64, keep: int = 1, share: bool = True) -> Prefilled:
    """Runs `rows` of token ids. `room`: columns that will follow; `keep`: logits wanted, counted from the end."""
    device = local.device
    once = list(dict.fromkeys(tuple(r) for r in rows))
    if len(once) < len(rows) and has_plain_attention(local.model.config.get_text_config()):
        return _repeated(prefill(local, once, room=room, keep=keep, share=share), once, rows)
    width = max(len(r) for r in rows)
    if not has_plain_attention(local.model.config.get_text_config()):
        assert len(rows) == 1, "recurrent states cannot be padded"
        from transformers import DynamicCache

        ids = torch.tensor([list(rows[0])], device=device)
        logits, cache = forward(local, ids, keep, past_key_values=DynamicCache(config=local.model.config))
        return Prefilled(cache, torch.ones_like(ids, dtype=torch.bool), torch.tensor([width - 1], device=device), logits)
    # the columns whose logits are wanted must be run in every row
    shared = min(common_prefix(rows), width - keep) if share and len(rows) > 1 else 0
    head = None
    if shared >= SHARE_FROM:
        ids = torch.tensor([list(rows[0][:shared])], device=device)
        head = forward(local, ids, past_key_values=new_cache(0))[1]
    else:
        shared = 0
    blocks = blocks_of([len(r) for r in rows], shared) if keep == 1 else [list(range(len(rows)))]
    parts = [_block(local, [rows[i] for i in b], head, shared, room if len(blocks) == 1 else 0, keep) for b in blocks]
    if len(parts) == 1 and blocks[0] == sorted(blocks[0]):
        return parts[0]
    return _joined(blocks, parts, width, room)


def _repeated(done: Prefilled, once: Sequence[tuple[int, ...]], rows: Sequence[Sequence[int]]) -> Prefilled:
    """The prompts of `once` as often as they stand in `rows`: a group of samples computes its prompt once."""
    place = {row: n for n, row in enumerate(once)}
    index = torch.tensor([place[tuple(r)] for r in rows], device=done.mask.device)
    done.cache.batch_select_indices(index)
    return Prefilled(done.cache, done.mask[index], done.positions[index], done.logits[index])


def _block(local: LocalModel, rows: Sequence[Sequence[int]], head: Any, shared: int, room: int, keep: int) -> Prefilled:
    """Runs rows of like length together, after the `shared` columns that `head` holds."""
    device, width = local.device, max(len(r) for r in rows)
    pads = torch.tensor([width - len(r) for r in rows], device=device)
    mask = torch.arange(width, device=device)[None] >= pads[:, None]
    positions = (mask.long().cumsum(1) - 1).clamp(min=0)
    filler = int(local.tokenizer.pad_token_id or 0)
    padded = [[filler] * (width - len(r)) + list(r) for r in rows]
    cache = new_cache(room)
    if head is not None:
        cache = cache_of([layer.spread(pads, width - shared + room) for layer in head.layers])
    logits, cache = forward(
        local,
        torch.tensor([p[shared:] for p in padded], device=device),
        keep,
        attention_mask=_mask_for_model(mask),
        position_ids=positions[:, shared:],
        past_key_values=cache,
    )
    return Prefilled(cache, mask, positions[:, -1], logits)


def _joined(blocks: Sequence[Sequence[int]], parts: Sequence[Prefilled], width: int, room: int) -> Prefilled:
    """The blocks as one batch in the order of its rows, right-aligned."""
    layers = [
        joined([(b, p.cache.layers[i]) for b, p in zip(blocks, parts, strict=True)], width, room) for i in range(len(parts[0].cache.layers))
    ]
    back = torch.tensor([i for b in blocks for i in b], device=parts[0].mask.device).argsort()
    masks = [torch.nn.functional.pad(p.mask, (width - p.mask.shape[1], 0)) for p in parts]
    return Prefilled(
        cache_of(layers),
        torch.cat(masks)[back],
        torch.cat([p.positions for p in parts])[back],
        torch.cat([p.logits for p in parts])[back],
    )


def _mask_for_model(mask: torch.Tensor) -> torch.Tensor | None:
    """None where nothing is padded: the model then takes its fastest path."""
    return None if bool(mask.all()) else mask.long()


def _trial_rows(local: LocalModel) -> list[list[int]]:
    """Three rows that share a prefix, of unequal length, longer than a short sliding window."""
    config = local.model.config.get_text_config()
    window = getattr(config, "sliding_window", None) or 0
    length = min(48 + (window if window <= 512 else 0), local.context - 8)
    special = {int(i) for i in local.tokenizer.all_special_ids}
    usable = [i for i in range(min(int(config.vocab_size), 400)) if i not in special] or [0]
    ids = [usable[(7 * i * i + 3 * i) % len(usable)] for i in range(length)]
    return [ids, ids[: length - 9], [*ids[: length - 4], usable[-1]]]


def batches_truly(local: LocalModel) -> bool:
    """Whether this loaded model gives the same logits in a shared, padded batch as alone. Tried once a model."""
    if local.model not in _TRIED:
        _TRIED[local.model] = _try_batching(local)
    return _TRIED[local.model]


@torch.inference_mode()
def _try_batching(local: LocalModel) -> bool:
    if not has_plain_attention(local.model.config.get_text_config()) or local.context < 40:
        return False
    rows = _trial_rows(local)
    try:
        together = prefill(local, rows)
    except (RuntimeError, TypeError, ValueError, IndexError, AttributeError):
        return False  # the model cannot take a mask, positions or this cache: one row at a time then
    for r, row in enumerate(rows):
        alone = local.model(input_ids=torch.tensor([row], device=local.device), use_cache=False).logits[0, -1].float()
        scale = float(alone.abs().max()) + 1e-6
        loose = 5e-2 if local.model.dtype != torch.float32 else 1e-3
        if not float((together.logits[r, -1] - alone).abs().max()) <= loose * scale:
            return False
    return True
