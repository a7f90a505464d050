"""What a training stage is going to compute, known before it starts: the rows it encodes, its batches, their shapes, their loss.

Of data larger than `SAMPLE` rows only a sample is encoded: rows spread evenly, and the longest by characters, since they decide what
does not fit and what the largest batch is. The stage itself encodes all of them; this costs at most `SAMPLE` rows' worth once more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from trueline.charter.turns import Message
from trueline.data.conversations import Example
from trueline.engine.loading import LocalModel
from trueline.errors import RunFileError
from trueline.train.accumulate import split
from trueline.train.batching import Row, batches, make_row, pad, token_logps
from trueline.train.shared import can_share, pair_logps, shared_logps, specimen
from trueline.train.turns import encode_examples

SAMPLE, LONGEST = 2048, 64
Replies = tuple[tuple[Sequence[Message], str], ...]


@dataclass(frozen=True, slots=True)
class Looked:
    """The rows that were encoded, each with all its replies: `at` their positions among `total` rows, `rows` their ids (nothing cut)."""

    at: tuple[int, ...]
    rows: tuple[tuple[Row, ...], ...]
    total: int

    def fitting(self, limit: int) -> list[tuple[Row, ...]]:
        """Those of which every reply fits `limit` tokens."""
        return [row for row in self.rows if max(map(len, row)) <= limit]


def look(tokenizer: Any, rows: Sequence[Replies]) -> Looked:
    """Encodes the rows, or a sample of them."""
    at = list(range(len(rows)))
    if len(rows) > SAMPLE:
        size = [sum(len(m.content) for m in row[0][0]) + max(len(reply) for _, reply in row) for row in rows]
        longest = sorted(at, key=lambda i: -size[i])[:LONGEST]
        spread = at[:: -(-len(rows) // (SAMPLE - LONGEST))]
        at = sorted({*spread, *longest})
    return Looked(tuple(at), tuple(tuple(_whole(tokenizer, m, reply) for m, reply in rows[i]) for i in at), len(rows))


def _whole(tokenizer: Any, messages: Sequence[Message], reply: str) -> Row:
    row = make_row(tokenizer, messages, reply, 2**60)
    assert row is not None
    return row


@dataclass(frozen=True, slots=True)
class Shape:
    """What is computed at once: rows x width tokens, of which `counted` are projected to the vocabulary; `masked`: with a mask of
    rows x width x width."""

    rows: int
    width: int
    counted: int
    masked: bool = False

    @property
    def tokens(self) -> int:
        """Padded tokens."""
        return self.rows * self.width


@dataclass(frozen=True, slots=True)
class Work:
    """A stage before it starts. plan: all steps of all epochs, as positions of rows; parts: in how many parts a step is computed; shape: of
    rows that are computed at once; loss: of these, differentiable; share: steps of the plan over steps of the whole data are 1 to this
    number (1 unless a sample was encoded); forwards: passes without gradient over all the data (the reference) and, each step, over
    its batch; proof: what is computed before the first step to prove that the prompt can be shared; copies: models besides the one that was loaded;
    vocabulary: whether counted tokens are projected; again: whether the model as given is read again at the end, to go part of the way from it."""

    local: LocalModel
    precision: str
    plan: list[list[int]]
    shape: Callable[[Sequence[int]], Shape]
    loss: Callable[[Sequence[int]], torch.Tensor]
    epochs: int
    share: float = 1.0
    parts: int = 1
    reference: int = 0
    beside: int = 0
    proof: Shape | None = None
    copies: int = 0
    runs: int = 1
    vocabulary: bool = True
    again: bool = False

    def at_once(self) -> list[list[int]]:
        """Everything that is computed at once, in the order of the plan."""
        return [part for batch in self.plan for part in split(batch, self.parts)]

    def weights(self) -> list[torch.Tensor]:
        """What is trained."""
        return [p for p in self.local.model.parameters() if p.requires_grad]


def _plan(sizes: Sequence[int], settings: Any) -> list[list[int]]:
    return [b for epoch in range(settings.epochs) for b in batches(sizes, settings.batch_tokens, settings.seed, epoch)]


def _padded(rows: Sequence[Row]) -> Shape:
    return Shape(len(rows), max(map(len, rows)), sum(r.counted() for r in rows))


def _share(looked: Looked) -> float:
    return looked.total / len(looked.at)


def planned_sft(local: LocalModel, precision: str, looked: Looked, settings: Any, examples: Sequence[Example] = ()) -> Work | None:
    """Of `SftSettings`; `examples`: of the rows, needed where earlier turns count. None where nothing fits. Packing is left out: it makes
    a step faster or leaves it."""
    limit, pad_id = min(settings.max_tokens, local.context), local.tokenizer.pad_token_id or 0
    rows = [row[0] for row in looked.fitting(limit)]
    if settings.turns == "all":
        try:
            rows = encode_examples(local.tokenizer, [examples[i] for i in looked.at], "all", limit).rows
        except RunFileError:
            return None  # no earlier turn in the sample: the stage itself says what is wrong
    if not rows:
        return None

    def loss(batch: Sequence[int]) -> torch.Tensor:
        return -token_logps(local.model, pad([rows[i] for i in batch], pad_id, local.device)).mean()

    plan = _plan([len(r) for r in rows], settings)
    shape = lambda batch: _padded([rows[i] for i in batch])  # noqa: E731
    return Work(local, precision, plan, shape, loss, settings.epochs, _share(looked), parts=settings.accumulate)


def planned_dpo(local: LocalModel, precision: str, looked: Looked, settings: Any, has_reference: bool) -> Work | None:
    """Of `DpoSettings`. Whether the prompt can be shared is tried on the two shortest pairs; the stage proves it on others."""
    limit, pad_id = min(settings.max_tokens, local.context), local.tokenizer.pad_token_id or 0
    pairs = [(c, r) for c, r in looked.fitting(limit) if len(c) + len(r.completion) <= local.context]
    if not pairs:
        return None
    few = sorted(pairs, key=lambda p: len(p[0]) + len(p[1]))[:2]
    shares = settings.share_prompt and can_share(local.model, [c for c, _ in few], [r for _, r in few], pad_id, local.device)[0]
    form = shared_logps if shares else pair_logps

    def of(batch: Sequence[int]) -> tuple[list[Row], list[Row]]:
        return [pairs[i][0] for i in batch], [pairs[i][1] for i in batch]

    def shape(batch: Sequence[int]) -> Shape:
        c, r = of(batch)
        if not shares:
            return _padded([*c, *r])
        return Shape(len(c), max(len(a) + len(b.completion) for a, b in zip(c, r, strict=True)), sum(x.counted() for x in (*c, *r)), True)

    def loss(batch: Sequence[int]) -> torch.Tensor:
        c, r = form(local.model, *of(batch), pad_id, local.device)
        return (r - c).mean()

    proof = shape(specimen([len(c) + len(r.completion) for c, r in pairs]))
    plan = _plan([len(c) + len(r.completion) for c, r in pairs], settings)
    return Work(
        local, precision, plan, shape, loss, settings.epochs, _share(looked), reference=int(has_reference), proof=proof if shares else None
    )


def planned_kto(local: LocalModel, precision: str, looked: Looked, settings: Any, baseline: bool) -> Work | None:
    """Of `KtoSettings`; a row's mismatched completion is taken to be as long as its own."""
    limit, pad_id = min(settings.max_tokens, local.context), local.tokenizer.pad_token_id or 0
    rows = [row[0] for row in looked.fitting(limit)]
    if not rows:
        return None

    def loss(batch: Sequence[int]) -> torch.Tensor:
        return -pair_logps(local.model, [rows[i] for i in batch], [], pad_id, local.device)[0].mean()

    plan, passes = _plan([len(r) for r in rows], settings), 1 + int(baseline)
    shape = lambda batch: _padded([rows[i] for i in batch])  # noqa: E731
    return Work(local, precision, plan, shape, loss, settings.epochs, _share(looked), reference=passes, beside=int(baseline))


def planned_reward(local: LocalModel, precision: str, looked: Looked, settings: Any) -> Work | None:
    """Of `RewardSettings`. The head is one number, so nothing is projected to the vocabulary; every member is a model of its own."""
    from trueline.train.layout import Group, lay_out
    from trueline.train.shared import hidden_of

    limit, pad_id = min(settings.max_tokens, local.context), local.tokenizer.pad_token_id or 0
    groups = looked.fitting(limit)
    if not groups:
        return None
    shares = settings.share_prompt and settings.loss != "ordinal" and all(r.prompt == g[0].prompt for g in groups for r in g)

    def shape(batch: Sequence[int]) -> Shape:
        chosen = [groups[i] for i in batch]
        if shares:
            return Shape(len(chosen), max(len(g[0].prompt) + sum(len(r.completion) for r in g) for g in chosen), len(chosen), True)
        return replace(_padded([r for g in chosen for r in g]), counted=len(chosen))

    def loss(batch: Sequence[int]) -> torch.Tensor:
        from trueline.train.head import body_of

        chosen = [groups[i] for i in batch]
        if shares:
            layout = lay_out([[Group(g[0].prompt, tuple(r.completion for r in g))] for g in chosen], pad_id, local.device)
            return hidden_of(local.model, layout).float().pow(2).mean()
        ids = pad([r for g in chosen for r in g], pad_id, local.device).ids
        return body_of(local.model)(input_ids=ids, use_cache=False).last_hidden_state.float().pow(2).mean()  # type: ignore[no-any-return]

    sizes = [(len(g[0].prompt) + sum(len(r.completion) for r in g)) if shares else sum(map(len, g)) for g in groups]
    proof = shape(specimen([sum(map(len, g)) for g in groups])) if shares else None
    plan = _plan(sizes, settings)
    share = _share(looked) * (1 - settings.calibration)
    return Work(
        local, precision, plan, shape, loss, settings.epochs, share, proof=proof, copies=settings.members, runs=settings.members,
        vocabulary=False,
    )  # fmt: skip
