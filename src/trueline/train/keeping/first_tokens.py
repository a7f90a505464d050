"""The first-token constraint on a supervised stage: refusals sit in the first words of a reply, so those may hardly move.

In order: the log-probability of every counted token under the model as it is given, once (kept by content, resumable); then the
constrained loss (`algos.losses.constrained`) in place of the plain one. A token's place is counted within its own turn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from trueline.algos.losses.constrained import betas_at, constrained_nll
from trueline.charter.digests import digest_of
from trueline.engine.loading import LocalModel
from trueline.train.batching import Row, batches, pad, token_logps
from trueline.train.reference import cache_line, known_rows

FILE = "reference_tokens.jsonl"


def key_of(row: Row) -> str:
    """Content address of the row and of what counts in it."""
    return digest_of([row.prompt, row.completion, row.earlier])


def _counted(local: LocalModel, rows: Sequence[Row]) -> torch.Tensor:
    """(counted tokens of all rows, in order) log-probabilities."""
    batch = pad(rows, local.tokenizer.pad_token_id or 0, local.device)
    return token_logps(local.model, batch)[batch.keep]


def places(row: Row) -> list[int]:
    """Where each counted token stands in its turn, from 0."""
    return [i for begin, end in row.spans() for i in range(end - begin)]


@dataclass(frozen=True, slots=True)
class FirstTokens:
    """The constraint: `reference`, a row's content address -> its counted log-probabilities (nats) under the aligned model."""

    local: LocalModel
    reference: dict[str, list[float]]

    def summed(self, rows: Sequence[Row]) -> torch.Tensor:
        """The constrained loss of all counted tokens of `rows`, summed, ()."""
        logps = _counted(self.local, rows)
        before = torch.tensor([v for r in rows for v in self.reference[key_of(r)]], device=logps.device)
        betas = betas_at(torch.tensor([p for r in rows for p in places(r)], device=logps.device))
        return constrained_nll(logps, before, betas).sum()


def first_tokens(local: LocalModel, rows: Sequence[Row], folder: Path, budget: int, precision: str) -> FirstTokens:
    """Computes the reference in the precision of the run, or reads it from `folder`: a run killed here goes on, batch by batch."""
    name = local.digest if precision == "float32" else f"{local.digest} in {precision}"
    cache = folder / FILE
    known = known_rows(cache, name)
    keys = [key_of(r) for r in rows]
    cache.parent.mkdir(parents=True, exist_ok=True)
    with cache.open("a", encoding="utf-8") as f, torch.no_grad():
        for part in batches([len(r) for r in rows], budget, 0, 0):
            if all(keys[i] in known for i in part):
                continue
            found = _counted(local, [rows[i] for i in part]).tolist()
            for i in part:
                known[keys[i]], found = found[: rows[i].counted()], found[rows[i].counted() :]
                f.write(cache_line(name, keys[i], known[keys[i]]))
            f.flush()
    return FirstTokens(local, {k: known[k] for k in keys})
