"""Where the weights of a training stage are: whole in every process, or sharded over all of them (FSDP2, torch's `fully_shard`).

Sharded, a process keeps its part of every weight, of its gradient and of the optimiser's moments, and has a layer whole only while that
layer computes. Each decoder layer is a group, and the rest (embeddings, last norm, output layer) is the root's. Checkpoints and models
hold full tensors, so they do not tell how they were trained. Left out on purpose: loading without ever holding the whole model.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import torch
from torch.distributed.tensor import DTensor, distribute_tensor

from trueline.engine.loading import LocalModel
from trueline.errors import RunFileError, TrainingError
from trueline.train.distributed import begin_alike, size
from trueline.train.head import body_of, form_of
from trueline.train.precision import Master, computing_in

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Placed:
    """local: the model that computes; master: what the optimiser moves; whole: runs a forward pass, with all weights at hand. Whatever
    reads a weight of `local.model` must run inside it."""

    local: LocalModel
    master: Master
    whole: Callable[[Callable[[], Any]], Any]


def check_shard(shard: bool) -> None:
    """Raises `RunFileError` where there is nothing to shard over."""
    if shard and size() == 1:
        what = "shard has no effect in one process"
        raise RunFileError(what, remedy="start with `torchrun --nproc-per-node N -m trueline train ...`, or remove it")


@contextmanager
def placed(local: LocalModel, precision: str, shard: bool) -> Iterator[Placed]:
    """Inside, the model computes in `precision` (resolved), whole or sharded, and all processes have the same weights; behind it `local.model`
    holds what was learnt, whole, in the dtype it came in. Raises as `check_shard`, and `TrainingError` where the model cannot be sharded."""
    check_shard(shard)
    if shard:
        with _sharded(local, precision) as found:
            yield found
        return
    with computing_in(local.model, precision) as master:
        begin_alike(master.weights.values())
        master.push()
        yield Placed(local, master, _plainly)


def _plainly(work: Callable[[], T]) -> T:
    return work()


class _Root(torch.nn.Module):
    """What FSDP takes as the whole model. Losses call a model's body and read its output layer, never the model itself; inside this forward
    they find the weights of the root whole."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, work: Callable[[], Any]) -> Any:
        """What `work` gives, a tensor or several, none a view of another: FSDP's hooks on a view could be lost."""
        out = work()
        return tuple(map(_own, out)) if isinstance(out, tuple) else _own(out)


def _own(x: Any) -> Any:
    return x.clone() if isinstance(x, torch.Tensor) and x._is_view() else x


def _layers(model: Any) -> list[Any]:
    """The decoder layers."""
    found = [list(m) for m in body_of(model).children() if isinstance(m, torch.nn.ModuleList)]
    if not found:
        what = f"the layers of {type(model).__name__} are not found, so it cannot be sharded"
        raise TrainingError(what, remedy="train without --shard")
    return max(found, key=len)


def _twin(model: Any, memo: dict[int, Any]) -> tuple[Any, torch.nn.Module]:
    """(a copy with the parameters that `memo` names in place of its own, the module that holds them all). Adapters are copied with it."""
    wrapped = getattr(model, "wrapped", None)
    if wrapped is None:
        twin = copy.deepcopy(model, memo)
        return twin, twin
    made = type(model)(copy.deepcopy(wrapped, memo))
    return made, made.inside


def _fully_shard(root: torch.nn.Module, layers: list[Any], device: torch.device, precision: str) -> None:
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard

    mesh = init_device_mesh(device.type, (size(),))
    policy = MixedPrecisionPolicy(torch.bfloat16, torch.float32) if precision == "bfloat16" else MixedPrecisionPolicy()
    for module in (*layers, root):
        fully_shard(module, mesh=mesh, mp_policy=policy)
    for module in root.modules():
        if isinstance(module, FSDPModule):
            module.set_gradient_divide_factor(1.0)  # losses are normalised by the whole step: gradients are added, not averaged
            module.set_force_sum_reduction_for_comms(True)
    for name, p in root.named_parameters():
        if not isinstance(p, DTensor) or p.device_mesh.size() != size():
            raise TrainingError(f"{name} was not sharded over {size()} processes", remedy="train without --shard")


@contextmanager
def _sharded(local: LocalModel, precision: str) -> Iterator[Placed]:
    own = dict(local.model.named_parameters())
    dtypes = {n: p.dtype for n, p in own.items()}
    # float32 parts are the master of the weights; in bfloat16, what is gathered for a layer is rounded
    memo = {id(p): torch.nn.Parameter(p.detach().float(), requires_grad=p.requires_grad) for p in own.values()}
    begin_alike(p for p in memo.values() if p.requires_grad)
    model, inside = _twin(local.model, memo)
    if model.get_output_embeddings() is not None:
        form_of(model)  # asked while a plain forward pass still gives the model's own logits
    layers, root = _layers(model), _Root(inside)
    _fully_shard(root, layers, local.device, precision)
    for p in own.values():
        p.data = p.data.new_empty(0)  # the parts are kept, the whole is not
    trained = {n: p for n, p in model.named_parameters() if p.requires_grad}
    yield Placed(replace(local, model=model), Master(trained, trained), _whole(root))
    for n, part in model.named_parameters():
        own[n].data = whole(part).to(dtypes[n])


def _whole(root: Any) -> Callable[[Callable[[], Any]], Any]:
    def run(work: Callable[[], Any]) -> Any:
        out = root(work)
        if not torch.is_grad_enabled():
            root.reshard()  # no backward pass will: the next step must not find weights from before it
        return out

    return run


def sharded(weights: Mapping[str, torch.Tensor]) -> bool:
    """Whether these are parts of weights."""
    return any(isinstance(w, DTensor) for w in weights.values())


def whole(x: torch.Tensor) -> torch.Tensor:
    """A detached copy, gathered where `x` is sharded: then all processes must ask."""
    return x.full_tensor().detach() if isinstance(x, DTensor) else x.detach().clone()


def whole_number(x: torch.Tensor) -> float:
    """A number that may be spread over the processes."""
    return float(x.full_tensor() if isinstance(x, DTensor) else x)


@torch.no_grad()
def set_whole(x: torch.Tensor, value: torch.Tensor) -> None:
    """Sets `x`, sharded or not, to a whole tensor that all processes have."""
    x.copy_(like(value, x))


def like(value: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """`value`, whole in all processes, sharded as `x` is."""
    if not isinstance(x, DTensor) or value.shape != x.shape:
        return value
    return distribute_tensor(value.to(x.device), x.device_mesh, x.placements, src_data_rank=None)


def whole_optimizer(state: dict[str, Any]) -> dict[str, Any]:
    """An optimiser's state dict with every tensor whole, as `whole`."""
    moments = {k: {n: whole(v) if isinstance(v, DTensor) else v for n, v in slot.items()} for k, slot in state["state"].items()}
    return {**state, "state": moments}


def optimizer_like(state: dict[str, Any], optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """The state dict of `whole_optimizer`, sharded as the optimiser's weights are; numbers that are no moments stay as they are."""
    weights = [p for group in optimizer.param_groups for p in group["params"]]
    return {**state, "state": {k: {n: like(v, weights[k]) for n, v in slot.items()} for k, slot in state["state"].items()}}
