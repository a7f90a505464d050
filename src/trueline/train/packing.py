"""Packing: several conversations in one row of the model, none of which sees another, each at positions from 0.

In order: which conversations of a step share rows (first fit, longest first), their log-probabilities, whether the loaded model
computes them right (tried on this data, value and gradient, as in `train.shared`), and which form is faster here. The set of
conversations of a step is the same in both forms, so packing changes how long a step takes, never what is learnt.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from trueline.data.jsonl import write_json
from trueline.errors import RunFileError
from trueline.train.batching import Row, pad, token_logps
from trueline.train.checkpoint import recalled
from trueline.train.layout import Group, lay_out
from trueline.train.shared import layout_logps, proven

PACKING = ("off", "auto", "on")
FILE = "packing.json"
TIE = 0.05  # share by which packed must be faster to be taken
ROUNDS = 2  # timed after the warm-up; the faster one counts, since other work on the machine only slows
LossOf = Callable[[bool], torch.Tensor]  # packed or not -> the loss of the batch that is timed


@dataclass(frozen=True, slots=True)
class Choice:
    """Whether conversations are packed, and why in words."""

    packed: bool
    why: str


def first_fit(lengths: Sequence[int], capacity: int) -> list[list[int]]:
    """Indices in rows of at most `capacity` tokens: longest first, each into the first row with room (Johnson 1973, first-fit
    decreasing; at most 11/9 of the fewest rows and 2/3 of a row more, Dosa 2007). Every length must be at most `capacity`."""
    rows: list[list[int]] = []
    room: list[int] = []
    for i in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        at = next((r for r, free in enumerate(room) if free >= lengths[i]), len(rows))
        if at == len(rows):
            rows.append([])
            room.append(capacity)
        rows[at].append(i)
        room[at] -= lengths[i]
    return rows


def _packed_rows(rows: Sequence[Row], capacity: int) -> list[list[Row]]:
    return [[rows[i] for i in row] for row in first_fit([len(r) for r in rows], capacity)]


def _packed_logps(model: Any, laid: Sequence[Sequence[Row]], pad_id: int, device: torch.device) -> torch.Tensor:
    """Sums of counted log-probabilities, (conversations,), in the order in which they are laid."""
    layout = lay_out([[Group(r.prompt, (r.completion,), r.earlier) for r in row] for row in laid], pad_id, device)
    return torch.zeros(len(layout.ends), device=device).index_add(0, layout.reply, layout_logps(model, layout))


def summed_logps(model: Any, rows: Sequence[Row], packed: bool, capacity: int, pad_id: int, device: torch.device) -> torch.Tensor:
    """The sum of the log-probabilities (nats) of all counted tokens of `rows`, (): a row each, or packed in rows of `capacity` tokens.
    Where no two share a row there is nothing to mask, and both forms are the same."""
    laid = _packed_rows(rows, capacity) if packed else []
    if len(laid) in (0, len(rows)):
        return token_logps(model, pad(rows, pad_id, device)).sum()
    return _packed_logps(model, laid, pad_id, device).sum()


def _alone(model: Any, row: Row, pad_id: int, device: torch.device) -> torch.Tensor:
    return token_logps(model, pad([row], pad_id, device)).sum(dim=1)


def can_pack(model: Any, sample: Sequence[Row], pad_id: int, device: torch.device) -> tuple[bool, str]:
    """Whether the model computes `sample` in one packed row as it computes a row each, value and gradient; and the reason in words."""
    order = [sample[i] for i in first_fit([len(r) for r in sample], sum(map(len, sample)))[0]]
    return proven(
        model,
        lambda: _packed_logps(model, [order], pad_id, device),
        [partial(_alone, model, row, pad_id, device) for row in order],
        f"{len(order)} conversations",
        ("packed", "unpacked"),
        torch.tensor([1 / r.counted() for r in order], device=device),
    )


def sample_of(rows: Sequence[Row], batches: Iterable[Sequence[int]], capacity: int) -> tuple[list[Row], list[int]]:
    """(the packed row to try, the batch to time), out of all that is computed at once: the row of two conversations or more that holds
    the longest one, and the batch with most tokens of those that have such a row. Empty where none has one."""
    best: list[Row] = []
    largest: list[int] = []
    for batch in batches:
        shared = [row for row in _packed_rows([rows[i] for i in batch], capacity) if len(row) > 1]
        if not shared:
            continue
        best = max([best, *shared], key=lambda row: (max(map(len, row), default=0), sum(map(len, row))))
        largest = max(largest, list(batch), key=lambda b: sum(len(rows[i]) for i in b))
    return best, largest


def _seconds(loss_of: LossOf, packed: bool, weights: Sequence[torch.Tensor]) -> float:
    """Wall time of one forward and backward pass."""
    begin = time.perf_counter()
    torch.autograd.grad(loss_of(packed), weights, allow_unused=True)
    if weights[0].device.type == "cuda":
        torch.cuda.synchronize(weights[0].device)
    return time.perf_counter() - begin


def measured(loss_of: LossOf, weights: Sequence[torch.Tensor]) -> Choice:
    """Times a batch unpacked and packed, after a warm-up of each. Packed only where it is clearly faster."""
    times: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(1 + ROUNDS):
        for packed, found in times.items():
            found.append(_seconds(loss_of, packed, weights))
    plain, packed_time = (min(times[packed][1:]) for packed in (False, True))
    faster = packed_time < (1 - TIE) * plain
    return Choice(faster, f"the largest batch takes {1000 * packed_time:.1f} ms packed and {1000 * plain:.1f} ms unpacked on this machine")


def remembered(folder: Path, key: str) -> Choice | None:
    """What an earlier start of the same run (`key`) chose. Raises `TrainingError` where the file cannot be read."""
    found = recalled(folder / FILE, key, "packed", "why")
    return None if found is None else Choice(bool(found["packed"]), str(found["why"]))


def remember(folder: Path, key: str, choice: Choice) -> Choice:
    """Writes the choice to the run's folder: a resumed run takes the same one, whatever the clock says."""
    write_json(folder / FILE, {"key": key, **asdict(choice)})
    return choice


def nothing_to_pack(packing: str, capacity: int) -> Choice:
    """No step has two conversations that fit one row: unpacked, or `RunFileError` where packing was asked for."""
    what = f"no step has two conversations that fit one row of {capacity} tokens"
    if packing == "on":
        raise RunFileError(f"packing on has no effect: {what}", remedy="raise max_tokens or batch_tokens, or remove it")
    return Choice(False, what)
