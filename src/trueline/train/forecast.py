"""Memory and time of a stage before it starts, against what the machine has.

Memory is counted, not guessed by the name of an architecture: what autograd keeps is read off two or three small passes of the very model
(`torch.autograd.graph.saved_tensors_hooks`) as bytes a token and bytes a square of the width, and carried over to the largest batch of
the real plan. Weights, gradients, optimiser, master copy, head and the model that is written at the end are arithmetic. Time is a line
through timed passes of growing size, summed over the plan.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from trueline.engine.four_bit import is_four_bit, numbers_in
from trueline.train.gradients import LARGE
from trueline.train.head import chunk_of, form_of, kept_rows
from trueline.train.planned import Shape, Work
from trueline.train.precision import computing_in

FULL = 0.9  # share of the free memory above which a warning is due
LOW, HIGH = 0.75, 1.5  # of the predicted time
PROBE_TOKENS = 256  # of the largest small pass
TIMED_SHARE = 0.04  # of the predicted time that a further timed pass may cost
HEAP = 32 * 2**20  # bytes; smaller tensors on a CPU come from the heap of the C library, which keeps holes between them
HOLES = 0.8  # of what autograd keeps in such tensors; seen were 0.3 to 1.4 (docs/preflight.md)
MIB = 2**20


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes. above: the peak above what is held now; total: with what is held now; free: what the machine can still give, None
    where it does not say. largest: tokens computed at once. phase: what needs most, in words. device: where."""

    above: int
    total: int
    free: int | None
    largest: int
    phase: str
    device: str

    def full(self) -> bool:
        """Whether more than `FULL` of what is free will be needed."""
        return self.free is not None and self.above > FULL * self.free

    def words(self) -> str:
        """One line for a person."""
        free = f" of {_size(self.free)} free" if self.free is not None else ""
        return f"memory: about {_size(self.above)} more{free} ({_size(self.total)} in all, {self.device}; most for {self.phase})"


@dataclass(frozen=True, slots=True)
class Duration:
    """Seconds: estimate, low, high. steps and tokens: of the whole run."""

    seconds: float
    low: float
    high: float
    steps: int
    tokens: int

    def words(self) -> str:
        """One line for a person."""
        return f"time: {duration_words(self.seconds, self.low, self.high)} for {self.steps} steps of {self.tokens} padded tokens in all"


@dataclass(frozen=True, slots=True)
class Forecast:
    """`time` is None where the memory does not suffice to measure it."""

    memory: Memory
    time: Duration | None

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def _size(n: float) -> str:
    return f"{n / 2**30:.1f} GiB" if n >= 2**30 else f"{n / MIB:.0f} MiB"


def duration_words(seconds: float, low: float, high: float) -> str:
    """A time and its range in the unit that suits it: about 4 min (3-6)."""
    unit, name = next((u, n) for u, n in ((3600.0, "h"), (60.0, "min"), (1.0, "s")) if seconds >= 2 * u or u == 1.0)
    shown = [f"{max(x / unit, 0.1):.1f}" if x / unit < 3 else f"{x / unit:.0f}" for x in (seconds, low, high)]
    return f"about {shown[0]} {name} ({shown[1]}-{shown[2]})"


def _field(path: str, name: str) -> int | None:
    """Bytes of a line `name: N kB` of a file of /proc; None where there is none."""
    try:
        lines = Path(path).read_text(encoding="utf-8").split("\n")
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(name + ":")), None)


def _group_room() -> int | None:
    """Bytes that the control group of this process may still take; None where it has no limit."""
    for limit, used in (("memory.max", "memory.current"), ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes")):
        try:
            most, now = (Path("/sys/fs/cgroup", name).read_text().strip() for name in (limit, used))
            return None if most == "max" or int(most) > 2**60 else int(most) - int(now)
        except (OSError, ValueError):
            continue
    return None


def held_and_free(device: torch.device) -> tuple[int, int | None]:
    """(bytes that this process holds, bytes it can still have) on the device."""
    if device.type == "cuda":
        return int(torch.cuda.memory_allocated(device)), int(torch.cuda.mem_get_info(device)[0])
    rooms = [n for n in (_field("/proc/meminfo", "MemAvailable"), _group_room()) if n is not None]
    return _field("/proc/self/status", "VmRSS") or 0, min(rooms, default=None)


@dataclass(frozen=True, slots=True)
class _Kept:
    """What autograd keeps of the body: bytes a token, bytes a row of width squared; `tensors`: bytes a token of each tensor kept."""

    token: float
    square: float
    tensors: tuple[float, ...]

    def of(self, shape: Shape) -> float:
        """Bytes of a batch."""
        return self.token * shape.tokens + self.square * shape.rows * shape.width**2

    def holes(self, shape: Shape, device: torch.device) -> float:
        """Bytes that the heap loses between tensors that are small enough to come from it. (A GPU has an allocator of its own.)"""
        small = sum(b for b in self.tensors if b * shape.tokens < HEAP) / max(sum(self.tensors), 1e-9)
        return HOLES * small * self.of(shape) if device.type == "cpu" else 0.0


def _logits(work: Work, shape: Shape) -> float:
    """Bytes of the logits that the head keeps for the backward pass (`train.head`)."""
    if not work.vocabulary or form_of(work.local.model).cap is not None:
        return 0.0
    head = work.local.model.get_output_embeddings().weight
    return float(kept_rows(shape.counted, head) * _row(head))


def _row(head: torch.Tensor) -> float:
    """Bytes of a row of logits."""
    return float(len(head) * head.element_size())


def _saved(work: Work, batch: Sequence[int]) -> list[int]:
    """Bytes of every tensor that one pass keeps for its backward pass, without the weights themselves."""
    weights = {p.untyped_storage().data_ptr() for p in work.local.model.parameters()}
    found: dict[int, int] = {}

    def keep(t: torch.Tensor) -> torch.Tensor:
        store = t.untyped_storage()
        if store.data_ptr() not in weights:
            found[store.data_ptr()] = store.nbytes()
        return t.detach()  # an output that is kept as itself would hold its own graph for ever

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda t: t):
        loss = work.loss(batch)
    del loss
    return list(found.values())


def _small(work: Work) -> list[list[int]]:
    """Batches for the small passes: the shortest rows up to `PROBE_TOKENS` tokens, and the row of twice the width, where there is one."""
    rows = sorted({i for batch in work.plan for i in batch}, key=lambda i: work.shape([i]).tokens)
    width = work.shape(rows[:1]).width
    several = rows[: max(1, PROBE_TOKENS // max(1, work.shape(rows[:1]).tokens))]
    twice = min(rows, key=lambda i: abs(work.shape([i]).width - 2 * width))
    return [several, [twice]] if work.shape([twice]).width > 1.25 * width else [several]


def _kept(work: Work) -> _Kept:
    from scipy.optimize import nnls

    batches = _small(work)
    shapes, saved = [work.shape(b) for b in batches], [_saved(work, b) for b in batches]
    bodies = [max(0.0, sum(found) - _logits(work, s)) for found, s in zip(saved, shapes, strict=True)]
    # one width cannot tell the two apart: then all of it is by the token, which is right at that width
    columns = np.array([[s.tokens, s.rows * s.width**2 if len(shapes) > 1 else 0.0] for s in shapes], dtype=np.float64)
    scale = np.maximum(columns.max(axis=0), 1.0)
    found, _ = nnls(columns / scale, np.array(bodies))
    token, square = (found / scale).tolist()
    return _Kept(token, square, tuple(n / shapes[0].tokens for n in saved[0]))


def _passing(work: Work, shape: Shape) -> float:
    """Bytes that come and go while a batch is computed: float32 logits of a chunk and their exponentials."""
    if not work.vocabulary:
        return 0.0
    head = work.local.model.get_output_embeddings().weight
    chunk = 4.0 * min(shape.counted, chunk_of(head)) * len(head)
    return 2 * chunk if work.precision != "float32" or _logits(work, shape) < shape.counted * _row(head) else chunk


def _low(work: Work) -> float:
    """Bytes of a second copy in bfloat16, of all that is not in four bits, and of the float32 master."""
    if work.precision == "float32":
        return 0.0
    floating: int = sum(p.numel() for p in work.local.model.parameters() if p.is_floating_point())
    trained: int = sum(p.numel() for p in work.weights())
    return 2.0 * floating + 4.0 * trained


def peak(work: Work, kept: _Kept) -> tuple[int, str, Shape]:
    """(bytes above what is held, what needs them, the largest shape).

    In bfloat16 all weights are there once more in two bytes and the trained ones in a float32 master. Before the first step a proof may take
    a step's memory without Adam's. In a step the gradients grow while what autograd kept shrinks, so the larger of the two counts, beside
    Adam's two moments; an embedding's gradient is one more of its size, unless it is written in place: then its array stays between steps.
    At the end the model is written from a copy. To go part of the way, the start is there once more before that, in RAM, and the average of
    a weight."""
    low, trained = work.precision != "float32", work.weights()
    every = list(work.local.model.parameters())
    count, of = sum(numbers_in(p) for p in every), sum(p.numel() for p in trained)
    size = 2 if low else 4
    base = 4.0 * count * max(0, work.copies - 1) + (4.0 * count if work.copies else 0.0) + _low(work)
    tables = [p.numel() for p in trained if p.dim() == 2]
    spare = 0.0 if low or work.parts > 1 else float(size * max((n for n in tables if n >= LARGE), default=0))
    gradient, table = float(size * of), float(size * max(tables, default=0)) if not spare else 0.0
    shapes = [work.shape(part) for part in work.at_once()]
    largest = max(shapes, key=lambda s: kept.of(s) + _logits(work, s))

    def computed(shape: Shape) -> float:
        saved = kept.of(shape) + kept.holes(shape, work.local.device)
        return max(saved + spare + _logits(work, shape) + _passing(work, shape), gradient + table)

    summed = 4.0 * of if work.parts > 1 else 0.0
    phases = {
        "a step": base + 8.0 * of + summed + max(computed(largest), 4.0 * of),
        "proving that the prompt can be shared": base + computed(work.proof) if work.proof else 0.0,
        "writing the model": 4.0 * count * (1 + work.copies),
    }
    if work.again:
        start = count if work.local.device.type == "cpu" else max(p.numel() for p in every)  # a GPU sees a weight of it at a time
        phases["reading the start again"] = 4.0 * (start + max(p.numel() for p in every))
    if is_four_bit(work.local.model):  # merged in RAM, from the whole base
        phases["writing the model"] = 8.0 * count if work.local.device.type == "cpu" else 0.0
    name = max(phases, key=lambda k: phases[k])
    return round(phases[name]), name, largest


def _pass_seconds(work: Work, batch: Sequence[int]) -> tuple[float, float]:
    """Wall seconds of (forward alone without gradient, forward and backward)."""
    weights, device = work.weights(), work.local.device

    def clock() -> float:
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter()

    begin = clock()
    with torch.no_grad():
        work.loss(batch)
    between = clock()
    torch.autograd.grad(work.loss(batch), weights, allow_unused=True)
    return between - begin, clock() - between


def _adam_seconds(count: int, device: torch.device) -> float:
    """Wall seconds of one step of the optimiser on `count` weights, from one on a million."""
    n = min(count, MIB)
    p = torch.zeros(n, device=device, requires_grad=True)
    p.grad = torch.ones(n, device=device)
    optimizer = torch.optim.AdamW([p], lr=1e-9, fused=True)
    optimizer.step()
    begin = time.perf_counter()
    torch.nn.utils.clip_grad_norm_([p], 1.0)
    optimizer.step()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return (time.perf_counter() - begin) * count / n


@dataclass(frozen=True, slots=True)
class _Timed:
    """Passes that were timed, by padded tokens."""

    tokens: list[float]
    forward: list[float]
    both: list[float]

    def rate(self, values: list[float], tokens: float) -> float:
        """Seconds at `tokens`: through the last two points, never below the rate of the last beyond it, nor negative."""
        t = self.tokens
        if len(t) == 1 or t[-1] <= t[-2]:
            return values[-1] * tokens / t[-1]
        slope = max(0.0, (values[-1] - values[-2]) / (t[-1] - t[-2]))
        return max(0.0, values[-1] + slope * (tokens - t[-1]))


def _seconds(work: Work, timed: _Timed, adam: float) -> float:
    """The whole run: steps, the passes beside each, the reference."""
    sizes = [[float(work.shape(p).tokens) for p in _parts(work, batch)] for batch in work.plan]
    steps = sum(sum(timed.rate(timed.both, t) + work.beside * timed.rate(timed.forward, t) for t in parts) + adam for parts in sizes)
    once = sum(timed.rate(timed.forward, t) for parts in sizes for t in parts) / work.epochs
    return (steps + work.reference * once) * work.share * work.runs


def _parts(work: Work, batch: Sequence[int]) -> list[list[int]]:
    from trueline.train.accumulate import split

    return split(batch, work.parts)


def _duration(work: Work) -> Duration:
    parts = sorted(work.at_once(), key=lambda p: work.shape(p).tokens)
    middle, timed = parts[len(parts) // 2], _Timed([], [], [])
    adam = _adam_seconds(sum(p.numel() for p in work.weights()), work.local.device)
    _pass_seconds(work, _small(work)[0][:1])  # the first backward pass pays for what is made once
    for share in (8, 3, 1):
        batch = middle[: max(1, len(middle) // share)]
        tokens = work.shape(batch).tokens
        if timed.tokens and (tokens <= timed.tokens[-1] or _pass_cost(timed, tokens) > TIMED_SHARE * _seconds(work, timed, adam)):
            continue
        forward, both = np.min([_pass_seconds(work, batch) for _ in range(1 if timed.tokens else 2)], axis=0).tolist()
        timed.tokens.append(float(tokens))
        timed.forward.append(forward)
        timed.both.append(both)
    seconds = _seconds(work, timed, adam)
    whole = sum(work.shape(p).tokens for p in parts) * work.share * work.runs
    steps = round(len(work.plan) * work.share) * work.runs
    return Duration(seconds, LOW * seconds, HIGH * seconds, max(1, steps), round(whole))


def _pass_cost(timed: _Timed, tokens: float) -> float:
    return timed.rate(timed.both, tokens) + timed.rate(timed.forward, tokens)


def _least(work: Work) -> float:
    """Bytes that even the smallest pass needs above what is held."""
    return _low(work) + 12.0 * sum(p.numel() for p in work.weights())


def forecast(work: Work) -> Forecast:
    """What the stage will need. Leaves the model as it was. Costs passes over a few hundred tokens, and larger ones only where they are at
    most a twenty-fifth of the predicted time."""
    device, where = work.local.device, "GPU" if work.local.device.type == "cuda" else "RAM"
    held, free = held_and_free(device)
    if free is not None and _least(work) > free:
        shape = max((work.shape(p) for p in work.at_once()), key=lambda s: s.tokens)
        return Forecast(
            Memory(round(_least(work)), held + round(_least(work)), free, shape.tokens, "weights and optimiser alone", where), None
        )
    with torch.no_grad():
        work.loss(_small(work)[0][:1])  # weights that were mapped and not read, and code, are in memory from here on
    held, free = held_and_free(device)
    with computing_in(work.local.model, work.precision):
        kept = _kept(work)
        above, phase, largest = peak(work, kept)
    memory = Memory(above, held + above, free, largest.tokens, phase, where)
    if memory.full():
        return Forecast(memory, None)
    with computing_in(work.local.model, work.precision):
        return Forecast(memory, _duration(work))
