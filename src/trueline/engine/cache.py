"""Keys and values of attention, with room ahead: a step writes in place instead of copying the whole past.

transformers' own dynamic cache concatenates at every token, which at 64 rows costs more than the model itself. Every
layer keeps all columns, also those with a sliding window (the window is in the mask, in column space, and rows are
padded on the left only, so column distance is position distance).
"""

from __future__ import annotations

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
        # zeros, not empty: a masked column still enters the product of weights and values, and 0 x NaN is NaN
        fresh = like.new_zeros((rows, like.shape[1], columns, like.shape[-1]))
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
            picked = [h[indices, :, : self._length] for h in self._held]
            self._held = None
            fresh = [self._reserve(p, p, len(indices), columns) for p in picked]
            self._held = (fresh[0], fresh[1])
            self._show()

    def spread(self, pads: torch.Tensor, ahead: int) -> None:
        """From one row to `len(pads)` rows, each moved right by its pad; `ahead` columns will follow."""
        assert self._held is not None
        shared = self._length
        source = (torch.arange(shared, device=pads.device)[None] - pads[:, None]).clamp(min=0)  # (rows, shared)
        rows = [h[0][:, source].transpose(0, 1) for h in self._held]  # (heads, rows, shared, width) -> rows first
        fresh = [self._reserve(r, r, len(pads), shared + ahead) for r in rows]
        self._held = (fresh[0], fresh[1])
        self._show()


def new_cache(room: int) -> Any:
    """An empty cache of `RoomyLayer`s with `room` free columns."""
    cache = Cache(layer_class_to_replicate=lambda: RoomyLayer(room))
    return cache


def has_plain_attention(config: Any) -> bool:
    """Whether every layer is attention over columns (no recurrent state), so that rows can share and be moved."""
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    return kinds <= _PLAIN
