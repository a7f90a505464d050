"""Lisa, lazy safety alignment (Huang et al. 2405.18641): steps on the user's data in turn with steps on safety data, and a proximal term
that holds the weights near where the last change of data left them (algorithm 1, equations 4 and 5).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from trueline.core.clock import generator
from trueline.errors import RunFileError

USER, SAFETY = 9, 1  # steps of each state: the shares of the paper (900 and 100 of 1,000), in turns short enough for a small fine-tune


@dataclass(frozen=True, slots=True)
class Alternation:
    """The steps in order (indices of rows); the steps at which the data change, where the anchor is taken anew; steps on safety data."""

    plan: list[list[int]]
    changes: frozenset[int]
    safety: int


def alternate(user: Sequence[list[int]], safety: Sequence[list[int]], seed: int) -> Alternation:
    """All user steps in their order, after every `USER` of them `SAFETY` steps on safety data, which is gone through again and again in
    another order. Raises `RunFileError` where there is no safety data, or too little user data for a single turn of it."""
    if not safety:
        raise RunFileError("Lisa has no safety data to take turns with", remedy="give some with --safety-data")
    if len(user) < USER:
        what = f"Lisa has no effect: {len(user)} steps on the user's data, and safety steps come after every {USER}"
        raise RunFileError(what, remedy="lower batch_tokens or train for more epochs")
    source, pool = generator(seed, "lisa"), list[list[int]]()
    plan: list[list[int]] = []
    changes = {0}
    for i, batch in enumerate(user, 1):
        plan.append(batch)
        if i % USER:
            continue
        changes.add(len(plan))
        for _ in range(SAFETY):
            if not pool:
                pool = list(safety)
                source.shuffle(pool)
            plan.append(pool.pop())
        changes.add(len(plan))
    return Alternation(plan, frozenset(c for c in changes if c < len(plan)), len(plan) - len(user))


class Proximal:
    """Adds rho (w - anchor) to the gradient, the gradient of rho / 2 |w - anchor|^2, where anchor is w at the last change of data."""

    def __init__(self, rho: float, changes: frozenset[int]) -> None:
        self.rho, self.changes = rho, changes
        self._anchor: dict[str, torch.Tensor] = {}

    @torch.no_grad()
    def add(self, step: int, weights: Mapping[str, torch.Tensor]) -> None:
        """Called between the backward pass and the step `step` (from 0); `weights` carry the gradient."""
        if step in self.changes or not self._anchor:
            self._anchor = {n: w.detach().clone() for n, w in weights.items()}
            return
        for n, w in weights.items():
            pull = self.rho * (w.detach() - self._anchor[n].to(w.device))  # a checkpoint's anchor comes back on the CPU
            w.grad = pull if w.grad is None else w.grad.add_(pull)

    def state(self) -> dict[str, Any]:
        """What `restore` goes on from."""
        return {"anchor": dict(self._anchor)}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on from a checkpoint."""
        self._anchor = dict(state["anchor"])
