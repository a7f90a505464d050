"""KTO (2402.01306): learns from single replies that people found desirable or not, without pairs.

In order: encode rows (what does not fit is counted), give every prompt a completion of another prompt (mismatched; they
estimate the divergence z0), the reference's log-probabilities of both once (cached by content, resumable), check step 0,
train with z0 of each batch, resume exactly, say where the desirable replies' likelihood went. Left out on purpose: prompt
sharing, since the mismatched completion needs no gradient and a second cheap pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from trueline.algos.losses.preference import Completions, UnpairedObjective, unpaired
from trueline.algos.losses.unpaired import kl_baseline
from trueline.charter.digests import digest_of
from trueline.core.clock import generator
from trueline.data.unpaired import Labelled
from trueline.engine.loading import LocalModel
from trueline.errors import RunFileError, TrainingError
from trueline.train.batching import Row, batches, make_row
from trueline.train.checkpoint import load_checkpoint
from trueline.train.distributed import share_of
from trueline.train.dpo import PreferenceReport, relative
from trueline.train.loop import LoopSettings, Progress, StepLoss, run_loop
from trueline.train.precision import resolve
from trueline.train.reference import check_start, named, reference_logps
from trueline.train.sft import vars_of
from trueline.train.sharding import Placed, check_shard, placed
from trueline.train.shared import pair_logps
from trueline.train.trend import trend_of

BALANCE = (1.0, 4 / 3)  # of the two classes' total weights, eq. 8 of 2402.01306


@dataclass(frozen=True, slots=True)
class KtoSettings:
    """loss: an unpaired name in `algos.losses.preference.LOSSES`; beta and the class weights: its options, None for its own
    default. batch_tokens: padded tokens a step; max_tokens: longest row kept; precision: auto, float32 or bfloat16."""

    loss: str = "kto"
    beta: float | None = None
    desirable_weight: float | None = None
    undesirable_weight: float | None = None
    epochs: int = 1
    lr: float = 2e-4
    batch_tokens: int = 4096
    max_tokens: int = 1024
    seed: int = 0
    precision: str = "auto"

    def objective(self) -> UnpairedObjective:
        """The loss with its options. Raises `RunFileError` for an unknown name or an option without effect."""
        return unpaired(self.loss, {name: getattr(self, name) for name in ("beta", "desirable_weight", "undesirable_weight")})


@dataclass(frozen=True, slots=True)
class Rows:
    """Encoded rows; `other`: the same prompt with the completion of another prompt, None where the loss has no baseline; `keys`
    are the content addresses of own and other."""

    own: list[Row]
    other: list[Row] | None
    desirable: list[bool]
    weights: list[float]
    too_long: int

    @property
    def keys(self) -> list[str]:
        """Content addresses."""
        if self.other is None:
            return [digest_of([r.prompt, r.completion]) for r in self.own]
        return [digest_of([r.prompt, r.completion, o.completion]) for r, o in zip(self.own, self.other, strict=True)]

    def lengths(self) -> list[int]:
        """Tokens of every row."""
        return [len(r) for r in self.own]


def mismatched(rows: Sequence[Row], limit: int, seed: int) -> list[Row | None]:
    """Each prompt with the completion of another prompt: in a seeded round every row takes that of the next whose prompt differs
    and with which it fits `limit` tokens; None where there is none. Raises `TrainingError` where all prompts are one."""
    if len({r.prompt for r in rows}) < 2:
        what = "kto estimates its baseline from replies to other prompts, and all rows have the same prompt"
        raise TrainingError(what, remedy="give rows of at least two prompts, or use loss apo_zero_unpaired")
    order = list(range(len(rows)))
    generator(seed, "mismatched").shuffle(order)
    out: list[Row | None] = [None] * len(rows)
    for at, i in enumerate(order):
        for step in range(1, len(order)):
            j = order[(at + step) % len(order)]
            if rows[j].prompt != rows[i].prompt and len(rows[i].prompt) + len(rows[j].completion) <= limit:
                out[i] = Row(rows[i].prompt, rows[j].completion)
                break
    return out


def encode_rows(local: LocalModel, rows: Sequence[Labelled], limit: int, baseline: bool, seed: int) -> Rows:
    """Encodes all rows that fit `limit` tokens, alone and, for a loss with a baseline, with a completion of another prompt."""
    made = [(make_row(local.tokenizer, r.prompt, r.reply, limit), r) for r in rows]
    fit = [(row, r) for row, r in made if row is not None]
    if not fit:
        raise TrainingError(f"none of {len(rows)} rows fits {limit} tokens", remedy="raise max_tokens")
    others = mismatched([row for row, _ in fit], limit, seed) if baseline else [row for row, _ in fit]
    kept = [(row, o, r) for (row, r), o in zip(fit, others, strict=True) if o is not None]
    if not kept:
        raise TrainingError(f"no prompt fits {limit} tokens with a completion of another prompt", remedy="raise max_tokens")
    return Rows(
        [row for row, _, _ in kept],
        [o for _, o, _ in kept] if baseline else None,
        [r.desirable for _, _, r in kept],
        [r.weight for _, _, r in kept],
        len(rows) - len(kept),
    )


def _classes(data: Rows, settings: KtoSettings, objective: UnpairedObjective) -> dict[str, float]:
    """Rows of both classes and the balance of their total weights. Raises `RunFileError` for a class weight without rows."""
    good = sum(data.desirable)
    for name, n in (("desirable", good), ("undesirable", len(data.own) - good)):
        if n == 0 and getattr(settings, f"{name}_weight") is not None:
            raise RunFileError(f"{name}_weight has no effect: no row is {name}", remedy="remove it or give such rows")
    out, o = {"desirable": float(good), "undesirable": float(len(data.own) - good)}, objective.options
    if not o.desirable_weight * good and not o.undesirable_weight * (len(data.own) - good):
        what = f"desirable_weight {o.desirable_weight} and undesirable_weight {o.undesirable_weight} leave no row that counts"
        raise RunFileError(what, remedy="give the class that has rows a weight above 0")
    if 0 < good < len(data.own):
        total = o.undesirable_weight * (len(data.own) - good)
        out |= {"balance": o.desirable_weight * good / total} if total else {}
    return out


@dataclass(frozen=True, slots=True)
class KtoReport(PreferenceReport):
    """As `PreferenceReport`; `metrics` also hold the rows of both classes and `balance`: desirable_weight times desirable rows
    over undesirable_weight times undesirable rows."""

    def words(self) -> str:
        """Reference, trend and balance, one line for a person."""
        told = PreferenceReport.words(self)
        for name, way in (("desirable", "less"), ("undesirable", "more")):
            if not self.metrics[name]:
                told += f"; no row is {name}: replies like the others only become {way} likely"
        balance = self.metrics.get("balance")
        if balance is None or BALANCE[0] <= balance <= BALANCE[1]:
            return told
        return f"{told}; desirable to undesirable weight is {balance:.2f}, the paper's range is 1 to 1.33: set a class weight"


def _step_loss(place: Placed, objective: UnpairedObjective, data: Rows, weights: torch.Tensor, reference: torch.Tensor) -> StepLoss:
    """The loss of a batch of rows: the mean of weight times loss, this process's share of it; and what is told of all of it."""
    device = weights.device
    desirable = torch.tensor(data.desirable, device=device)

    def step_loss(batch: list[int]) -> tuple[torch.Tensor, dict[str, float]]:
        share, everything = share_of(batch), torch.tensor(batch, device=device)
        index = torch.tensor(share.rows, device=device)
        baseline = torch.zeros((), device=device)
        if data.other is not None:
            with torch.no_grad():
                other = _sums(place, [data.other[i] for i in share.rows])
            baseline = kl_baseline(share.whole(other), reference[everything, 1])
        own = _sums(place, [data.own[i] for i in share.rows])
        losses = objective(Completions(own, reference[index, 0]), desirable[index], baseline)
        good = desirable[everything]
        over = share.whole(own - reference[index, 0])
        told = {"kl": float(baseline)} if data.other is not None else {}
        if bool(good.any()):
            told["chosen_logp"] = float(over[good].mean())
        if bool(good.any()) and not bool(good.all()):
            told["margin"] = objective.options.beta * float(over[good].mean() - over[~good].mean())
        return share.counted((losses * weights[index]).sum() / len(batch)), told

    return step_loss


def _sums(place: Placed, rows: Sequence[Row], others: Sequence[Row] = ()) -> torch.Tensor:
    """Sums of completion log-probabilities of `rows` and `others`, (all of them,)."""
    local = place.local
    found = place.whole(lambda: torch.cat(pair_logps(local.model, rows, others, local.tokenizer.pad_token_id or 0, local.device)))
    assert isinstance(found, torch.Tensor)
    return found


def run_kto(
    local: LocalModel,
    rows: Sequence[Labelled],
    settings: KtoSettings,
    folder: Path,
    progress: Progress | None = None,
    *,
    shard: bool = False,
) -> KtoReport:
    """Trains `local.model` in place. The reference is the model as it is given. `shard`: spread the weights over the processes.

    Raises `TrainingError` where nothing fits, `RunFileError` for an option without effect."""
    check_shard(shard)
    objective = settings.objective()
    data = encode_rows(local, rows, min(settings.max_tokens, local.context), objective.loss.baseline, settings.seed)
    classes, weights = _classes(data, settings, objective), relative(data.weights, local.device)
    precision = resolve(settings.precision, local.device)
    key = digest_of(["kto", local.digest, data.keys, data.weights, data.desirable, vars_of(settings), precision])
    told = named(local)
    plan = [b for epoch in range(settings.epochs) for b in batches(data.lengths(), settings.batch_tokens, settings.seed, epoch)]
    with placed(local, precision, shard) as place:

        def logps(batch: list[int]) -> tuple[torch.Tensor, ...]:
            other = [] if data.other is None else [data.other[i] for i in batch]
            return torch.split(_sums(place, [data.own[i] for i in batch], other), len(batch))

        reference = reference_logps(local, data, logps, folder / "reference.jsonl", settings.batch_tokens, precision)
        check_start(local, logps, reference, precision)
        step_loss = _step_loss(place, objective, data, weights, reference)
        state = load_checkpoint(folder, key)
        metrics = run_loop(place.local.model, plan, step_loss, LoopSettings(settings.lr), folder, key, state, progress, place.master)
    return KtoReport(
        steps=len(plan),
        rows=len(data.own),
        too_long=data.too_long,
        metrics={**metrics, **classes},
        reference=told,
        trend=trend_of(folder / "metrics.jsonl"),
    )
