"""Direct preference optimisation without a reward model, and its family (`algos.losses.preference`).

In order: encode pairs (what does not fit is counted), decide numerically whether the prompt can be shared, the
reference's log-probabilities once (cached by content, resumable), check that step 0 has margin 0, train, resume exactly, say
where the chosen replies' likelihood went. A loss without a reference skips the reference and its check.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from trueline.algos.losses.preference import Completions, PairedObjective, paired
from trueline.charter.digests import digest_of
from trueline.core.records import Preference
from trueline.data.jsonl import write_json
from trueline.engine.loading import LocalModel
from trueline.errors import RunFileError, TrainingError
from trueline.train.batching import Row, batches, make_row
from trueline.train.block_attention import attention_of, keep_choices
from trueline.train.checkpoint import load_checkpoint
from trueline.train.distributed import from_main, share_of
from trueline.train.loop import LoopSettings, Progress, StepLoss, run_loop
from trueline.train.precision import resolve
from trueline.train.reference import Logps, check_start, named, reference_logps
from trueline.train.sft import TrainReport, vars_of
from trueline.train.sharding import check_shard, placed
from trueline.train.shared import can_share, pair_logps, shared_logps
from trueline.train.trend import Trend, trend_of

SHARING = "sharing.json"  # in the run's folder: whether the prompt is computed once, why, and how attention was computed


@dataclass(frozen=True, slots=True)
class DpoSettings:
    """loss: a paired name in `algos.losses.preference.LOSSES`; beta to sft_weight: its options, None for its own default (what
    they mean stands in `algos.losses.options`). batch_tokens: padded tokens a step; max_tokens: longest row kept;
    precision: auto, float32 or bfloat16 (with a float32 master of the weights)."""

    loss: str = "dpo"
    beta: float | None = None
    label_smoothing: float | None = None
    gamma: float | None = None
    margin_weight: float | None = None
    sft_weight: float | None = None
    epochs: int = 1
    lr: float = 2e-4
    batch_tokens: int = 4096
    max_tokens: int = 1024
    share_prompt: bool = True
    seed: int = 0
    precision: str = "auto"

    def objective(self) -> PairedObjective:
        """The loss with its options. Raises `RunFileError` for an unknown name or an option without effect."""
        names = ("beta", "label_smoothing", "gamma", "margin_weight", "sft_weight")
        return paired(self.loss, {name: getattr(self, name) for name in names})


@dataclass(frozen=True, slots=True)
class PreferenceReport(TrainReport):
    """As `TrainReport`; reference: which one was used, in words; trend: where the chosen replies' likelihood went; per_token:
    whether its log-probabilities are nats a token (a loss without a reference) and not nats over the reference."""

    reference: str = ""
    trend: Trend | None = None
    per_token: bool = False

    def words(self) -> str:
        """Reference and trend, one line for a person."""
        told = self.trend.words(self.per_token) if self.trend else "too few steps for a trend of the chosen log-probability"
        return f"reference: {self.reference}; {told}"


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


def relative(weights: Sequence[float], device: torch.device) -> torch.Tensor:
    """Weights with mean 1 over all the data, (rows,): a row's weight says the same in whatever batch it stands. Raises
    `TrainingError` where all are 0."""
    total = sum(weights)
    if total <= 0:
        raise TrainingError(f"all {len(weights)} weights are 0, so nothing is learnt", remedy="give a row a weight above 0")
    return torch.tensor([w * len(weights) / total for w in weights], device=device)


def _margins(objective: PairedObjective, data: Pairs, device: torch.device) -> torch.Tensor | None:
    if not objective.options.margin_weight:
        return None
    if not any(data.margins):
        what = f"margin_weight {objective.options.margin_weight} has no effect: no pair has a margin"
        raise RunFileError(what, remedy="give the rows a `margin` or remove margin_weight")
    return torch.tensor(data.margins, device=device)


@dataclass(frozen=True, slots=True)
class _Scale:
    """weights (pairs,) with mean 1; margins (pairs,), None where they do not count."""

    weights: torch.Tensor
    margins: torch.Tensor | None


def _step_loss(
    objective: PairedObjective, data: Pairs, scale: _Scale, logps: Logps, reference: torch.Tensor | None, device: torch.device
) -> StepLoss:
    """The loss of a batch of pairs: the mean of weight times loss, this process's share of it; and what is told of all of it."""
    tokens = torch.tensor([[len(c.completion), len(r.completion)] for c, r in zip(data.chosen, data.rejected, strict=True)], device=device)

    def step_loss(batch: list[int]) -> tuple[torch.Tensor, dict[str, float]]:
        share = share_of(batch)
        index = torch.tensor(share.rows, device=device)
        ref = None if reference is None else reference[index]
        found = logps(share.rows)
        chosen, rejected = (Completions(found[i], None if ref is None else ref[:, i], tokens[index, i]) for i in (0, 1))
        losses = objective(chosen, rejected, None if scale.margins is None else scale.margins[index])
        margin = share.whole(objective.rewards(chosen) - objective.rewards(rejected))
        logp = chosen.logps.detach()
        told = {
            "margin": float(margin.mean()),
            "accuracy": float((margin > 0).float().mean()),
            "chosen_logp": float(share.whole(logp / tokens[index, 0] if ref is None else logp - ref[:, 0]).mean()),
        }
        return share.counted((losses * scale.weights[index]).sum() / len(batch)), told

    return step_loss


def _form(local: LocalModel, data: Pairs, settings: DpoSettings, folder: Path) -> bool:
    """Whether the prompt is computed once a pair; says so, and why, in the folder."""
    pad_id = local.tokenizer.pad_token_id or 0
    shared, why = (
        can_share(local.model, data.chosen, data.rejected, pad_id, local.device) if settings.share_prompt else (False, "switched off")
    )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / SHARING).write_text(json.dumps({"shared_prompt": shared, "why": why}) + "\n")
    return shared


def _note_attention(local: LocalModel, folder: Path) -> None:
    """Adds to what `_form` said how attention was computed, where there was a choice."""
    if (found := attention_of(local.model)) and (folder / SHARING).exists():
        known = json.loads((folder / SHARING).read_text())
        write_json(folder / SHARING, {**known, "attention": found})


def run_dpo(
    local: LocalModel,
    pairs: Sequence[Preference],
    settings: DpoSettings,
    folder: Path,
    progress: Progress | None = None,
    *,
    shard: bool = False,
) -> PreferenceReport:
    """Trains `local.model` in place. The reference, where the loss has one, is the model as it is given. `shard`: spread the weights over
    the processes (`train.sharding`).

    Raises `TrainingError` where nothing fits, `RunFileError` for an option without effect."""
    check_shard(shard)
    objective = settings.objective()
    data = encode_pairs(local, pairs, min(settings.max_tokens, local.context))
    if not data.chosen:
        raise TrainingError(f"none of {len(pairs)} pairs fits {settings.max_tokens} tokens", remedy="raise max_tokens")
    scale = _Scale(relative(data.weights, local.device), _margins(objective, data, local.device))
    pad_id = local.tokenizer.pad_token_id or 0
    precision = resolve(settings.precision, local.device)
    key = digest_of(["dpo", local.digest, data.keys, data.weights, data.margins, vars_of(settings), precision])
    keep_choices(local.model, folder, key)
    shared = from_main(lambda: _form(local, data, settings, folder))
    form = shared_logps if shared else pair_logps
    reference, told = None, named(local) if objective.reference else f"none, {settings.loss} has no reference"
    plan = [b for epoch in range(settings.epochs) for b in batches(data.lengths(), settings.batch_tokens, settings.seed, epoch)]
    with placed(local, precision, shard) as place:

        def logps(batch: list[int]) -> tuple[torch.Tensor, ...]:
            rows = [data.chosen[i] for i in batch], [data.rejected[i] for i in batch]
            found: tuple[torch.Tensor, ...] = place.whole(lambda: form(place.local.model, *rows, pad_id, local.device))
            return found

        if objective.reference:
            reference = reference_logps(local, data, logps, folder / "reference.jsonl", settings.batch_tokens, precision)
            check_start(local, logps, reference, precision)
        step_loss = _step_loss(objective, data, scale, logps, reference, local.device)
        state = load_checkpoint(folder, key)
        metrics = run_loop(place.local.model, plan, step_loss, LoopSettings(settings.lr), folder, key, state, progress, place.master)
    from_main(lambda: _note_attention(local, folder))
    return PreferenceReport(
        steps=len(plan),
        rows=len(data.chosen),
        too_long=data.too_long,
        metrics={**metrics, "shared_prompt": float(shared)},
        reference=told,
        trend=trend_of(folder / "metrics.jsonl"),
        per_token=not objective.reference,
    )
