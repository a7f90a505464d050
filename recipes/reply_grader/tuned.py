"""The last layers of an encoder with low-rank changes, trained from the frozen states below them.

The layers are written out on plain tensors, so that what is trained (A, B and the head) is all there is to ship.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

PARTS = (
    "attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense", "intermediate.dense", "output.dense",
)  # fmt: skip
HEADS, EPS = 12, 1e-12


@dataclass(frozen=True, slots=True)
class Settings:
    """rank of the changes; rate (AdamW's, decayed to 0); epochs; batch in replies; smoothing of the labels; dropped: share of the head's
    input; seed."""

    rank: int = 16
    rate: float = 1e-3
    epochs: int = 3
    batch: int = 32
    smoothing: float = 0.05
    dropped: float = 0.1
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Ragged:
    """states (tokens of all texts, width) in half precision; `at` (texts + 1,) says where each text's begin."""

    states: NDArray[np.float16]
    at: NDArray[np.int64]

    def batch(self, which: Sequence[int]) -> tuple[Tensor, Tensor]:
        """(texts, longest, width) and which of it counts."""
        parts = [self.states[self.at[i] : self.at[i + 1]].astype(np.float32) for i in which]
        n = max(len(p) for p in parts)
        out, keep = np.zeros((len(parts), n, parts[0].shape[1]), np.float32), np.zeros((len(parts), n), bool)
        for j, p in enumerate(parts):
            out[j, : len(p)], keep[j, : len(p)] = p, True
        return torch.from_numpy(out), torch.from_numpy(keep)


class Tuned:
    """Layers `first`..`last` (0-based, `last` excluded) of `weights` with changes, and a linear head over the mean states before and
    after them."""

    def __init__(self, weights: dict[str, Tensor], first: int, last: int, classes: int, settings: Settings) -> None:
        source = torch.Generator().manual_seed(settings.seed)
        self.weights, self.layers, self.dropped = weights, [f"encoder.layer.{i}" for i in range(first, last)], settings.dropped
        self.free: dict[str, Tensor] = {}
        for name in (f"{layer}.{part}.weight" for layer in self.layers for part in PARTS):
            out, into = weights[name].shape
            self.free[f"{name}.a"] = torch.randn(settings.rank, into, generator=source) / math.sqrt(into)
            self.free[f"{name}.b"] = torch.zeros(out, settings.rank)
        width = weights["embeddings.LayerNorm.weight"].shape[0]
        self.free["head.weight"], self.free["head.bias"] = torch.zeros(classes, 2 * width), torch.zeros(classes)
        for t in self.free.values():
            t.requires_grad_()

    def _linear(self, x: Tensor, name: str) -> Tensor:
        plain = F.linear(x, self.weights[f"{name}.weight"], self.weights[f"{name}.bias"])
        return plain + (x @ self.free[f"{name}.weight.a"].T) @ self.free[f"{name}.weight.b"].T

    def _norm(self, x: Tensor, name: str) -> Tensor:
        return F.layer_norm(x, x.shape[-1:], self.weights[f"{name}.weight"], self.weights[f"{name}.bias"], EPS)

    def _layer(self, x: Tensor, keep: Tensor, name: str) -> Tensor:
        b, n, width = x.shape
        q, k, v = (self._linear(x, f"{name}.{p}").view(b, n, HEADS, -1).transpose(1, 2) for p in PARTS[:3])
        seen = F.scaled_dot_product_attention(q, k, v, attn_mask=keep[:, None, None, :])
        x = self._norm(
            x + self._linear(seen.transpose(1, 2).reshape(b, n, width), f"{name}.{PARTS[3]}"), f"{name}.attention.output.LayerNorm"
        )
        wide = F.gelu(self._linear(x, f"{name}.{PARTS[4]}"))
        return self._norm(x + self._linear(wide, f"{name}.{PARTS[5]}"), f"{name}.output.LayerNorm")

    def embedded(self, ids: Tensor) -> Tensor:
        """(texts, longest, width): word + position + the first token type, normalised."""
        word, position, kind = (self.weights[f"embeddings.{n}_embeddings.weight"] for n in ("word", "position", "token_type"))
        return self._norm(word[ids] + position[: ids.shape[1]] + kind[0], "embeddings.LayerNorm")

    def states(self, x: Tensor, keep: Tensor) -> Tensor:
        """The states after these layers, from those before them."""
        for name in self.layers:
            x = self._layer(x, keep, name)
        return x

    def logits(self, x: Tensor, keep: Tensor, chance: torch.Generator | None = None) -> Tensor:
        """(texts, classes). `chance`: drops parts of the head's input, in training."""
        weigh = keep[:, :, None] / keep.sum(dim=1)[:, None, None]
        before = (x * weigh).sum(dim=1)
        mean = torch.cat([before, (self.states(x, keep) * weigh).sum(dim=1)], dim=1)
        if chance is not None:
            mean = mean * (torch.rand(mean.shape, generator=chance) >= self.dropped) / (1 - self.dropped)
        return F.linear(mean, self.free["head.weight"], self.free["head.bias"])


def _batches(at: NDArray[np.int64], size: int, chance: np.random.Generator, text: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Rows in batches of about equal length, the batches in random order."""
    length = at[text + 1] - at[text]
    order = np.lexsort((chance.random(len(text)), length // 8))
    parts = [order[i : i + size] for i in range(0, len(order), size)]
    for i in chance.permutation(len(parts)):
        yield parts[i]


def fit_tuned(
    model: Tuned,
    data: Ragged,
    text: NDArray[np.int64],
    label: NDArray[np.int64],
    weight: NDArray[np.float64],
    settings: Settings,
    told: Any,
) -> None:
    """Trains `model` on rows (text's number, label, weight). told(epoch, mean loss) after each epoch."""
    chance, torch_chance = np.random.default_rng(settings.seed), torch.Generator().manual_seed(settings.seed)
    head = [v for k, v in model.free.items() if k.startswith("head")]
    rest = [v for k, v in model.free.items() if not k.startswith("head")]
    optimiser = torch.optim.AdamW([{"params": rest}, {"params": head, "lr": settings.rate * 2}], lr=settings.rate, weight_decay=0.01)
    steps = settings.epochs * math.ceil(len(text) / settings.batch)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda s: min(1.0, (s + 1) / 20) * max(0.0, 1 - s / steps))
    scaled = weight / weight.mean()
    for epoch in range(settings.epochs):
        losses = []
        for rows in _batches(data.at, settings.batch, chance, text):
            x, keep = data.batch(text[rows].tolist())
            loss = F.cross_entropy(
                model.logits(x, keep, torch_chance), torch.from_numpy(label[rows]), reduction="none", label_smoothing=settings.smoothing
            )
            loss = (loss * torch.from_numpy(scaled[rows]).float()).sum() / len(rows)
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_([*rest, *head], 1.0)
            optimiser.step()
            optimiser.zero_grad()
            schedule.step()
            losses.append(float(loss.detach()))
        told(epoch, sum(losses) / len(losses))


@torch.no_grad()
def logits_of(model: Tuned, data: Ragged, text: Sequence[int], batch: int = 32) -> NDArray[np.float32]:
    """(texts, classes) in the order given."""
    order = sorted(range(len(text)), key=lambda i: data.at[text[i] + 1] - data.at[text[i]])
    out = np.zeros((len(text), model.free["head.bias"].shape[0]), np.float32)
    for start in range(0, len(order), batch):
        part = order[start : start + batch]
        out[part] = model.logits(*data.batch([text[i] for i in part])).numpy()
    return out
