"""Log-probabilities of chosen tokens without the vocabulary's worth of memory.

Only positions that count are projected, a chunk at a time, and nothing of the width of the vocabulary outlives its chunk but the
logits themselves, in the dtype of the weights (of the first chunks, up to `KEEP` bytes: those of the others are computed twice). The
plain form (project everything, to float32, log-softmax, gather) keeps about five arrays of positions x vocabulary instead of one.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import linear

from trueline.train.gradients import add_product

CHUNK = 2**25  # logits at once: 128 MiB in float32
KEEP = 2**29  # bytes of logits kept from forward to backward
BLOCK = 8  # rows whose exponentials are summed at once: what lies between stays in the cache
CLOSE = 1e-3  # how far, relative to the largest logit, our head may be from the model's own in float32


@dataclass(frozen=True, slots=True)
class Form:
    """What a model does after its last hidden state: logits = cap tanh(scale (W h + b) / cap). `direct`: whether that reproduces
    the model's own logits, so that single positions can be projected."""

    direct: bool
    scale: float = 1.0
    cap: float | None = None


def _logits(hidden: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, form: Form) -> torch.Tensor:
    """(n, vocabulary) float32."""
    z = linear(hidden, weight, bias).float()
    if form.scale != 1.0:
        z = z.mul_(form.scale) if not z.requires_grad else z * form.scale
    if form.cap is not None:
        z = form.cap * torch.tanh(z / form.cap)
    return z


def _norms(z: torch.Tensor) -> torch.Tensor:
    """logsumexp of every row. In blocks on a processor, where its arrays as large as the logits would be made anew each time."""
    if z.device.type != "cpu":
        return torch.logsumexp(z, dim=1)
    return torch.cat([torch.logsumexp(part, dim=1) for part in torch.split(z, BLOCK)])


def chunk_of(weight: torch.Tensor) -> int:
    """Rows that are projected at once."""
    return max(1, CHUNK // len(weight))


def kept_rows(n: int, weight: torch.Tensor) -> int:
    """Of how many of `n` rows the logits outlive the forward pass: whole chunks, up to `KEEP` bytes."""
    most = KEEP // (len(weight) * weight.element_size())
    return n if n <= most else most - most % chunk_of(weight)


class _Picked(torch.autograd.Function):
    """log softmax(logits)[target] for every row, (n,) float32."""

    @staticmethod
    def forward(
        ctx: Any, hidden: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, targets: torch.Tensor, form: Form, chunk: int
    ) -> torch.Tensor:
        n = len(hidden)
        norms = torch.empty(n, device=hidden.device)
        picked = torch.empty(n, device=hidden.device)
        # a capped logit is cheap to make again; keeping it would cost a second array
        keep = kept_rows(n, weight) if form.cap is None else 0
        kept: list[torch.Tensor] = []
        for start in range(0, n, chunk):
            part = slice(start, start + chunk)
            if start < keep:
                kept.append(linear(hidden[part], weight, bias))
                z = kept[-1].float() if form.scale == 1.0 else kept[-1].float() * form.scale
            else:
                z = _logits(hidden[part], weight, bias, form)
            norms[part] = _norms(z)
            picked[part] = z.gather(1, targets[part, None])[:, 0]
        ctx.save_for_backward(hidden, weight, bias, targets, norms, *kept)
        ctx.form, ctx.chunk = form, chunk
        return picked - norms

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (grad,) = grads
        hidden, weight, bias, targets, norms, *kept = ctx.saved_tensors
        form: Form = ctx.form
        need_h, need_w, need_b = ctx.needs_input_grad[:3]
        to_hidden = torch.empty_like(hidden) if need_h else None
        to_weight: torch.Tensor | None = None
        to_bias = torch.zeros_like(bias) if bias is not None and need_b else None
        for at, start in enumerate(range(0, len(hidden), ctx.chunk)):
            part = slice(start, start + ctx.chunk)
            g, t = grad[part, None].float(), targets[part, None]
            if at < len(kept):
                z = kept[at].float() if form.scale == 1.0 else kept[at].float() * form.scale
            else:
                z = _logits(hidden[part], weight, bias, form)
            slope = 1 - (z / form.cap) ** 2 if form.cap is not None else None
            d = z.sub_(norms[part, None]).exp_().mul_(-g)  # d picked / d logits = onehot - softmax
            d.scatter_add_(1, t, g)
            if slope is not None:
                d *= slope
            if form.scale != 1.0:
                d *= form.scale
            d = d.to(weight.dtype)
            if to_hidden is not None:
                torch.mm(d, weight, out=to_hidden[part])
            if need_w and not add_product(weight, d, hidden[part]):
                to_weight = d.T @ hidden[part] if to_weight is None else to_weight.addmm_(d.T, hidden[part])
            if to_bias is not None:
                to_bias += d.sum(dim=0)
        return to_hidden, to_weight, to_bias, None, None, None


def picked_logps(hidden: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, targets: torch.Tensor, form: Form) -> torch.Tensor:
    """Log-probabilities (nats) of `targets` (n,) from hidden states (n, width) and the output layer's weight (vocabulary, width)
    and bias: (n,) float32."""
    out = _Picked.apply(hidden, weight, bias, targets, form, chunk_of(weight))  # type: ignore[no-untyped-call]
    assert isinstance(out, torch.Tensor)
    return out


_known: weakref.WeakKeyDictionary[Any, Form] = weakref.WeakKeyDictionary()


def body_of(model: Any) -> Any:
    """What gives the last hidden states. (Some causal models name no base model but themselves.)"""
    body = model.base_model
    return model.model if hasattr(body, "lm_head") and hasattr(model, "model") else body


def form_of(model: Any) -> Form:
    """How this model projects, found once by comparing numbers: a plain layer, a scaled one (Cohere, Granite) or a capped one
    (Gemma 2). A head that is none of these is run as the model runs it, at every position."""
    head = model.get_output_embeddings()
    if head not in _known:
        _known[head] = _found(model, head)
    return _known[head]


@torch.no_grad()
def _found(model: Any, head: Any) -> Form:
    config = model.config.get_text_config()
    if type(head) is not torch.nn.Linear:
        return Form(direct=False)
    ids = (torch.arange(8, device=head.weight.device) * 7 + 3)[None] % config.vocab_size
    was = model.training
    model.eval()
    out = model(input_ids=ids, use_cache=False, output_hidden_states=False).logits[0].float()
    hidden = body_of(model)(input_ids=ids, use_cache=False).last_hidden_state[0]
    model.train(was)
    plain = linear(hidden, head.weight, head.bias).float()
    big = plain.abs() > plain.abs().max() / 4
    scale = float((out[big] / plain[big]).median())
    tolerance = CLOSE if head.weight.dtype == torch.float32 else 0.05
    for form in (Form(True), Form(True, scale), Form(True, 1.0, getattr(config, "final_logit_softcapping", None))):
        off = (_logits(hidden, head.weight, head.bias, form) - out).abs().max() / out.abs().max().clamp(min=1e-6)
        if float(off) <= tolerance:
            return form
    return Form(direct=False)
