"""Part of the way: what is saved lies between the model as given and the trained one (WiSE-FT, Wortsman et al. 2109.01903; for models that
learn from preferences, Lin et al. 2309.06256): weights so averaged forget less for what they learn.

Every weight becomes start + share (trained - start). With adapters the update is a multiple of B A, so B times the share is the same step.
The start is read again after training, when the optimiser's memory is free, and as a whole: in its files weights may be named and laid
out otherwise than in the model. Of several processes the first alone reads it, so that no machine holds a copy for each.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from trueline.engine.loading import LocalModel, load_local
from trueline.errors import RunFileError, TrainingError
from trueline.train.distributed import begin_alike, from_main


def _adapters(model: Any) -> Iterator[Any]:
    """The B of every adapter."""
    for module in model.modules():
        if hasattr(module, "lora_B"):
            yield from (up.weight for up in module.lora_B.values())


@torch.no_grad()
def go_part_way(local: LocalModel, trained: LocalModel, share: float) -> str:
    """Moves the weights of `trained` in place to `share` of the way from those that `local` had when it was loaded; one line for a person.
    `trained` is `local` itself, or its adapters, with whole weights; of several processes all ask, and all have the result. Raises
    `RunFileError` for a share that is no part (at 1 nothing is averaged, at 0 nothing is learnt), and `TrainingError` where the folder of
    `local` no longer holds what was trained from."""
    if not 0 < share < 1:
        raise RunFileError(f"part_way must lie between 0 and 1, got {share}", remedy="give for instance 0.5")
    told = f"{share:g} of the way from the model as given to the trained one"
    ups = list(_adapters(trained.model))
    if ups:
        for up in ups:
            up.mul_(share)
        return told
    from_main(lambda: _average(local, trained, share))
    begin_alike(p for p in trained.model.parameters() if p.requires_grad)
    return told


def _average(local: LocalModel, trained: LocalModel, share: float) -> None:
    start = load_local(local.path, device="cpu")
    if start.digest != local.digest:
        what = f"{local.path} holds other weights than when training began, so the saved model cannot be averaged with them"
        raise TrainingError(what, remedy="put the model back and run the same command: training goes on from its checkpoint")
    begun = dict(start.model.named_parameters())
    for name, p in trained.model.named_parameters():
        p.copy_(torch.lerp(begun[name].to(p.device, torch.float32), p.float(), share))
