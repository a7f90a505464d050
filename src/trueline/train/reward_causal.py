"""Reward models on a causal model: a body with one number on top, read at the reply's last token.

In order: put a head on the model, encode the groups, decide numerically whether the prompt can be shared, the loss of the rewards at
the last tokens, resume exactly; then, on a tenth of the families that was kept out, length slope and temperature. A member's folder is a
Hugging Face sequence classifier with one label, as other programs read it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from trueline.algos.losses.ensemble import combine
from trueline.algos.losses.reward import ordered_thresholds
from trueline.charter.digests import digest_of
from trueline.engine.loading import LocalModel
from trueline.errors import TrainingError
from trueline.train.batching import Row, batches, make_row, pad
from trueline.train.block_attention import attention_of, keep_choices
from trueline.train.checkpoint import load_checkpoint
from trueline.train.distributed import from_main, share_of
from trueline.train.judged import LOSS_OF, Judged, conversations_of, split_judged
from trueline.train.layout import Group, lay_out
from trueline.train.loop import LoopSettings, Progress, StepLoss, run_loop
from trueline.train.precision import resolve
from trueline.train.reward_model import Conversation, RewardModel, calibrated, centred, check_debias
from trueline.train.sft import TrainReport, vars_of
from trueline.train.sharding import Placed, check_shard, placed
from trueline.train.shared import hidden_of, proven, specimen

THRESHOLDS = "ordinal_thresholds"  # the parameter of a rating's cuts, while it is trained
SAMPLE = 512  # training replies on which a member's centre and scale are measured


@dataclass(frozen=True, slots=True)
class RewardSettings:
    """loss: name in `algos.losses.reward.LOSSES`; epochs over the rows; batch_tokens: tokens a step (every reply counted); max_tokens:
    longest row kept; margin: whether a pair's `margin` must be exceeded (2307.09288, eq. 2); members: how many, with seeds of their
    own for head and order; combine, penalty: see `algos.losses.ensemble`; debias_length: whether length is taken off; calibration:
    share of the families kept from training for slope and temperature (0: neither is fitted); precision: auto, float32 or bfloat16."""

    epochs: int = 1
    lr: float = 2e-4
    batch_tokens: int = 4096
    max_tokens: int = 1024
    margin: bool = True
    seed: int = 0
    loss: str = "bradley-terry"
    members: int = 1
    combine: str = "mean"
    penalty: float | None = None
    debias_length: bool = False
    calibration: float = 0.1
    share_prompt: bool = True
    precision: str = "auto"


def with_head(local: LocalModel, seed: int) -> LocalModel:
    """The same weights under a fresh head (normal, 1 / sqrt(width), by the seed). Raises `TrainingError` where transformers has
    no sequence classifier of this architecture."""
    import transformers

    config = copy.deepcopy(local.model.config)
    config.num_labels = 1
    try:
        model = transformers.AutoModelForSequenceClassification.from_config(config).float()
    except ValueError:
        what = f"transformers has no sequence classifier for {type(local.model.config).__name__}"
        raise TrainingError(what, remedy="train the reward model from another architecture") from None
    model.base_model.load_state_dict(local.model.base_model.state_dict())
    head = head_of(model)
    with torch.no_grad():
        source = torch.Generator().manual_seed(seed)
        head.weight.copy_(torch.randn(head.weight.shape, generator=source) / head.weight.shape[1] ** 0.5)
    model.config.pad_token_id = local.tokenizer.pad_token_id or 0
    return replace(local, model=model.eval().to(local.device))


def head_of(model: Any) -> Any:
    """The linear layer that gives the reward."""
    found = getattr(model, "score", None)
    if found is None:
        raise TrainingError(f"{type(model).__name__} has no layer `score`", remedy="train from another architecture")
    return found


def _reading(local: LocalModel, hidden: torch.Tensor) -> torch.Tensor:
    out = head_of(local.model)(hidden)[:, 0].float()
    assert isinstance(out, torch.Tensor)
    return out


def rewards(local: LocalModel, rows: Sequence[Row], pad_id: int) -> torch.Tensor:
    """The reward of every row, read at its last token, shape (rows,). What stands to the right no causal model sees."""
    batch = pad(rows, pad_id, local.device)
    hidden = local.model.base_model(input_ids=batch.ids, use_cache=False).last_hidden_state
    last = torch.tensor([len(r) - 1 for r in rows], device=local.device)
    return _reading(local, hidden[torch.arange(len(rows), device=local.device), last])


def shared_rewards(local: LocalModel, groups: Sequence[Sequence[Row]], pad_id: int) -> torch.Tensor:
    """The same rewards, in the order of groups and replies, with each group's prompt computed once."""
    layout = lay_out([[Group(g[0].prompt, tuple(r.completion for r in g))] for g in groups], pad_id, local.device)
    return _reading(local, hidden_of(local.model, layout)[layout.ends[:, 0], layout.ends[:, 1]])


@dataclass(frozen=True, slots=True)
class Encoded:
    """Groups whose replies all fit, and the rows they came from."""

    rows: list[Judged]
    groups: list[list[Row]]
    too_long: int

    def key(self) -> list[object]:
        """What decides training: ids, and what people said."""
        ids = [[[r.prompt, r.completion] for r in g] for g in self.groups]
        return [ids, [[r.ranks, r.level, r.margin, r.weight] for r in self.rows]]


def encode_groups(local: LocalModel, rows: Sequence[Judged], limit: int) -> Encoded:
    """Encodes the groups of which every reply fits `limit` tokens; the others are counted, nothing is cut."""
    out = Encoded([], [], 0)
    for row in rows:
        made = [make_row(local.tokenizer, row.prompt, reply, limit) for reply in row.replies]
        whole = [r for r in made if r is not None]
        if len(whole) == len(made):
            out.rows.append(row)
            out.groups.append(whole)
    return replace(out, too_long=len(rows) - len(out.rows))


def can_share_rewards(local: LocalModel, data: Encoded, settings: RewardSettings) -> tuple[bool, str]:
    """Whether the model gives the same rewards and gradients with the prompt computed once, on the longest group of this very
    data and one of middle length, and the reason in words. `shared.can_share` asks the same of a language model's log-probabilities."""
    if not settings.share_prompt or settings.loss == "ordinal":
        return False, "switched off" if not settings.share_prompt else "a rating has one reply"
    if any(r.prompt != g[0].prompt for g in data.groups for r in g):
        return False, "replies of a group have different prompt tokens"
    pad_id = local.tokenizer.pad_token_id or 0
    sample = [data.groups[i] for i in specimen([sum(map(len, g)) for g in data.groups])]
    plain = [partial(rewards, local, group, pad_id) for group in sample]
    return proven(local.model, lambda: shared_rewards(local, sample, pad_id), plain, f"{len(sample)} groups")


@dataclass(frozen=True, slots=True)
class MemberReport(TrainReport):
    """As `TrainReport`; thresholds of `ordinal`, rising (else empty); sharing: whether the prompt was computed once, and why."""

    thresholds: tuple[float, ...] = ()
    sharing: str = ""


def _step_loss(place: Placed, data: Encoded, settings: RewardSettings, shared: bool, mean_weight: float) -> StepLoss:
    """The loss of a batch of groups: the mean of weight times loss, this process's share of it; and what is told of all of it."""
    local = place.local
    pad_id = local.tokenizer.pad_token_id or 0

    def found(groups: Sequence[Sequence[Row]]) -> tuple[torch.Tensor, torch.Tensor | None]:
        """(rewards, thresholds)."""
        free = getattr(local.model, THRESHOLDS, None)
        of = shared_rewards(local, groups, pad_id) if shared else rewards(local, [r for g in groups for r in g], pad_id)
        return of, None if free is None else ordered_thresholds(free)

    def step_loss(batch: list[int]) -> tuple[torch.Tensor, dict[str, float]]:
        share = share_of(batch)
        rows = [data.rows[i] for i in share.rows]
        own, thresholds = place.whole(lambda: found([data.groups[i] for i in share.rows]))
        losses = LOSS_OF[settings.loss](own, rows, thresholds, settings.margin)
        w = torch.tensor([r.weight / mean_weight for r in rows], device=own.device)
        every = share.whole(own)
        told = {"reward_spread": float(every.std(correction=0))}
        if settings.loss == "bradley-terry":
            c, r = every[0::2], every[1::2]
            told = {"accuracy": float((c > r).float().mean()), "difference": float((c - r).mean())}
        return share.counted((losses * w).sum() / len(batch)), told

    return step_loss


def train_member(
    local: LocalModel, data: Encoded, settings: RewardSettings, folder: Path, progress: Progress | None = None, *, shard: bool = False
) -> MemberReport:
    """Trains a model made by `with_head` in place. `shard`: spread its weights over the processes. Raises `TrainingError` where no row has
    a weight."""
    levels = max(r.level for r in data.rows) + 1
    weights = [r.weight for r in data.rows]
    mean_weight = sum(weights) / len(weights)
    if mean_weight <= 0:
        raise TrainingError(f"all {len(weights)} weights are 0, so nothing is learnt", remedy="give a row a weight above 0")
    precision = resolve(settings.precision, local.device)
    inputs = ["reward", local.digest, data.key(), vars_of(settings)]
    keep_choices(local.model, folder, digest_of([*inputs, precision]))
    shared, why = from_main(lambda: can_share_rewards(local, data, settings))
    free = torch.nn.Parameter(torch.linspace(-1, 0, levels - 1, device=local.device)) if levels > 1 else None
    if free is not None:
        local.model.register_parameter(THRESHOLDS, free)  # so that loop and checkpoint know it
    sizes = [(len(g[0].prompt) + sum(len(r.completion) for r in g)) if shared else sum(map(len, g)) for g in data.groups]
    plan = [b for epoch in range(settings.epochs) for b in batches(sizes, settings.batch_tokens, settings.seed, epoch)]
    key = digest_of([*inputs, shared, precision])
    with placed(local, precision, shard) as place:
        state, step_loss = load_checkpoint(folder, key), _step_loss(place, data, settings, shared, mean_weight)
        metrics = run_loop(place.local.model, plan, step_loss, LoopSettings(settings.lr), folder, key, state, progress, place.master)
    thresholds = tuple(ordered_thresholds(free).tolist()) if free is not None else ()
    if free is not None:
        delattr(local.model, THRESHOLDS)
    sharing = "; ".join(filter(None, [f"{'yes' if shared else 'no'}: {why}", attention_of(local.model)]))
    return MemberReport(len(plan), len(data.rows), data.too_long, metrics, thresholds, sharing)


@dataclass(frozen=True, slots=True)
class CausalMembers:
    """Sequence classifiers with one label. limit: tokens of the longest row that is scored."""

    models: tuple[LocalModel, ...]

    @torch.no_grad()
    def rewards(self, conversations: Sequence[Conversation]) -> NDArray[np.float64]:
        """(members, conversations). Raises `TrainingError` for one that does not fit the context: a cut reply has no reward."""
        first = self.models[0]
        rows = []
        for n, (prompt, reply) in enumerate(conversations):
            row = make_row(first.tokenizer, prompt, reply, first.context)
            if row is None:
                what = f"conversation {n + 1} does not fit the {first.context} tokens of this reward model"
                raise TrainingError(what, remedy="leave it out or shorten it")
            rows.append(row)
        order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
        out = np.zeros((len(self.models), len(rows)))
        for start in range(0, len(order), 8):
            part = order[start : start + 8]
            for k, model in enumerate(self.models):
                out[k, part] = rewards(model, [rows[i] for i in part], model.tokenizer.pad_token_id or 0).double().cpu().numpy()
        return out


def train_causal(
    local: LocalModel,
    rows: Sequence[Judged],
    settings: RewardSettings,
    folder: Path,
    progress: Callable[[int], Progress | None] = lambda _: None,
    *,
    shard: bool = False,
) -> tuple[RewardModel, TrainReport, dict[str, object]]:
    """Trains all members, calibrates, and says what was chosen. `progress` of each member; `shard`: spread the weights over the processes.
    Raises `TrainingError` where nothing fits."""
    check_shard(shard)
    combine(settings.combine, settings.penalty)
    data = encode_groups(local, rows, min(settings.max_tokens, local.context))
    if not data.rows:
        what = f"none of {len(rows)} rows fits {min(settings.max_tokens, local.context)} tokens"
        raise TrainingError(what, remedy="raise max_tokens")
    rest, kept = split_judged(data.rows, settings.calibration, f"calibrate {settings.seed}")
    if not rest:
        rest, kept = data.rows, []
    check_debias(kept, settings.debias_length)
    used = {id(r) for r in rest}
    data = replace(data, rows=rest, groups=[g for g, r in zip(data.groups, data.rows, strict=True) if id(r) in used])
    reports, models = [], []
    for k in range(settings.members):
        headed = with_head(local, settings.seed * 1000 + k if settings.members > 1 else settings.seed)
        mine = replace(settings, seed=settings.seed * 1000 + k if settings.members > 1 else settings.seed, members=1)
        reports.append(
            train_member(headed, data, mine, folder / f"member-{k}" if settings.members > 1 else folder, progress(k), shard=shard)
        )
        models.append(headed)
    members = CausalMembers(tuple(models))
    every = max(1, len(rest) // SAMPLE)
    scale = centred(members.rewards(conversations_of(rest[::every])), settings.combine, settings.penalty)
    if kept:
        scale = calibrated(scale, scale.combined(members.rewards(conversations_of(kept))), kept, settings.debias_length)
    metrics = {name: float(np.mean([r.metrics[name] for r in reports])) for name in reports[0].metrics}
    total = TrainReport(sum(r.steps for r in reports), len(rest), data.too_long, metrics)
    told: dict[str, object] = {
        "shared_prompt": reports[0].sharing,
        "calibration_rows": len(kept),
        "temperature": scale.temperature,
        "length_slope": scale.slope,
    }
    model = RewardModel("causal", settings.loss, members, scale, tuple(r.thresholds for r in reports) if settings.loss == "ordinal" else ())
    return model, total, told
