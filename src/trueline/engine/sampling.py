"""Batched sampling. In order: sort by length, cut into batches, run the prompts (shared prefix once), then one token a
step for all rows; a finished row leaves the batch.

A reply does not depend on its batch: every row draws from a source of its own, seeded by its request. What remains is
the rounding of matrix products of different sizes (1e-6 in float32), which can turn a tie of two tokens.
Left out on purpose: beam search, penalties, speculative decoding.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch

from trueline.core.chat import FinishReason, Sampling
from trueline.engine.cache import cache_of, joined
from trueline.engine.loading import LocalModel
from trueline.engine.prefill import batches_truly, common_prefix, forward, prefill
from trueline.errors import ModelError
from trueline.models.wire import RequestRefused

__all__ = ["Decoding", "Generated", "Row", "common_prefix", "generate"]


@dataclass(frozen=True, slots=True)
class Generated:
    """ids: the sampled tokens without the end token (those of a stop string are in); text: decoded, cut at the stop string, without white
    space round it; end: the end token, where one was sampled; logps: of every id and of the end token, in nats at the temperature of the
    request before top_p (greedy rows: none)."""

    ids: tuple[int, ...]
    text: str
    finish_reason: FinishReason
    end: int | None = None
    logps: tuple[float, ...] = field(default=(), compare=False)  # the batch decides their rounding


@dataclass(slots=True)
class Row:
    """One reply in the making. `reason` is None while it grows; `dropped`: nobody waits for it any more."""

    sampling: Sampling
    prompt: int
    """Tokens of the prompt."""
    longest: int
    """Tokens that it may have at most: of the request, or what the prompt leaves of the context."""
    source: random.Random
    ids: list[int] = field(default_factory=list)
    logps: list[float] = field(default_factory=list)
    end: int | None = None
    reason: FinishReason | None = None
    dropped: bool = False

    @property
    def live(self) -> bool:
        """Whether it wants another token."""
        return self.reason is None and not self.dropped

    def take(self, token: int, local: LocalModel) -> None:
        """Adds one token, or ends."""
        if token in local.stops:
            self.reason, self.end = "stop", token
            return
        self.ids.append(token)
        if self.sampling.stop and self._stopped(local):
            self.reason = "stop"
        elif len(self.ids) >= self.longest:
            self.reason = "length"

    def _stopped(self, local: LocalModel) -> bool:
        """Whether a stop string has just been completed: only the tail can hold it (a token has a byte at least)."""
        tail = max(len(s.encode()) for s in self.sampling.stop) + 4
        text = local.tokenizer.decode(self.ids[-tail:], skip_special_tokens=True)
        return any(s in text for s in self.sampling.stop)

    def text(self, local: LocalModel) -> str:
        """All sampled so far as text, stop strings not cut."""
        return str(local.tokenizer.decode(self.ids, skip_special_tokens=True))

    def generated(self, local: LocalModel) -> Generated:
        """The finished reply."""
        assert self.reason is not None
        text = cut(self.text(local), self.sampling.stop).strip()
        return Generated(tuple(self.ids), text, self.reason, self.end, tuple(self.logps))


def cut(text: str, stops: Sequence[str]) -> str:
    """The text before the first stop string."""
    return text[: min((i for i in (text.find(s) for s in stops) if i >= 0), default=len(text))]


def pick(logits: torch.Tensor, rows: Sequence[Row]) -> list[int]:
    """One token a row from `logits` (rows, vocab): the likeliest, or drawn by inverting the cumulative probability, whose
    log-probability the row keeps."""
    if not bool(torch.isfinite(logits.amax(dim=-1)).all()):
        what = "the model gave logits that are not finite"
        raise ModelError(what, remedy="load it in float32, and check that the weights are whole")
    hot = [i for i, r in enumerate(rows) if r.sampling.temperature > 0 and r.live]
    if not hot:
        return list(logits.argmax(dim=-1).tolist())
    tokens: list[int] = logits.argmax(dim=-1).tolist() if len(hot) < len(rows) else [0] * len(rows)
    warmth = torch.tensor([rows[i].sampling.temperature for i in hot], device=logits.device, dtype=torch.float64)
    logp = torch.log_softmax((logits if len(hot) == len(rows) else logits[hot]).double() / warmth[:, None], dim=-1)
    # a row draws the same token whoever stands beside it: the way of drawing depends on its own top_p alone
    for nucleus in (False, True):
        some = [k for k, i in enumerate(hot) if (rows[i].sampling.top_p < 1) == nucleus]
        if some:
            own = logp if len(some) == len(hot) else logp[some]
            drawn = _drawn(own, [rows[hot[k]] for k in some], nucleus)
            for k, token, value in zip(some, drawn.tolist(), own.gather(1, drawn[:, None])[:, 0].tolist(), strict=True):
                tokens[hot[k]] = token
                rows[hot[k]].logps.append(value)
    return tokens


def _drawn(logp: torch.Tensor, rows: Sequence[Row], nucleus: bool) -> torch.Tensor:
    """A token a row, (rows,), from log-probabilities (rows, vocab); `nucleus`: from the likeliest that make up top_p."""
    p, order = logp.exp(), None
    if nucleus:
        p, order = p.sort(dim=-1, descending=True, stable=True)
        limit = torch.tensor([r.sampling.top_p for r in rows], device=p.device, dtype=torch.float64)
        before = p.cumsum(dim=-1) - p
        p = torch.where((before < limit[:, None]) | (before == 0), p, 0.0)
    total = p.cumsum(dim=-1)
    draw = torch.tensor([r.source.random() for r in rows], device=p.device, dtype=torch.float64)
    place = torch.searchsorted(total, (draw * total[:, -1])[:, None], right=True).clamp(max=p.shape[-1] - 1)
    return (place if order is None else order.gather(1, place))[:, 0]


class Decoding:
    """A batch that grows by one token a `step`. `rows` stay in the order of `prompts` (token ids)."""

    @torch.inference_mode()
    def __init__(self, local: LocalModel, prompts: Sequence[Sequence[int]], samplings: Sequence[Sampling]) -> None:
        self.local = local
        self._context = local.context
        self.rows = [
            Row(s, len(p), min(s.max_tokens, self._context - len(p)), random.Random(f"sampling|{s.seed}"))
            for p, s in zip(prompts, samplings, strict=True)
        ]
        room = min(max(s.max_tokens for s in samplings), 128)
        done = prefill(local, prompts, room=room)
        self._cache, self._mask, self._positions = done.cache, done.mask, done.positions
        self._padded = not bool(done.mask.all())
        self._logits: torch.Tensor = done.logits[:, -1]
        self._slots = list(self.rows)

    @property
    def live(self) -> int:
        """Rows that still grow."""
        return sum(r.live for r in self.rows)

    @torch.inference_mode()
    def step(self) -> None:
        """One token for every live row, then one run of the model for those that go on."""
        for row, token in zip(self._slots, pick(self._logits, self._slots), strict=True):
            if row.live:
                row.take(token, self.local)
        if not self.live:
            self._cache = None
            return
        self._leave()
        # a row that ended but keeps its slot repeats its last token; its position stays inside the model's range
        last = [r.ids[-1] if r.ids else 0 for r in self._slots]
        self._positions = (self._positions + 1).clamp(max=self._context - 1)
        self._mask = torch.cat([self._mask, self._mask.new_ones((len(self._slots), 1))], dim=1)
        logits, self._cache = forward(
            self.local,
            torch.tensor(last, device=self.local.device)[:, None],
            attention_mask=self._mask_for_model(),
            position_ids=self._positions[:, None],
            past_key_values=self._cache,
        )
        self._logits = logits[:, -1]

    @torch.inference_mode()
    def absorb(self, other: Decoding) -> None:
        """Takes the live rows of another batch in: both end at their last column, so they stand side by side. Columns
        that no live row needs are dropped. `rows` then holds this batch's rows and the other's."""
        both = (self, other)
        lengths = [d._mask.sum(dim=1).tolist() for d in both]
        kept = [[i for i, r in enumerate(d._slots) if r.live] for d in both]
        width = int(max(lengths[n][i] for n in (0, 1) for i in kept[n]))
        numbers, count = [[-1] * len(d._slots) for d in both], 0
        for n, slots in enumerate(kept):
            for i in slots:
                numbers[n][i], count = count, count + 1
        layers = zip(self._cache.layers, other._cache.layers, strict=True)
        self._cache = cache_of([joined([(numbers[0], a), (numbers[1], b)], width, 64) for a, b in layers])
        index = [torch.tensor(k, device=self.local.device, dtype=torch.long) for k in kept]
        masks = [
            torch.nn.functional.pad(d._mask[i], (max(0, width - d._mask.shape[1]), 0))[:, -width:] for d, i in zip(both, index, strict=True)
        ]
        self._mask = torch.cat(masks)
        self._padded = not bool(self._mask.all())
        self._positions = torch.cat([d._positions[i] for d, i in zip(both, index, strict=True)])
        self._logits = torch.cat([d._logits[i] for d, i in zip(both, index, strict=True)])
        self._slots = [d._slots[i] for d, slots in zip(both, kept, strict=True) for i in slots]
        self.rows = [*self.rows, *other.rows]

    def _mask_for_model(self) -> torch.Tensor | None:
        return self._mask.long() if self._padded else None  # attention without a mask is much faster

    def _leave(self) -> None:
        """Ended rows leave when they are an eighth of the batch: each leaving copies the others' cache."""
        ended = sum(not r.live for r in self._slots)
        if ended * 8 < len(self._slots) or not ended:
            return
        keep = [i for i, r in enumerate(self._slots) if r.live]
        index = torch.tensor(keep, device=self.local.device)
        self._cache.batch_select_indices(index)
        self._mask, self._positions = self._mask[index], self._positions[index]
        self._padded = self._padded and not bool(self._mask.all())
        self._slots = [self._slots[i] for i in keep]


def check_room(local: LocalModel, prompt: Sequence[int], sampling: Sampling) -> None:
    """Raises `ModelError` where a prompt is empty, fills the model's context, or asks for no token."""
    if not prompt:
        raise ModelError("an empty prompt cannot be answered, got 0 tokens", remedy="give at least one message")
    if len(prompt) >= local.context:
        what = f"the conversation has {len(prompt)} tokens, the model takes at most {local.context - 1} and a token of reply"
        remedy = "shorten the conversation or the system prompt, or use a model with more context"
        raise RequestRefused(what, remedy=remedy, status=413)  # of this request alone: a measurement goes on
    if sampling.max_tokens < 1:
        raise ModelError(f"max_tokens is {sampling.max_tokens}, expected at least 1", remedy="ask for a token or more")


def batches(local: LocalModel, prompts: Sequence[Sequence[int]], most: int) -> list[list[int]]:
    """Indices of `prompts` in batches of at most `most`, like lengths together; single rows for a model whose batches
    are not true (`batches_truly`)."""
    order = sorted(range(len(prompts)), key=lambda i: (-len(prompts[i]), i))
    size = most if len(prompts) > 1 and batches_truly(local) else 1
    return [order[i : i + size] for i in range(0, len(order), size)]


def generate(
    local: LocalModel,
    prompts: Sequence[Sequence[int]],
    samplings: Sampling | Sequence[Sampling],
    *,
    batch: int = 64,
    progress: Callable[[int], None] | None = None,
) -> list[Generated]:
    """One reply to each prompt (token ids), in the order given. `samplings`: one for all or one each; `progress` hears
    how many replies each batch finished. Raises `ModelError` where a prompt is too long."""
    each = [samplings] * len(prompts) if isinstance(samplings, Sampling) else list(samplings)
    for p, s in zip(prompts, each, strict=True):
        check_room(local, p, s)
    out: dict[int, Generated] = {}
    for chosen in batches(local, prompts, batch):
        decoding = Decoding(local, [prompts[i] for i in chosen], [each[i] for i in chosen])
        while decoding.live:
            decoding.step()
        out.update({i: row.generated(local) for i, row in zip(chosen, decoding.rows, strict=True)})
        if progress is not None:
            progress(len(chosen))
    return [out[i] for i in range(len(prompts))]
