"""The reference of a preference loss: its log-probabilities computed once, kept by content, and held against the model at step 0."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Protocol

import torch

from trueline.charter.digests import digest_of
from trueline.engine.loading import LocalModel
from trueline.errors import TrainingError
from trueline.train.batching import batches
from trueline.train.distributed import Share, from_main, main, rank, size

Logps = Callable[[list[int]], tuple[torch.Tensor, ...]]
APART = {"float32": 0.05, "bfloat16": 0.5}  # nats that a model may differ from its own cached log-probabilities


class Addressed(Protocol):
    """Rows with content addresses and lengths in tokens."""

    @property
    def keys(self) -> list[str]:
        """A digest of every row's tokens."""

    def lengths(self) -> list[int]:
        """Tokens of every row."""


def _check(model: str, key: str, logps: list[float]) -> str:
    return digest_of([model, key, logps])[:16]


def cache_line(model: str, key: str, logps: list[float]) -> str:
    """A line of the cache: of the row `key`, by the model with this digest. Its check is what it is recognised by: a number that was changed
    on the disk would be another reference, and no step would show it."""
    return json.dumps({"model": model, "key": key, "logps": logps, "check": _check(model, key, logps)}) + "\n"


def known_rows(cache: Path, digest: str) -> dict[str, list[float]]:
    """Cached rows of this model. A last line that a kill cut short is taken off the file. Raises `TrainingError` (file:line) for a line that
    is none of the cache's."""
    if not cache.exists():
        return {}
    text = cache.read_bytes()
    if text and not text.endswith(b"\n"):
        os.truncate(cache, text.rfind(b"\n") + 1)
    found = {}
    for number, line in enumerate(text.split(b"\n")[:-1], 1):
        try:
            row = json.loads(line.decode("utf-8"))
            model, key, logps = row["model"], row["key"], row["logps"]
            good = row["check"] == _check(model, key, logps) and all(math.isfinite(x) for x in logps)
        except (ValueError, LookupError, TypeError):
            good = False
        if not good:
            what = "this line is no log-probabilities of a row"
            raise TrainingError(what, remedy="remove the file: they are computed again", file=cache, line=number)
        if model == digest:
            found[key] = logps
    return found


def reference_logps(local: LocalModel, data: Addressed, logps: Logps, cache: Path, budget: int, precision: str = "float32") -> torch.Tensor:
    """(rows, k) log-probabilities of the untouched model, k tensors of (rows,) from `logps`, read from and appended to `cache`.

    The batches are those of all the data (at most `budget` padded tokens each), whatever is cached: a batch with a row missing is
    done whole, so that a run killed here goes on with the very bits of an uninterrupted one. Several processes take a batch each."""
    name = local.digest if precision == "float32" else f"{local.digest} in {precision}"
    known, n = from_main(lambda: known_rows(cache, name)), size()
    todo = _missing(data, known, budget)
    if main():
        cache.parent.mkdir(parents=True, exist_ok=True)
    with open(cache if main() else os.devnull, "a", encoding="utf-8") as f, torch.no_grad():
        for at in range(0, len(todo), n):
            parts = todo[at : at + n]
            # where fewer batches are left than processes, the others do the first once more: the parts of a sharded model need all
            mine = Share(parts[rank()]) if rank() < len(parts) else Share(parts[0], counts=False)
            found = mine.whole(torch.stack(logps(mine.rows), dim=1)).tolist()
            if not all(math.isfinite(x) for values in found for x in values):
                what = f"the model gives some of the rows {[i for part in parts for i in part][:8]} log-probabilities that are not finite"
                raise TrainingError(what, remedy="look at these rows, or compute with --precision float32")
            for i, values in zip([i for part in parts for i in part], found, strict=True):
                known[data.keys[i]] = values
                f.write(cache_line(name, data.keys[i], values))
            f.flush()
    return torch.tensor([known[k] for k in data.keys], device=local.device)


def _missing(data: Addressed, known: Collection[str], budget: int) -> list[list[int]]:
    """The batches with a row that neither the cache nor an earlier batch knows."""
    keys, seen, out = data.keys, set(known), list[list[int]]()
    for part in batches(data.lengths(), budget, 0, 0):
        if any(keys[i] not in seen for i in part):
            out.append(part)
            seen.update(keys[i] for i in part)
    return out


def check_start(local: LocalModel, logps: Logps, reference: torch.Tensor, precision: str = "float32") -> None:
    """At step 0 model and reference are the same, so every implicit reward is 0. If not, the reference is another model:
    `TrainingError`."""
    sample = list(range(min(4, len(reference))))
    with torch.no_grad():
        found = torch.stack(logps(sample), dim=1)
    off = float((found - reference[sample]).abs().max())
    if off > APART[precision]:
        what = f"at step 0 model and reference differ by {off:.3f} nats, expected 0; the reference is not this model ({local.path})"
        raise TrainingError(what, remedy="start from the model that the reference cache belongs to")


def named(local: LocalModel) -> str:
    """The reference in words."""
    # peft names the factor that starts at zero lora_B: while it is zero, adapters on and adapters off are the same model
    up = [p for name, p in local.model.named_parameters() if "lora_B" in name]
    off = all(not bool(p.detach().any()) for p in up)
    how = "" if not up else ", its adapters off" if off else ", its adapters as they were then"
    return f"the model as given at step 0{how}: {local.path} ({local.digest[:12]})"
