"""Several processes that train one model: who is here, which rows each computes, what they add up, gather and agree on.

A step is the same step whatever the number of processes: each computes its share of the batch, normalised by the whole batch, and the
gradients are added. One process of them, `main`, decides, writes and prints. In one process every function gives back what it got, at
no cost. What is exchanged besides gradients goes over the CPU (gloo), so a process that dies is noticed at the next exchange.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch.distributed.rendezvous import rendezvous

from trueline.errors import RunFileError, TrainingError, TruelineError

T = TypeVar("T")
PATIENCE = timedelta(minutes=60)  # the last resort: a process that neither answers nor dies
BUCKET = 2**23  # gradients added at once: 32 MiB in float32
LOST = ("Connection closed", "Connection reset", "Broken pipe", "Timed out", "timed out")  # gloo's and nccl's words for a lost process
FAILED = "trueline failed"  # counts, in the store of the launcher, the processes that ended with an error


def size() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """The number of this process, from 0."""
    return dist.get_rank() if size() > 1 else 0


def main() -> bool:
    """Whether this process decides, writes and prints."""
    return rank() == 0


@dataclass(frozen=True, slots=True)
class Share:
    """What this process computes of a step. rows: a run of the step's rows, never empty; counts: False where the step has fewer rows than
    there are processes. Then `rows` is one that another process counts, computed with weight 0, so that all go the same way."""

    rows: list[int]
    counts: bool = True

    def counted(self, loss: torch.Tensor) -> torch.Tensor:
        """The loss that goes into the step: itself, or 0 times itself."""
        return loss if self.counts else 0.0 * loss

    def whole(self, values: torch.Tensor) -> torch.Tensor:
        """`values` (n, ...) of this share to those of the whole step, in the order of its rows. Carries no gradient."""
        return gathered(values.detach() if self.counts else values.detach()[:0])


def run_of(n: int, of_rank: int, ranks: int) -> range:
    """The places, of `n` in order, that fall to one of `ranks` processes: runs that differ in length by one at most."""
    return range(of_rank * n // ranks, (of_rank + 1) * n // ranks)


def share_of(batch: Sequence[int]) -> Share:
    """This process's share of a batch that is not empty."""
    rows = [batch[i] for i in run_of(len(batch), rank(), size())]
    return Share(rows) if rows else Share([batch[0]], counts=False)


def gathered(values: torch.Tensor) -> torch.Tensor:
    """(n, ...) of each process, put together in the order of the processes; n may differ, the rest and the dtype may not."""
    if size() == 1:
        return values
    lengths = [torch.zeros(1, dtype=torch.int64) for _ in range(size())]
    dist.all_gather(lengths, torch.tensor([len(values)]))
    padded = torch.zeros((max(int(n) for n in lengths), *values.shape[1:]), dtype=values.dtype)
    padded[: len(values)] = values.cpu()
    parts = [torch.empty_like(padded) for _ in lengths]
    dist.all_gather(parts, padded)
    return torch.cat([part[: int(n)] for part, n in zip(parts, lengths, strict=True)]).to(values.device)


def listed(values: list[T]) -> list[T]:
    """As `gathered`, of a list of whatever can be pickled."""
    if size() == 1:
        return values
    found: list[list[T]] = [[] for _ in range(size())]
    dist.all_gather_object(found, values)
    return [value for part in found for value in part]


def summed(value: float) -> float:
    """The sum of a number over the processes."""
    if size() == 1:
        return value
    total = torch.tensor([value], dtype=torch.float64)
    dist.all_reduce(total)
    return float(total)


def wait() -> None:
    """Until all processes are here."""
    summed(0.0)


def from_main(make: Callable[[], T]) -> T:
    """What `make` gives in the main process, in all of them; so is a `TruelineError` of it. The others wait meanwhile."""
    if size() == 1:
        return make()
    told: list[T | TruelineError | None] = [None, None]
    if main():
        try:
            told = [make(), None]
        except TruelineError as e:
            told = [None, e]
    dist.broadcast_object_list(told, src=0)
    made, error = told
    if isinstance(error, TruelineError):
        raise error
    return made  # type: ignore[return-value]  # None only where `make` gave None


def main_first(make: Callable[[], T]) -> T:
    """`make` in the main process, then in the others, which find in the folder of the run what it wrote."""
    made = make() if main() else None
    wait()
    out = made if main() else make()
    return out  # type: ignore[return-value]


def check_alike(what: str, value: object) -> None:
    """Raises `TrainingError` in all processes where they do not have the same `value`."""
    if size() == 1:
        return
    found: list[object] = [None] * size()
    dist.all_gather_object(found, value)
    for other, given in enumerate(found):
        if given != found[0]:
            text = f"process {other} has another {what} than process 0 ({str(given)[:20]}, not {str(found[0])[:20]})"
            raise TrainingError(text, remedy="give all the same command, model, data and --out, in folders that all machines see")


@torch.no_grad()
def begin_alike(weights: Iterable[torch.Tensor]) -> None:
    """Every process begins with the main one's weights, whatever made its own (adapters are drawn)."""
    for w in weights if size() > 1 else ():
        dist.broadcast(w, src=0)


@torch.no_grad()
def add_gradients(weights: Iterable[torch.Tensor]) -> None:
    """Each `grad` becomes the sum over the processes, the same bits in all; where none has one, it stays None. A bucket at a time, each a flat
    copy of several gradients: small tensors one by one would cost a round trip each."""
    weights = list(weights)
    if size() == 1 or not weights:
        return
    here = torch.tensor([w.grad is not None for w in weights], dtype=torch.uint8)
    dist.all_reduce(here, op=dist.ReduceOp.MAX)
    found: list[torch.Tensor] = []
    for w, somewhere in zip(weights, here.tolist(), strict=True):
        if somewhere and w.grad is None:
            w.grad = torch.zeros_like(w)
        if w.grad is not None:
            found.append(w.grad)
    for bucket in _buckets(found):
        flat = torch.cat([g.reshape(-1) for g in bucket])
        dist.all_reduce(flat)
        for g, total in zip(bucket, torch.split(flat, [g.numel() for g in bucket]), strict=True):
            g.copy_(total.view_as(g))


def _buckets(gradients: Sequence[torch.Tensor]) -> Iterator[list[torch.Tensor]]:
    """In order, in runs of one dtype with at most `BUCKET` numbers; a larger one is alone."""
    bucket: list[torch.Tensor] = []
    held = 0
    for g in gradients:
        if bucket and (held + g.numel() > BUCKET or g.dtype != bucket[0].dtype):
            yield bucket
            bucket, held = [], 0
        bucket.append(g)
        held += g.numel()
    if bucket:
        yield bucket


def _place() -> str:
    """The backend: gloo, with nccl beside it where each process of this machine has a GPU of its own, which it then uses."""
    if not torch.cuda.is_available():
        return "gloo"
    here, gpus = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
    if here >= gpus:
        what = f"process {here} of this machine has no GPU, there are {gpus}"
        raise RunFileError(what, remedy="start as many processes as GPUs, or hide the GPUs (CUDA_VISIBLE_DEVICES=) to train on the CPU")
    torch.cuda.set_device(here)
    return "cpu:gloo,cuda:nccl"


@contextmanager
def joined(asked: int) -> Iterator[None]:
    """Inside, this process is one of `asked` that torchrun started. An error ends all: the first process that has one raises it, the others
    raise `Followed`. Raises `TrainingError` where not all came together."""
    backend = _place()
    store, number, count = next(rendezvous("env://", timeout=PATIENCE))
    dist.init_process_group(backend, store=store, rank=number, world_size=count, timeout=PATIENCE)
    try:
        if size() != asked:
            raise TrainingError(f"{size()} processes came together, expected {asked}", remedy="start with torchrun")
        yield
        wait()  # in bfloat16 gloo may abort where one process leaves before the others
    except BaseException as e:
        if not _first_to_fail(store):
            time.sleep(1.0)  # the launcher ends all when one ends: the first one's message must be out by then
            raise Followed from e
        if isinstance(e, RuntimeError) and any(word in str(e) for word in LOST):
            what = f"another process ended without a word, or is out of reach ({str(e).splitlines()[0][:120]})"
            raise TrainingError(what, remedy="see what it printed; the same command goes on from the last checkpoint") from None
        raise
    dist.destroy_process_group()


class Followed(Exception):
    """Another process failed before this one, and tells why."""


def _first_to_fail(store: Any) -> bool:
    try:
        return bool(store.add(FAILED, 1) == 1)
    except RuntimeError:  # the store went with the process that kept it
        return False
