"""Keys and values of attention, with room ahead: a step writes in place instead of copying the whole past.

transformers' own dynamic cache concatenates at every token, which at 64 rows costs more than the model itself. Every
layer keeps all columns, also those with a sliding window (the window is in the mask, in column space, and rows are
padded on the left only, so column distance is position distance).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers.cache_utils import Cache, DynamicLayer

_PLAIN = frozenset({"full_attention", "sliding_attention", "chunked_attention"})


class RoomyLayer(DynamicLayer):  # type: ignore[misc]  # transformers is untyped here
    """One layer's keys and values, (rows, heads, columns, width), as views of buffers with free columns at the end."""

    def __init__(self, room: int = 64) -> None:
        super().__init__()
        self.room = room
        self._held: tuple[torch.Tensor, torch.Tensor] | None = None
        self._length = 0

    def _reserve(self, like: torch.Tensor, past: torch.Tensor | None, rows: int, columns: int) -> torch.Tensor:
        # empty will do: only columns that were written are ever shown, padding among them
        fresh = like.new_empty((rows, like.shape[1], columns, like.shape[-1]))
        if past is not None and self._length:
            fresh[:, :, : self._length] = past[:, :, : self._length]
        return fresh

    def _show(self) -> None:
        assert self._held is not None
        self.keys = self._held[0][:, :, : self._length]
        self.values = self._held[1][:, :, : self._length]

    def update(self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """Appends the new columns and returns all of them."""
        self.is_initialized = True
        end = self._length + key_states.shape[-2]
        if self._held is None or end > self._held[0].shape[2]:
            past = self._held or (None, None)
            columns, rows = end + max(self.room, end // 4), key_states.shape[0]
            self._held = (
                self._reserve(key_states, past[0], rows, columns),
                self._reserve(value_states, past[1], rows, columns),
            )
        self._held[0][:, :, self._length : end] = key_states
        self._held[1][:, :, self._length : end] = value_states
        self._length = end
        self._show()
        return self.keys, self.values

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        """Keeps the rows `indices` (n,)."""
        if self._held is not None:
            columns = self._held[0].shape[2]
            fresh = []
            for held in self._held:
                target = held.new_empty((len(indices), held.shape[1], columns, held.shape[-1]))
                for to, index in enumerate(indices.tolist()):  # row by row: no second copy of the whole cache
                    target[to, :, : self._length] = held[index, :, : self._length]
                fresh.append(target)
            self._held = (fresh[0], fresh[1])
            self._show()

    def spread(self, pads: torch.Tensor, ahead: int) -> RoomyLayer:
        """A new layer of `len(pads)` rows out of this one's single row, each moved right by its pad, with `ahead`
        columns to follow. Padding columns hold copies of the first column: finite, and masked."""
        assert self._held is not None
        source = (torch.arange(self._length, device=pads.device)[None] - pads[:, None]).clamp(min=0)  # (rows, shared)
        out = RoomyLayer(self.room)
        out._length = self._length
        # indexing gives (heads, rows, shared, width): rows first
        rows = [h[0][:, source].transpose(0, 1) for h in self._held]
        fresh = [out._reserve(r, r, len(pads), self._length + ahead) for r in rows]
        out._held, out.is_initialized = (fresh[0], fresh[1]), True
        out._show()
        return out


def joined(parts: Sequence[tuple[Sequence[int], RoomyLayer]], width: int, room: int) -> RoomyLayer:
    """One layer of the last `width` columns out of several, each with the row numbers that it holds; all rows end at the
    last column. A row number below 0 is left out."""
    out = RoomyLayer(room)
    out._length, count = width, sum(row >= 0 for rows, _ in parts for row in rows)
    fresh = []
    for side in (0, 1):
        like = parts[0][1]._held
        assert like is not None
        whole = like[side].new_empty((count, like[side].shape[1], width + room, like[side].shape[-1]))
        for rows, part in parts:
            assert part._held is not None
            left, past = max(0, width - part._length), max(0, part._length - width)
            for n, row in enumerate(rows):
                if row >= 0:
                    whole[row, :, :left] = 0  # masked, but 0 x NaN would be NaN
                    whole[row, :, left:width] = part._held[side][n, :, past : part._length]
        fresh.append(whole)
    out._held, out.is_initialized = (fresh[0], fresh[1]), True
    out._show()
    return out


def new_cache(room: int) -> Any:
    """An empty cache of `RoomyLayer`s with `room` free columns."""
    return Cache(layer_class_to_replicate=lambda: RoomyLayer(room))


def cache_of(layers: Sequence[RoomyLayer]) -> Any:
    """A cache of the given layers."""
    return Cache(layers=list(layers))


def has_plain_attention(config: Any) -> bool:
    """Whether every layer is attention over columns (no recurrent state), so that rows can share and be moved."""
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    return kinds <= _PLAIN
