"""Supervised fine-tuning: the loss on the assistant's words alone, normalised by the counted tokens of the whole step.

In order: encode (what does not fit is counted, never cut), batch by length, decide how a step is laid out (a row each, or packed),
cross-entropy (or its constrained form), at once or in parts, resume exactly. Neither layout nor parts change what a step is: its
conversations, its loss. Lisa adds steps on safety data between the user's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch

from trueline.charter.digests import digest_of
from trueline.data.conversations import Example
from trueline.engine.loading import LocalModel
from trueline.errors import RunFileError, TrainingError
from trueline.train.accumulate import in_parts, split
from trueline.train.batching import Row, batches
from trueline.train.block_attention import keep_choices
from trueline.train.checkpoint import load_checkpoint
from trueline.train.distributed import from_main, main_first, share_of
from trueline.train.keeping.first_tokens import FirstTokens, first_tokens
from trueline.train.keeping.lisa import Alternation, Proximal, alternate
from trueline.train.loop import LoopSettings, Progress, run_loop
from trueline.train.packing import PACKING, Choice, can_pack, measured, nothing_to_pack, remember, remembered, sample_of, summed_logps
from trueline.train.precision import computing_in, resolve
from trueline.train.sharding import check_shard, placed
from trueline.train.turns import TURNS, encode_examples


@dataclass(frozen=True, slots=True)
class SftSettings:
    """epochs over the data; batch_tokens: padded tokens a step; max_tokens: longest row kept; precision: auto, float32 or
    bfloat16 (with a float32 master of the weights). turns: which of the assistant's turns carry loss, the last or all. packing: off,
    on, or auto (the faster one, timed once). accumulate: parts in which a step is computed, for less memory. first_tokens: the
    constrained loss that holds the first tokens of every reply where the model as given has them (`keeping.first_tokens`). lisa: the
    weight rho of the proximal term of Lisa (`keeping.lisa`), None for plain training.

    Raises `RunFileError` for a name that is none of these, or options that exclude each other."""

    epochs: int = 2
    lr: float = 1e-3
    batch_tokens: int = 4096
    max_tokens: int = 1024
    seed: int = 0
    precision: str = "auto"
    turns: str = "last"
    packing: str = "off"
    accumulate: int = 1
    first_tokens: bool = False
    lisa: float | None = None

    def __post_init__(self) -> None:
        for name, known in (("turns", TURNS), ("packing", PACKING)):
            if getattr(self, name) not in known:
                raise RunFileError(f"unknown {name} {getattr(self, name)!r}, expected one of {', '.join(known)}", remedy=f"mend `{name}`")
        if self.accumulate < 1:
            raise RunFileError(f"accumulate must be at least 1, got {self.accumulate}", remedy="mend `accumulate`")
        if self.first_tokens and self.packing != "off":
            raise RunFileError(
                f"packing {self.packing} has no effect with first_tokens, which takes a row each", remedy="remove one of them"
            )
        if self.lisa is not None and not 0 < self.lisa < float("inf"):
            raise RunFileError(f"lisa must be a number above 0, got {self.lisa}", remedy="give for instance 1")


@dataclass(frozen=True, slots=True)
class TrainReport:
    """What a stage did: steps, rows used, rows left out for length, last metrics."""

    steps: int
    rows: int
    too_long: int
    metrics: dict[str, float]


@dataclass(frozen=True, slots=True)
class SftReport(TrainReport):
    """As `TrainReport`; turns: which turns carry loss, in words (empty where each conversation has one reply); packing: whether
    conversations shared rows, and why."""

    turns: str
    packing: Choice


@dataclass(frozen=True, slots=True)
class _Work:
    """The encoded data, its steps (indices of rows), and the longest row allowed, in tokens."""

    local: LocalModel
    rows: list[Row]
    plan: list[list[int]]
    limit: int
    settings: SftSettings
    constraint: FirstTokens | None = None

    def weights(self) -> list[torch.Tensor]:
        """What is trained."""
        return [p for p in self.local.model.parameters() if p.requires_grad]

    def parts(self) -> list[list[int]]:
        """All that is computed at once: the parts of all steps."""
        return [part for batch in self.plan for part in split(batch, self.settings.accumulate)]

    def counted(self, batch: Sequence[int]) -> int:
        """Tokens that carry loss."""
        return sum(self.rows[i].counted() for i in batch)

    def part_loss(self, part: Sequence[int], counted: int, packed: bool) -> torch.Tensor:
        """Negative log-likelihood (nats) of the counted tokens of a part, or the constrained loss, over those of its step, ()."""
        rows, pad_id = [self.rows[i] for i in part], self.local.tokenizer.pad_token_id or 0
        if self.constraint is not None:
            return self.constraint.summed(rows) / counted
        return -summed_logps(self.local.model, rows, packed, self.limit, pad_id, self.local.device) / counted

    def step_loss(self, batch: Sequence[int], packed: bool) -> torch.Tensor:
        """Mean negative log-likelihood (nats) of the step's counted tokens, this process's share of it, ()."""
        counted, share = self.counted(batch), share_of(batch)
        parts = split(share.rows, self.settings.accumulate)
        return share.counted(in_parts([partial(self.part_loss, part, counted, packed) for part in parts], self.weights()))


def _choose(work: _Work, precision: str, folder: Path, key: str) -> Choice:
    """How the steps of this run are laid out: what an earlier start of it chose, or what the numbers and the clock say."""
    local, packing = work.local, work.settings.packing
    if packing == "off":
        return Choice(False, "switched off")
    known = remembered(folder, key)
    if known is not None:
        return known
    sample, largest = sample_of(work.rows, work.parts(), work.limit)
    if not sample:
        return remember(folder, key, nothing_to_pack(packing, work.limit))
    can, why = can_pack(local.model, sample, local.tokenizer.pad_token_id or 0, local.device)
    if not can or packing == "on":
        return remember(folder, key, Choice(can, why))
    with computing_in(local.model, precision):
        return remember(folder, key, measured(partial(work.part_loss, largest, work.counted(largest)), work.weights()))


def _check_parts(work: _Work) -> None:
    if work.settings.accumulate > 1 and max(map(len, work.plan)) < 2:
        what = f"accumulate {work.settings.accumulate} has no effect: every step has one conversation"
        raise RunFileError(what, remedy="raise batch_tokens or remove it")


def _check_sharded(s: SftSettings, shard: bool) -> None:
    check_shard(shard)
    for name, given in (("accumulate", s.accumulate > 1), ("first_tokens", s.first_tokens), ("lisa", s.lisa is not None)):
        if shard and given:
            raise RunFileError(f"{name} is not computed on sharded weights", remedy="remove it or shard")


def _alternated(
    local: LocalModel, safety: Sequence[Example], rows: list[Row], plan: list[list[int]], s: SftSettings
) -> tuple[Alternation, int]:
    """Appends the safety examples that fit to `rows`, and takes turns between `plan` and steps on them; how many did not fit."""
    limit = min(s.max_tokens, local.context)
    taught = encode_examples(local.tokenizer, safety, "last", limit)
    found, begin = taught.rows, len(rows)
    rows += found
    order = batches([len(r) for r in found], s.batch_tokens, s.seed, 0)
    return alternate(plan, [[begin + i for i in batch] for batch in order], s.seed), taught.too_long


def run_sft(
    local: LocalModel,
    examples: Sequence[Example],
    settings: SftSettings,
    folder: Path,
    progress: Progress | None = None,
    safety: Sequence[Example] = (),
    *,
    shard: bool = False,
) -> SftReport:
    """Trains `local.model` in place; `folder` keeps checkpoint, metrics and the choice of packing. `safety`: the demonstrations that Lisa
    takes turns with; `shard`: spread the weights over the processes. Raises `TrainingError` where nothing fits, `RunFileError` for an option
    without effect."""
    _check_sharded(settings, shard)
    if safety and settings.lisa is None:
        raise RunFileError("safety examples have no effect without lisa", remedy="mix them into the examples (`keeping.mixing`)")
    limit = min(settings.max_tokens, local.context)
    taught = encode_examples(local.tokenizer, examples, settings.turns, limit)
    rows, used = list(taught.rows), len(taught.rows)
    if not rows:
        raise TrainingError(f"none of {len(examples)} examples fits {limit} tokens", remedy="raise max_tokens or shorten the examples")
    precision = resolve(settings.precision, local.device)
    plan = [b for epoch in range(settings.epochs) for b in batches([len(r) for r in rows], settings.batch_tokens, settings.seed, epoch)]
    term, too_long = None, taught.too_long
    if settings.lisa is not None:
        turns, more = _alternated(local, safety, rows, plan, settings)
        too_long += more
        plan, term = turns.plan, Proximal(settings.lisa, turns.changes)
    work = _Work(local, rows, plan, limit, settings)
    _check_parts(work)
    known = [e.digest() for e in (*examples, *safety)]
    inputs = digest_of(["sft", local.digest, known, vars_of(settings), precision])
    keep_choices(local.model, folder, inputs)
    choice = from_main(lambda: _choose(work, precision, folder, inputs))
    key = digest_of([inputs, choice.packed])
    state = load_checkpoint(folder, key)
    with placed(local, precision, shard) as place:
        work = replace(work, local=place.local)
        if settings.first_tokens:
            found = main_first(lambda: first_tokens(local, rows, folder, settings.batch_tokens, precision))
            work = replace(work, constraint=found)

        def step_loss(batch: list[int]) -> tuple[torch.Tensor, dict[str, float]]:
            return place.whole(lambda: work.step_loss(batch, choice.packed)), {"tokens": float(work.counted(batch))}

        rate = LoopSettings(settings.lr)
        metrics = run_loop(place.local.model, plan, step_loss, rate, folder, key, state, progress, place.master, term)
    return SftReport(len(plan), used, too_long, metrics, taught.words(), choice)


def vars_of(settings: object) -> dict[str, object]:
    """A frozen settings object as plain data, for digests."""
    from dataclasses import asdict, is_dataclass

    assert is_dataclass(settings)
    assert not isinstance(settings, type)
    return asdict(settings)
