"""Batched sampling: the prompts' common prefix is computed once, finished rows leave the batch, every row has its own
random source, so a reply does not depend on which batch it was in.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from trueline.core.chat import FinishReason, Sampling
from trueline.engine.loading import LocalModel
from trueline.errors import ModelError


@dataclass(frozen=True, slots=True)
class Generated:
    """ids: the sampled tokens without the stop token; text: decoded, cut at a stop string."""

    ids: tuple[int, ...]
    text: str
    finish_reason: FinishReason


def common_prefix(prompts: Sequence[Sequence[int]]) -> int:
    """Length of the longest prefix that all prompts share, at least one token short of the shortest."""
    first, last = min(prompts), max(prompts)
    n = len(os.path.commonprefix([list(first), list(last)]))
    return min(n, min(len(p) for p in prompts) - 1)


def _prefill(
    local: LocalModel, prompts: Sequence[Sequence[int]]
) -> tuple[Any, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Runs all prompts: returns (cache, attention mask (rows, length), next positions (rows,), logits (rows, vocab)).

    Left-padded after the shared prefix: [prefix | pad ... own part], so that all rows end at the same column."""
    from transformers import DynamicCache

    device, shared = local.device, common_prefix(prompts)
    cache: Any = DynamicCache(config=local.model.config)
    rows = len(prompts)
    if shared > 8 and rows > 1 and _can_share(local):
        head = torch.tensor([list(prompts[0][:shared])], device=device)
        cache = local.model(input_ids=head, past_key_values=cache, use_cache=True).past_key_values
        cache.batch_repeat_interleave(rows)
    else:
        shared = 0
    own = max(len(p) for p in prompts) - shared
    pad = 0 if local.tokenizer.pad_token_id is None else int(local.tokenizer.pad_token_id)
    ids = torch.full((rows, own), pad, device=device)
    mask = torch.zeros((rows, shared + own), dtype=torch.long, device=device)
    mask[:, :shared] = 1
    for r, p in enumerate(prompts):
        tail = len(p) - shared
        ids[r, own - tail :] = torch.tensor(list(p[shared:]), device=device)
        mask[r, shared + own - tail :] = 1
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    out = local.model(
        input_ids=ids,
        attention_mask=mask,
        position_ids=positions[:, shared:],
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=1,
    )
    return out.past_key_values, mask, positions[:, -1] + 1, out.logits[:, -1].float()


def _can_share(local: LocalModel) -> bool:
    """Plain attention caches can be repeated; sliding windows and recurrent states are left alone."""
    config = local.model.config.get_text_config()
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    return kinds == {"full_attention"} and not getattr(config, "sliding_window", None)


def _pick(logits: torch.Tensor, sampling: Sampling, source: torch.Generator | None) -> int:
    """One token from one row of logits (vocab,)."""
    if sampling.temperature <= 0 or source is None:
        return int(logits.argmax())
    p = torch.softmax(logits.double() / sampling.temperature, dim=-1)
    if sampling.top_p < 1:
        sorted_p, order = p.sort(descending=True)
        keep = sorted_p.cumsum(0) - sorted_p < sampling.top_p
        p = torch.zeros_like(p).scatter(0, order[keep], sorted_p[keep])
    return int(torch.multinomial(p.cpu() / p.sum().cpu(), 1, generator=source))


class Row:
    """One reply in the making."""

    def __init__(self, sampling: Sampling) -> None:
        self.sampling = sampling
        self.ids: list[int] = []
        self.reason: FinishReason | None = None
        self.source = torch.Generator().manual_seed(sampling.seed) if sampling.temperature > 0 else None

    def take(self, logits: torch.Tensor, local: LocalModel) -> None:
        """Adds one token, or ends."""
        token = _pick(logits, self.sampling, self.source)
        if token in local.stops:
            self.reason = "stop"
            return
        self.ids.append(token)
        if self.sampling.stop:
            text = local.tokenizer.decode(self.ids, skip_special_tokens=True)
            if any(s in text for s in self.sampling.stop):
                self.reason = "stop"
        if self.reason is None and len(self.ids) >= self.sampling.max_tokens:
            self.reason = "length"

    def finished(self, local: LocalModel) -> Generated:
        """The reply, cut at its stop string."""
        text = local.tokenizer.decode(self.ids, skip_special_tokens=True)
        for stop in self.sampling.stop:
            text = text.split(stop)[0]
        assert self.reason is not None
        return Generated(tuple(self.ids), text.strip(), self.reason)


def _check_room(local: LocalModel, prompts: Sequence[Sequence[int]], samplings: Sequence[Sampling]) -> None:
    for p, s in zip(prompts, samplings, strict=True):
        if not p:
            raise ModelError("an empty prompt cannot be answered, got 0 tokens", remedy="give at least one message")
        if len(p) >= local.context:
            what = f"the prompt has {len(p)} tokens, the model takes at most {local.context - 1} and room for a reply"
            raise ModelError(what, remedy="shorten the conversation")
        assert s.max_tokens > 0


@torch.inference_mode()
def generate(local: LocalModel, prompts: Sequence[Sequence[int]], samplings: Sequence[Sampling]) -> list[Generated]:
    """Samples one reply to each prompt (token ids), in the order given. Raises `ModelError` where a prompt is too long."""
    if not prompts:
        return []
    _check_room(local, prompts, samplings)
    cache, mask, positions, logits = _prefill(local, prompts)
    rows = [Row(s) for s in samplings]
    alive = list(range(len(rows)))
    while alive:
        for i, r in enumerate(alive):
            rows[r].take(logits[i], local)
            if rows[r].reason is None and int(positions[i]) >= local.context:
                rows[r].reason = "length"
        keep = [i for i, r in enumerate(alive) if rows[r].reason is None]
        if not keep:
            break
        if len(keep) < len(alive):
            index = torch.tensor(keep, device=local.device)
            cache.batch_select_indices(index)
            mask, positions = mask[index], positions[index]
            alive = [alive[i] for i in keep]
        last = torch.tensor([[rows[r].ids[-1]] for r in alive], device=local.device)
        mask = torch.cat([mask, mask.new_ones((len(alive), 1))], dim=1)
        out = local.model(
            input_ids=last, attention_mask=mask, position_ids=positions[:, None], past_key_values=cache, use_cache=True
        )
        cache, logits, positions = out.past_key_values, out.logits[:, -1].float(), positions + 1
    return [row.finished(local) for row in rows]
