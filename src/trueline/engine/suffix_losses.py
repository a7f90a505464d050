"""Loss of a target after many suffixes, and its gradient with respect to the one-hot suffix, for one frame.

The columns before the slot are run once a search and their keys and values reused by every pass. A gradient pass also leaves those of the
suffix in hand: candidates that differ from it only from some column on start there. A model with recurrent layers, or one for which this is
not numerically the same (tried on the loaded model), is run in whole rows of equal length instead.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from trueline.engine.cache import RoomyLayer, cache_of, has_plain_attention, new_cache
from trueline.engine.loading import LocalModel
from trueline.engine.prefill import forward
from trueline.engine.suffix_frame import Frame, Ids
from trueline.errors import ModelError

_LOGITS = 2**26
"""Numbers of logits held at once, (rows, target, vocabulary): 256 MiB in float32."""


@dataclass(frozen=True, slots=True)
class Scored:
    """losses (rows,): mean negative log-probability (nats) of the target's tokens; greedy (rows,): whether each of them is the likeliest."""

    losses: torch.Tensor
    greedy: torch.Tensor


@dataclass(frozen=True, slots=True)
class Slope:
    """loss (nats) of the suffix in hand and its gradient (slot, vocabulary), both float32 on the CPU."""

    loss: float
    gradient: torch.Tensor


class SuffixLosses:
    """`rows`: suffixes run at once (halved where memory is short). `tokens` counts what was run, a backward pass as two runs. Raises
    `ModelError` where the loaded model does not read its input from its input embeddings alone."""

    def __init__(self, local: LocalModel, frame: Frame, *, rows: int = 64) -> None:
        self.local, self.frame, self.tokens = local, frame, 0
        self._targets = torch.tensor(frame.target, device=local.device)
        vocabulary = int(local.model.get_input_embeddings().weight.shape[0])
        self._rows = max(1, min(rows, _LOGITS // (len(frame.target) * vocabulary)))
        self._hand: Ids = frame.slot
        self._layers: list[RoomyLayer] | None = None
        _check_embeddings(local, self._row(frame.slot))
        if has_plain_attention(local.model.config.get_text_config()) and self._caches_truly():
            self._layers = self._prefix()

    @property
    def cached(self) -> bool:
        """Whether columns are reused, or every row is run whole."""
        return self._layers is not None

    def _row(self, slot: Ids) -> list[int]:
        """All ids but the target's last, which is predicted and never read."""
        f = self.frame
        return [*f.before, *slot, *f.after, *f.target[:-1]]

    @torch.no_grad()  # not inference mode: the gradient pass builds on these
    def _prefix(self) -> list[RoomyLayer]:
        if not self.frame.before:
            return []
        self.tokens += len(self.frame.before)
        ids = torch.tensor([self.frame.before], device=self.local.device)
        return list(forward(self.local, ids, past_key_values=new_cache(0))[1].layers)

    def _caches_truly(self) -> bool:
        """Whether a run on reused columns gives the losses of whole rows, on this loaded model."""
        slot = self.frame.slot
        other = (*slot[:-1], self.frame.allowed[-1])
        whole = self.losses([slot, other]).losses
        try:
            self._layers = self._prefix()
            reused = self.losses([slot, other]).losses
        except (RuntimeError, TypeError, ValueError, IndexError, AttributeError):
            return False
        finally:
            self._layers = None
        loose = 1e-3 if self.local.model.dtype == torch.float32 else 5e-2
        return bool(((reused - whole).abs() <= loose * (1 + whole.abs())).all())

    def losses(self, slots: Sequence[Ids]) -> Scored:
        """Loss of each slot, in the order given."""
        order = sorted(range(len(slots)), key=lambda i: (-self._same(slots[i]), slots[i]))
        loss, greedy = torch.empty(len(slots)), torch.empty(len(slots), dtype=torch.bool)
        at = 0
        while at < len(order):
            part = order[at : at + self._rows]
            try:
                found = self._part([slots[i] for i in part])
            except torch.OutOfMemoryError:
                if self._rows == 1:
                    raise ModelError("one suffix does not fit into memory", remedy="use bfloat16 or a shorter prompt") from None
                self._rows //= 2
                continue
            loss[part], greedy[part] = found.losses, found.greedy
            at += len(part)
        return Scored(loss, greedy)

    def _same(self, slot: Ids) -> int:
        """Columns of the slot that are those of the suffix in hand."""
        return next((n for n, (a, b) in enumerate(zip(slot, self._hand, strict=True)) if a != b), len(slot))

    @torch.inference_mode()
    def _part(self, slots: Sequence[Ids]) -> Scored:
        rows, wanted = [self._row(s) for s in slots], len(self.frame.target)
        inputs: dict[str, Any] = {}
        shared = 0
        if self._layers is not None:
            known = self._layers[0].keys.shape[2] if self._layers else 0
            shared = min(known, len(rows[0]) - wanted, len(self.frame.before) + min(self._same(s) for s in slots))
            inputs = {"past_key_values": cache_of(_first(self._layers, shared, len(rows), len(rows[0]) - shared))} if shared else {}
        ids = torch.tensor([r[shared:] for r in rows], device=self.local.device)
        self.tokens += ids.numel()
        positions = torch.arange(shared, len(rows[0]), device=self.local.device).expand(len(rows), -1)
        logits, _ = forward(self.local, ids, wanted, position_ids=positions, **inputs)  # (rows, target, vocab)
        chosen = logits.gather(2, self._targets.expand(len(rows), -1)[:, :, None])[:, :, 0]
        loss = (logits.logsumexp(dim=2) - chosen).mean(dim=1)
        return Scored(loss.cpu(), (logits.argmax(dim=2) == self._targets).all(dim=1).cpu())

    def slope(self, slot: Ids) -> Slope:
        """Loss of `slot`, which is from now on the suffix in hand, and the gradient of the loss by its one-hot rows (2307.15043,
        algorithm 1, line 3): that by its embeddings times the embedding table."""
        f, model = self.frame, self.local.model
        first = len(f.before) if self._layers is not None else 0
        row = torch.tensor([self._row(slot)[first:]], device=self.local.device)
        embedded = model.get_input_embeddings()(row).detach()
        at = len(f.before) - first
        part = embedded[:, at : at + len(slot)].clone().requires_grad_(True)
        pieces = torch.cat([embedded[:, :at], part, embedded[:, at + len(slot) :]], dim=1)
        cache = None
        if self._layers is not None:
            cache = cache_of(_first(self._layers, first, 1, row.shape[1])) if first else new_cache(0)
        logits, layers = _run_embedded(self.local, pieces, len(f.target), first, cache)
        loss = torch.nn.functional.cross_entropy(logits[0], self._targets)
        (by_embedding,) = torch.autograd.grad(loss, part)
        self.tokens += 3 * row.shape[1]
        if layers is not None:
            self._layers, self._hand = [_detached(layer) for layer in layers], slot
        return Slope(float(loss.detach()), by_token(model, by_embedding[0]))


def _first(layers: Sequence[RoomyLayer], columns: int, rows: int, ahead: int) -> list[RoomyLayer]:
    """New layers of `rows` equal rows that hold the first `columns`, with room for `ahead` more."""
    found = []
    for layer in layers:
        new = RoomyLayer(ahead)
        keys, values = layer.keys[:1, :, :columns], layer.values[:1, :, :columns]
        new.update(keys.expand(rows, -1, -1, -1), values.expand(rows, -1, -1, -1))
        found.append(new)
    return found


def _detached(layer: RoomyLayer) -> RoomyLayer:
    new = RoomyLayer(0)
    new.update(layer.keys.detach(), layer.values.detach())
    return new


def _run_embedded(local: LocalModel, pieces: torch.Tensor, wanted: int, first: int, cache: Any) -> tuple[torch.Tensor, Any]:
    """One run on embeddings (1, columns, width): the last `wanted` logits in float32, and the cache's layers (None without one)."""
    takes = inspect.signature(local.model.forward).parameters
    more: dict[str, Any] = {"logits_to_keep": wanted} if "logits_to_keep" in takes else {}
    if "position_ids" in takes:
        more["position_ids"] = torch.arange(first, first + pieces.shape[1], device=pieces.device)[None]
    out = local.model(inputs_embeds=pieces, past_key_values=cache, use_cache=cache is not None, **more)
    return out.logits[:, -wanted:].float(), (None if cache is None else list(cache.layers))


@torch.no_grad()
def by_token(model: Any, by_embedding: torch.Tensor, rows: int = 8192) -> torch.Tensor:
    """(slot, vocabulary) of (slot, width): the gradient by embeddings times each token's embedding, as the layer gives it (scaled or not),
    `rows` tokens at a time."""
    layer = model.get_input_embeddings()
    size = int(layer.weight.shape[0])
    parts = (torch.arange(at, min(at + rows, size), device=by_embedding.device) for at in range(0, size, rows))
    return torch.cat([(by_embedding @ layer(part).T).float().cpu() for part in parts], dim=1)


@torch.no_grad()
def _check_embeddings(local: LocalModel, row: Sequence[int]) -> None:
    """Raises `ModelError` where a run on embeddings is not the run on ids: the gradient would be that of another model."""
    ids = torch.tensor([list(row)], device=local.device)
    plain = local.model(input_ids=ids, use_cache=False).logits[0, -1].float()
    try:
        embedded = local.model.get_input_embeddings()(ids)
        logits, _ = _run_embedded(local, embedded, 1, 0, None)
        off = float((logits[0, -1] - plain).abs().max())
    except (RuntimeError, TypeError, ValueError, AttributeError) as e:
        off, why = float("inf"), f"{type(e).__name__}: {' '.join(str(e).split())[:120]}"
    else:
        why = f"logits differ by {off:.3g}"
    loose = 1e-3 if local.model.dtype == torch.float32 else 5e-2
    if not off <= loose * (1e-6 + float(plain.abs().max())):
        what = f"the model does not give the same on its input embeddings as on ids ({why})"
        raise ModelError(what, remedy="attack it with text attacks; a gradient search needs embeddings that are the whole input")
