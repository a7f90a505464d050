"""Direct preference optimisation without a reward model, and its family.

In order: encode pairs (what does not fit is counted), decide numerically whether the prompt can be shared, the
reference's log-probabilities once (cached by content, resumable), check that step 0 has margin 0, train, resume exactly.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from trueline.algos.losses.preference import PreferenceOptions, preference_loss
from trueline.charter.digests import digest_of
from trueline.core.records import Preference
from trueline.engine.loading import LocalModel
from trueline.errors import TrainingError
from trueline.train.batching import Row, batches, make_row
from trueline.train.checkpoint import load_checkpoint
from trueline.train.loop import LoopSettings, Progress, run_loop
from trueline.train.sft import TrainReport, vars_of
from trueline.train.shared import can_share, pair_logps, shared_logps

Logps = Callable[[list[int]], tuple[torch.Tensor, torch.Tensor]]


@dataclass(frozen=True, slots=True)
class DpoSettings:
    """loss: name in `algos.losses.preference.LOSSES`; beta, label_smoothing: its options; sft_weight: share of the chosen
    reply's own likelihood in the loss (per token), which keeps it from falling while margins rise."""

    loss: str = "dpo"
    beta: float = 0.1
    label_smoothing: float = 0.0
    sft_weight: float = 0.0
    epochs: int = 1
    lr: float = 2e-4
    batch_tokens: int = 4096
    max_tokens: int = 1024
    share_prompt: bool = True
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Pairs:
    """Encoded pairs; `keys` are the content addresses of their rows."""

    chosen: list[Row]
    rejected: list[Row]
    weights: list[float]
    margins: list[float]
    keys: list[str]
    too_long: int

    def lengths(self) -> list[int]:
        """Tokens of every pair in the shared form: prompt, chosen and rejected."""
        return [len(c) + len(r.completion) for c, r in zip(self.chosen, self.rejected, strict=True)]


def encode_pairs(local: LocalModel, pairs: Sequence[Preference], limit: int) -> Pairs:
    """Encodes all pairs that fit `limit` tokens on both sides."""
    out = Pairs([], [], [], [], [], 0)
    left = 0
    for p in pairs:
        c = make_row(local.tokenizer, p.prompt, p.chosen, limit)
        r = make_row(local.tokenizer, p.prompt, p.rejected, limit)
        if c is None or r is None or len(c) + len(r.completion) > local.context:
            left += 1
            continue
        out.chosen.append(c)
        out.rejected.append(r)
        out.weights.append(p.weight)
        out.margins.append(p.margin)
        out.keys.append(digest_of([c.prompt, c.completion, r.completion]))
    return Pairs(out.chosen, out.rejected, out.weights, out.margins, out.keys, left)


def _known(cache: Path, digest: str) -> dict[str, list[float]]:
    """Cached rows of this model. A last line that a kill cut short is taken off the file."""
    if not cache.exists():
        return {}
    text = cache.read_text(encoding="utf-8")
    if text and not text.endswith("\n"):
        os.truncate(cache, len(text[: text.rfind("\n") + 1].encode("utf-8")))
    rows = [json.loads(line) for line in text.split("\n")[:-1]]
    return {row["key"]: row["logps"] for row in rows if row["model"] == digest}


def reference_logps(local: LocalModel, data: Pairs, logps: Logps, cache: Path, budget: int) -> torch.Tensor:
    """(pairs, 2) log-probabilities of the untouched model, read from and appended to `cache`.

    The batches are those of all the data (at most `budget` padded tokens each), whatever is cached: a batch with a row missing is
    done whole, so that a run killed here goes on with the very bits of an uninterrupted one."""
    known = _known(cache, local.digest)
    cache.parent.mkdir(parents=True, exist_ok=True)
    with cache.open("a", encoding="utf-8") as f, torch.no_grad():
        for part in batches(data.lengths(), budget, 0, 0):
            if all(data.keys[i] in known for i in part):
                continue
            c, r = logps(part)
            for i, a, b in zip(part, c.tolist(), r.tolist(), strict=True):
                known[data.keys[i]] = [a, b]
                f.write(json.dumps({"model": local.digest, "key": data.keys[i], "logps": [a, b]}) + "\n")
            f.flush()
    return torch.tensor([known[k] for k in data.keys], device=local.device)


def _check_start(local: LocalModel, logps: Logps, reference: torch.Tensor) -> None:
    """At step 0 model and reference are the same, so every implicit reward is 0. If not, the reference is another model."""
    sample = list(range(min(4, len(reference))))
    with torch.no_grad():
        c, r = logps(sample)
    off = float((torch.stack([c, r], dim=1) - reference[sample]).abs().max())
    if off > 0.05:
        what = f"at step 0 model and reference differ by {off:.3f} nats, expected 0; the reference is not this model ({local.path})"
        raise TrainingError(what, remedy="start DPO from the model that the reference cache belongs to")


def run_dpo(
    local: LocalModel, pairs: Sequence[Preference], settings: DpoSettings, folder: Path, progress: Progress | None = None
) -> TrainReport:
    """Trains `local.model` in place. The reference is the model as it is given. Raises `TrainingError` where nothing fits."""
    loss_of = preference_loss(settings.loss, PreferenceOptions(settings.beta, settings.label_smoothing))
    data = encode_pairs(local, pairs, min(settings.max_tokens, local.context))
    if not data.chosen:
        raise TrainingError(f"none of {len(pairs)} pairs fits {settings.max_tokens} tokens", remedy="raise max_tokens")
    pad_id = local.tokenizer.pad_token_id or 0
    shared, why = (
        can_share(local.model, data.chosen, data.rejected, pad_id, local.device) if settings.share_prompt else (False, "switched off")
    )
    form = shared_logps if shared else pair_logps

    def logps(batch: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
        return form(local.model, [data.chosen[i] for i in batch], [data.rejected[i] for i in batch], pad_id, local.device)

    key = digest_of(["dpo", local.digest, data.keys, data.weights, vars_of(settings)])
    reference = reference_logps(local, data, logps, folder / "reference.jsonl", settings.batch_tokens)
    _check_start(local, logps, reference)
    weights = torch.tensor(data.weights, device=local.device)
    lengths = torch.tensor([len(c.completion) for c in data.chosen], device=local.device)

    def step_loss(batch: list[int]) -> tuple[torch.Tensor, dict[str, float]]:
        index = torch.tensor(batch, device=local.device)
        c, r = logps(batch)
        over_c, over_r = c - reference[index, 0], r - reference[index, 1]
        w = weights[index]
        losses = loss_of(over_c, over_r) - settings.sft_weight * c / lengths[index]
        margin = settings.beta * (over_c - over_r).detach()
        told = {
            "margin": float(margin.mean()),
            "accuracy": float((margin > 0).float().mean()),
            "chosen_logp": float(over_c.detach().mean()),
        }
        return (losses * w).sum() / w.sum(), told

    plan = [b for epoch in range(settings.epochs) for b in batches(data.lengths(), settings.batch_tokens, settings.seed, epoch)]
    (folder / "sharing.json").write_text(json.dumps({"shared_prompt": shared, "why": why}) + "\n")
    metrics = run_loop(local.model, plan, step_loss, LoopSettings(settings.lr), folder, key, load_checkpoint(folder, key), progress)
    return TrainReport(len(plan), len(data.chosen), data.too_long, {**metrics, "shared_prompt": float(shared)})
