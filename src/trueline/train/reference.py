"""The reference of a preference loss: its log-probabilities computed once, kept by content, and held against the model at step 0."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import torch

from trueline.engine.loading import LocalModel
from trueline.errors import TrainingError
from trueline.train.batching import batches

Logps = Callable[[list[int]], tuple[torch.Tensor, ...]]
APART = {"float32": 0.05, "bfloat16": 0.5}  # nats that a model may differ from its own cached log-probabilities


class Addressed(Protocol):
    """Rows with content addresses and lengths in tokens."""

    @property
    def keys(self) -> list[str]:
        """A digest of every row's tokens."""

    def lengths(self) -> list[int]:
        """Tokens of every row."""


def _known(cache: Path, digest: str) -> dict[str, list[float]]:
    """Cached rows of this model. A last line that a kill cut short is taken off the file."""
    if not cache.exists():
        return {}
    text = cache.read_text(encoding="utf-8")
    if text and not text.endswith("\n"):
        os.truncate(cache, len(text[: text.rfind("\n") + 1].encode("utf-8")))
    rows = [json.loads(line) for line in text.split("\n")[:-1]]
    return {row["key"]: row["logps"] for row in rows if row["model"] == digest}


def reference_logps(local: LocalModel, data: Addressed, logps: Logps, cache: Path, budget: int, precision: str = "float32") -> torch.Tensor:
    """(rows, k) log-probabilities of the untouched model, k tensors of (rows,) from `logps`, read from and appended to `cache`.

    The batches are those of all the data (at most `budget` padded tokens each), whatever is cached: a batch with a row missing is
    done whole, so that a run killed here goes on with the very bits of an uninterrupted one."""
    name = local.digest if precision == "float32" else f"{local.digest} in {precision}"
    known = _known(cache, name)
    cache.parent.mkdir(parents=True, exist_ok=True)
    with cache.open("a", encoding="utf-8") as f, torch.no_grad():
        for part in batches(data.lengths(), budget, 0, 0):
            if all(data.keys[i] in known for i in part):
                continue
            found = torch.stack(logps(part), dim=1).tolist()
            for i, values in zip(part, found, strict=True):
                known[data.keys[i]] = values
                f.write(json.dumps({"model": name, "key": data.keys[i], "logps": values}) + "\n")
            f.flush()
    return torch.tensor([known[k] for k in data.keys], device=local.device)


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
