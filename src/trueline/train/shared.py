"""Prefix sharing: chosen and rejected behind one copy of the prompt, which they see, while they do not see each other.

One row is [prompt | chosen | rejected] with the rejected positions set back to the end of the prompt, and an additive mask
(2410.20305). Whether a loaded model computes that correctly is decided numerically on it, never by its name.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from trueline.train.batching import Row, pad, token_logps

TOLERANCE = 1e-3  # nats on a pair's log-probability difference, float32


def pair_logps(
    model: Any, chosen: Sequence[Row], rejected: Sequence[Row], pad_id: int, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """(chosen, rejected) sums of completion log-probabilities, each (pairs,), as two rows a pair."""
    sums = token_logps(model, pad([*chosen, *rejected], pad_id, device)).sum(dim=1)
    return sums[: len(chosen)], sums[len(chosen) :]


def shared_logps(
    model: Any, chosen: Sequence[Row], rejected: Sequence[Row], pad_id: int, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """The same sums with the prompt computed once a pair. Needs chosen[i].prompt == rejected[i].prompt."""
    lengths = [len(c) + len(r.completion) for c, r in zip(chosen, rejected, strict=True)]
    n, width = len(lengths), max(lengths)
    ids = torch.full((n, width), pad_id)
    positions = torch.zeros((n, width), dtype=torch.long)
    allowed = torch.zeros((n, width, width), dtype=torch.bool)
    causal = torch.tril(torch.ones((width, width), dtype=torch.bool))
    rows_i, at_i, next_i, side = [], [], [], []
    for i, (c, r) in enumerate(zip(chosen, rejected, strict=True)):
        p, k, m = len(c.prompt), len(c.completion), len(r.completion)
        ids[i, : p + k + m] = torch.tensor(c.prompt + c.completion + r.completion)
        positions[i, : p + k] = torch.arange(p + k)
        positions[i, p + k : p + k + m] = torch.arange(p, p + m)
        allowed[i] = causal
        allowed[i, p + k : p + k + m, p : p + k] = False
        # a token is predicted from the one before it; the first of each completion from the prompt's last
        at = [p - 1, *range(p, p + k - 1), p - 1, *range(p + k, p + k + m - 1)]
        rows_i += [i] * (k + m)
        at_i += at
        next_i += list(range(p, p + k + m))
        side += [i] * k + [n + i] * m
    diagonal = torch.eye(width, dtype=torch.bool)
    mask = torch.zeros((n, 1, width, width)).masked_fill(~(allowed | diagonal)[:, None], torch.finfo(torch.float32).min)
    hidden = model.base_model(
        input_ids=ids.to(device), attention_mask=mask.to(device), position_ids=positions.to(device), use_cache=False
    ).last_hidden_state
    rows_t, at_t, next_t = (torch.tensor(x, device=device) for x in (rows_i, at_i, next_i))
    logits = model.get_output_embeddings()(hidden[rows_t, at_t]).float()
    cap = getattr(model.config.get_text_config(), "final_logit_softcapping", None)
    if cap:
        logits = cap * torch.tanh(logits / cap)
    picked = torch.log_softmax(logits, dim=-1).gather(1, ids.to(device)[rows_t, next_t][:, None])[:, 0]
    sums = torch.zeros(2 * n, device=device).index_add(0, torch.tensor(side, device=device), picked)
    return sums[:n], sums[n:]


@torch.no_grad()
def can_share(model: Any, chosen: Sequence[Row], rejected: Sequence[Row], pad_id: int, device: torch.device) -> tuple[bool, str]:
    """Whether the model computes the shared form correctly on a sample of this very data, and the reason in words."""
    sample = sorted(range(len(chosen)), key=lambda i: -len(chosen[i]))[:4]
    c, r = [chosen[i] for i in sample], [rejected[i] for i in sample]
    if any(a.prompt != b.prompt for a, b in zip(c, r, strict=True)):
        return False, "chosen and rejected have different prompt tokens"
    try:
        mine, theirs = shared_logps(model, c, r, pad_id, device), pair_logps(model, c, r, pad_id, device)
    except (RuntimeError, ValueError, TypeError, KeyError, IndexError) as e:
        return False, f"the model does not take a 4D mask ({type(e).__name__})"
    worst = max(float((a - b).abs().max()) for a, b in zip(mine, theirs, strict=True))
    if worst < TOLERANCE:
        return True, f"shared equals unshared within {worst:.1e} nats on {len(sample)} pairs"
    return False, f"shared and unshared differ by {worst:.1e} nats on {len(sample)} pairs, more than {TOLERANCE:.0e}"
