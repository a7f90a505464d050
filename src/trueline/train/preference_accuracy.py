"""How often a model agrees with people: held-out pairs whose preferred reply it finds likelier."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from trueline.algos.stats.binomial import clopper_pearson
from trueline.core.records import Preference
from trueline.engine.loading import LocalModel
from trueline.train.dpo import encode_pairs
from trueline.train.shared import pair_logps


def exact_share(right: int, n: int, too_long: int) -> dict[str, Any]:
    """A rate with its exact 95 % interval, or the words that there is none."""
    if n == 0:
        return {"n": 0, "too_long": too_long, "note": "insufficient evidence: no held-out pair"}
    i95 = clopper_pearson(right, n)
    return {"estimate": i95.estimate, "low": i95.low, "high": i95.high, "n": n, "too_long": too_long}


@torch.no_grad()
def preference_accuracy(local: LocalModel, pairs: Sequence[Preference], limit: int | None = None, batch: int = 8) -> dict[str, Any]:
    """Share of the pairs whose chosen reply has the higher mean token log-probability, with its exact 95 % interval.

    The mean over tokens, not the sum: the sum would prefer the shorter reply whatever it says. Pairs of more than `limit`
    tokens (default: the model's context) are left out and counted."""
    data = encode_pairs(local, pairs, min(limit or local.context, local.context))
    order = sorted(range(len(data.chosen)), key=lambda i: len(data.chosen[i]))
    right = 0
    for start in range(0, len(order), batch):
        c, r = ([rows[i] for i in order[start : start + batch]] for rows in (data.chosen, data.rejected))
        a, b = pair_logps(local.model, c, r, local.tokenizer.pad_token_id or 0, local.device)
        la, lb = (torch.tensor([len(x.completion) for x in rows], device=a.device) for rows in (c, r))
        right += int((a / la > b / lb).sum())
    return exact_share(right, len(data.chosen), data.too_long)
