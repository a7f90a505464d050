"""Prefix sharing: the replies behind one copy of the prompt, which they see, while they do not see each other.

Whether a loaded model computes that correctly is decided numerically on it and on the very data, value and gradient, never by
its name. `pair_logps` is the plain form, two rows a pair, which every model computes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import torch

from trueline.train.batching import Row, pad, token_logps
from trueline.train.block_attention import block_hidden
from trueline.train.gradients import released, written_in_place
from trueline.train.head import body_of, form_of, picked_logps
from trueline.train.layout import Group, Layout, lay_out, mask_of
from trueline.train.split_attention import split_hidden

TOLERANCE = 1e-3  # nats on a pair's log-probability, float32
SLACK = 1e-2  # relative, on the gradient


def pair_logps(
    model: Any, chosen: Sequence[Row], rejected: Sequence[Row], pad_id: int, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """(chosen, rejected) sums of completion log-probabilities, each (pairs,), as two rows a pair."""
    sums = token_logps(model, pad([*chosen, *rejected], pad_id, device)).sum(dim=1)
    return sums[: len(chosen)], sums[len(chosen) :]


def hidden_of(model: Any, layout: Layout) -> torch.Tensor:
    """Last hidden states of a layout, (rows, width, d)."""
    dtype = next(model.parameters()).dtype
    body, masked = body_of(model), partial(mask_of, layout, model.config.get_text_config(), dtype)
    blocks = block_hidden(model, body, layout, masked)
    if blocks is not None:
        return blocks
    mask = masked()
    split = split_hidden(model, body, layout, mask)
    if split is not None:
        return split
    out = body(input_ids=layout.ids, attention_mask=mask, position_ids=layout.positions, use_cache=False).last_hidden_state
    assert isinstance(out, torch.Tensor)
    return out


def layout_logps(model: Any, layout: Layout) -> torch.Tensor:
    """Log-probabilities of all counted tokens of a layout, (counted,) float32."""
    hidden = hidden_of(model, layout)[layout.row, layout.at]
    head, form = model.get_output_embeddings(), form_of(model)
    if not form.direct:
        raise ValueError("the output layer of this model is not a plain, scaled or capped linear layer")
    return picked_logps(hidden, head.weight, head.bias, layout.target, form)


def groups_of(chosen: Sequence[Row], rejected: Sequence[Row]) -> list[list[Group]]:
    """One row a pair, the prompt once. Needs chosen[i].prompt == rejected[i].prompt."""
    return [[Group(c.prompt, (c.completion, r.completion))] for c, r in zip(chosen, rejected, strict=True)]


def shared_logps(
    model: Any, chosen: Sequence[Row], rejected: Sequence[Row], pad_id: int, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """The same sums as `pair_logps` with the prompt computed once a pair."""
    layout = lay_out(groups_of(chosen, rejected), pad_id, device)
    sums = torch.zeros(len(layout.ends), device=device).index_add(0, layout.reply, layout_logps(model, layout))
    return sums[0::2], sums[1::2]


def norm_of(gradients: Iterable[torch.Tensor | None]) -> float:
    """The Euclidean norm over all tensors."""
    return float(sum(float(torch.linalg.vector_norm(g, dtype=torch.float32)) ** 2 for g in gradients if g is not None) ** 0.5)


Way = Callable[[], torch.Tensor]


def proven(
    model: Any,
    shared: Way,
    plain: Sequence[Way],
    what: str,
    names: tuple[str, str] = ("shared", "unshared"),
    weights: torch.Tensor | None = None,
) -> tuple[bool, str]:
    """Whether two ways to the same numbers (n,) agree in value and in the gradient of their weighted sum (`weights` (n,); None: their
    alternating sum), and the reason in words; `what` was compared, `names` are the ways'. The plain way comes in parts, which are computed one
    after another: a proof takes no more memory than a step. A model that cannot run the first way fails."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    one, other = names

    def found(way: Way, begin: int, sign: float) -> torch.Tensor:
        """The values; their gradient, times `sign`, is added to what stands in `.grad`."""
        values = way()
        at = torch.arange(begin, begin + len(values), device=values.device)
        own = 1.0 - 2 * (at % 2) if weights is None else weights[at]
        with written_in_place():
            torch.autograd.backward(sign * (values * own).sum())
        return values.detach()

    held = [p.grad for p in parameters]
    try:
        for p in parameters:
            p.grad = None
        try:
            mine = found(shared, 0, 1.0)
        except (RuntimeError, ValueError, TypeError, KeyError, IndexError, AttributeError) as e:
            return False, f"the model does not take a 4D mask with positions ({type(e).__name__})"
        size, theirs = norm_of(p.grad for p in parameters), list[torch.Tensor]()
        for part in plain:
            theirs.append(found(part, sum(map(len, theirs)), -1.0))
        apart = norm_of(p.grad for p in parameters) / max(size, 1e-15)
    finally:
        for p, grad in zip(parameters, held, strict=True):
            p.grad = grad
        released(model)  # whether training writes in place as well is not known here
    worst = float((mine - torch.cat(theirs)).abs().max())
    if not worst < TOLERANCE:
        return False, f"{one} and {other} differ by {worst:.1e} on {what}, more than {TOLERANCE:.0e}"
    if not apart < SLACK:
        return False, f"the gradients of {one} and {other} differ by {100 * apart:.1f} % on {what}"
    return True, f"{one} equals {other} within {worst:.1e} and {100 * apart:.1g} % of the gradient on {what}"


def specimen(sizes: Sequence[int]) -> list[int]:
    """Which rows are proven on: the longest, and the one in the middle of all lengths (with padding beside the first)."""
    order = sorted(range(len(sizes)), key=lambda i: -sizes[i])
    return [order[0], order[len(order) // 2]] if len(order) > 1 else order


def can_share(model: Any, chosen: Sequence[Row], rejected: Sequence[Row], pad_id: int, device: torch.device) -> tuple[bool, str]:
    """Whether the model computes the shared form correctly on a sample of this very data, and the reason in words."""
    sample = specimen([len(c) + len(r.completion) for c, r in zip(chosen, rejected, strict=True)])
    c, r = [chosen[i] for i in sample], [rejected[i] for i in sample]
    if any(a.prompt != b.prompt for a, b in zip(c, r, strict=True)):
        return False, "chosen and rejected have different prompt tokens"

    def of(form: Callable[..., tuple[torch.Tensor, torch.Tensor]], at: slice = slice(None)) -> Way:
        return lambda: torch.stack(form(model, c[at], r[at], pad_id, device), dim=1).flatten()

    plain = [of(pair_logps, slice(i, i + 1)) for i in range(len(c))]
    return proven(model, of(shared_logps), plain, f"{len(sample)} pairs")
