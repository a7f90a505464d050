"""Log-probabilities, and values, of groups of replies: the prompt of a group once for several replies, or once for each.

Sharing a row saves the prompt and costs attention between replies that must not see each other, so how many replies stand in a row is
measured once on groups of the run's sizes; that the model computes it right is proven first (`shared.proven`).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch

from trueline.train.head import Form, body_of, form_of, picked_logps
from trueline.train.layout import Group, Layout, lay_out
from trueline.train.shared import hidden_of, proven, specimen

WORTH = 0.95  # a way must take less than this share of the plain way's time to be chosen


def tempered(form: Form, temperature: float) -> Form:
    """The same output layer with its logits divided by the temperature."""
    return replace(form, scale=form.scale / temperature, cap=None if form.cap is None else form.cap / temperature)


def laid_out(groups: Sequence[Group], per_row: int, pad_id: int, device: torch.device) -> Layout:
    """Rows of at most `per_row` replies of one group; the replies' order is that of the groups."""
    rows = [[Group(g.prompt, g.replies[i : i + per_row])] for g in groups for i in range(0, len(g.replies), per_row)]
    return lay_out(rows, pad_id, device)


def hidden(model: Any, layout: Layout, per_row: int) -> torch.Tensor:
    """Last hidden states at which the counted tokens are predicted, (counted, width). A row with one reply needs no mask: what stands to the
    right, no causal model sees."""
    if per_row > 1:
        return hidden_of(model, layout)[layout.row, layout.at]
    found = body_of(model)(input_ids=layout.ids, use_cache=False).last_hidden_state
    assert isinstance(found, torch.Tensor)
    return found[layout.row, layout.at]


def picked(model: Any, layout: Layout, per_row: int, temperature: float) -> torch.Tensor:
    """Log-probabilities in nats of the counted tokens at the temperature, (counted,)."""
    form = form_of(model)
    if form.direct:
        head = model.get_output_embeddings()
        return picked_logps(hidden(model, layout, per_row), head.weight, head.bias, layout.target, tempered(form, temperature))
    if per_row > 1:
        raise ValueError("the output layer of this model is not a plain, scaled or capped linear layer")
    logits = model(input_ids=layout.ids, use_cache=False).logits[layout.row, layout.at].float() / temperature
    return torch.log_softmax(logits, dim=-1).gather(1, layout.target[:, None])[:, 0]


def by_reply(flat: torch.Tensor, groups: Sequence[Group]) -> tuple[torch.Tensor, torch.Tensor]:
    """(values, keep) as (replies, longest) of counted tokens (counted,)."""
    lengths = torch.tensor([len(r) for g in groups for r in g.replies], device=flat.device)
    keep = torch.arange(int(lengths.max()), device=flat.device)[None] < lengths[:, None]
    return flat.new_zeros(keep.shape).masked_scatter(keep, flat), keep


def proven_groups(model: Any, groups: Sequence[Group], pad_id: int, device: torch.device, temperature: float) -> tuple[bool, str]:
    """Whether the model gives the same log-probabilities and gradients with all replies of a group in one row, and the reason. To be asked in
    float32: in bfloat16 nothing agrees to a thousandth of a nat."""
    size = max(len(g.replies) for g in groups)
    few = [groups[i] for i in specimen([len(g) for g in groups])]

    def sums(of: Sequence[Group], per_row: int) -> torch.Tensor:
        layout = laid_out(of, per_row, pad_id, device)
        return by_reply(picked(model, layout, per_row, temperature), of)[0].sum(dim=1)

    plain = [partial(sums, [group], 1) for group in few]
    return proven(model, lambda: sums(few, size), plain, f"{len(few)} groups of {size}")


def fastest(model: Any, groups: Sequence[Group], pad_id: int, device: torch.device, temperature: float) -> tuple[int, str]:
    """(replies a row, times in words): of 1, 2, 4, ... by two timed forward and backward passes each."""
    size = max(len(g.replies) for g in groups)
    ways = [1, *(2**k for k in range(1, size.bit_length()) if 2**k < size), size]
    seconds = {m: _timed(model, groups, m, pad_id, device, temperature) for m in ways}
    best = min(ways, key=lambda m: seconds[m])
    best = best if seconds[best] < WORTH * seconds[1] else 1
    return best, "replies a row and time of a pass: " + ", ".join(f"{m}: {1000 * seconds[m]:.0f} ms" for m in ways)


def _timed(model: Any, groups: Sequence[Group], per_row: int, pad_id: int, device: torch.device, temperature: float) -> float:
    """Seconds of a forward and backward pass, the better of two."""
    took = []
    layout = laid_out(groups, per_row, pad_id, device)
    parameters = [p for p in model.parameters() if p.requires_grad]
    for _ in range(2):
        began = time.perf_counter()
        torch.autograd.grad(picked(model, layout, per_row, temperature).mean(), parameters, allow_unused=True)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        took.append(time.perf_counter() - began)
    return min(took)
