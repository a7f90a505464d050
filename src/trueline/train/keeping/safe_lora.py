"""Safe LoRA (Hsu et al. 2405.16833): after training, an update that points away from what alignment changed is projected onto it.

Per linear layer, with V = W_aligned - W_unaligned: where the update D and its projection C D point apart (cosine below a threshold), D
becomes C D. `paper`: C = V V' / |V| (Frobenius; equation 4), whose size depends on that of V, so an update may come out much smaller.
`subspace`: C is the orthogonal projection on the leading left singular directions of V that hold `ENERGY` of its square norm. The paper's
exact form, V (V'V)^-1 V', is the identity for a V of full rank, and is left out. Adapters stay adapters: C B A = (C B) A.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from trueline.engine.loading import LocalModel
from trueline.errors import TargetError, TrainingError

FORMS = ("paper", "subspace")
ENERGY = 0.9


@dataclass(frozen=True, slots=True)
class Projected:
    """similarity: layer -> cosine of its update and the projected update, before; projected: the layers whose update was replaced;
    unchanged: layers without an update, or that alignment left as they were (nothing to project on)."""

    similarity: dict[str, float]
    projected: tuple[str, ...]
    unchanged: int

    def words(self) -> str:
        """One line for a person."""
        low, high = (f(self.similarity.values(), default=0.0) for f in (min, max))
        told = f"{len(self.projected)} of {len(self.similarity)} linear layers projected, similarities {low:.2f} to {high:.2f}"
        return told + (f"; {self.unchanged} layers without an update or without a direction" if self.unchanged else "")


def projector(v: torch.Tensor, form: str) -> torch.Tensor:
    """C, (out, out), of V (out, in), float32. V must not be zero."""
    if form == "paper":
        return (v @ v.T).div(torch.linalg.matrix_norm(v))
    left, sizes, _ = torch.linalg.svd(v, full_matrices=False)
    held = sizes.square().cumsum(0) / sizes.square().sum()
    leading: torch.Tensor = left[:, : int((held < ENERGY).sum()) + 1]
    return leading @ leading.T


def _linears(model: Any) -> Iterator[tuple[str, Any]]:
    """Linear layers by name, adapters by the layer that they sit on, without the output layer (as peft's `all-linear`)."""
    head = model.get_output_embeddings()
    for name, module in model.named_modules():
        if module is head or "lora_" in name or name.endswith("base_layer"):
            continue
        if isinstance(module, torch.nn.Linear) or hasattr(module, "lora_B"):
            yield name, module


def weights_of(model: Any) -> dict[str, torch.Tensor]:
    """Linear layer -> its weight (out, in) without any adapter, a copy in float32."""
    return {n: (m.base_layer if hasattr(m, "lora_B") else m).weight.detach().float().clone() for n, m in _linears(model)}


def check_pair(aligned: Mapping[str, torch.Tensor], unaligned: LocalModel) -> dict[str, torch.Tensor]:
    """V by layer. Raises `TargetError` where the unaligned model is another architecture, or the very same weights."""
    if not aligned:
        raise TargetError("the model has no linear layers (torch.nn.Linear) to project", remedy="leave --safe-lora out")
    other = weights_of(unaligned.model)
    shapes, others = ({n: tuple(w.shape) for n, w in found.items()} for found in (aligned, other))
    if shapes != others:
        odd = next(iter(sorted(shapes.items() ^ others.items())))
        what = f"{unaligned.path} is not the model that the aligned one came from: layer {odd[0]} has no counterpart of shape {odd[1]}"
        raise TargetError(what, remedy="give the model before alignment with --unaligned")
    v = {n: w - other[n].to(w.device) for n, w in aligned.items()}
    if not any(bool(d.any()) for d in v.values()):
        what = f"{unaligned.path} has the same linear layers as the aligned model, so there is no direction of alignment"
        raise TargetError(what, remedy="give the model before alignment with --unaligned")
    return v


@torch.no_grad()
def project(
    local: LocalModel, aligned: Mapping[str, torch.Tensor], v: Mapping[str, torch.Tensor], threshold: float, form: str
) -> Projected:
    """Projects the update of `local`'s layers in place; `aligned` are their weights before training. Raises `TrainingError` for an
    unknown form or a threshold outside (0, 1]."""
    if form not in FORMS:
        raise TrainingError(f"unknown form {form!r} of Safe LoRA, expected one of {', '.join(FORMS)}", remedy="choose one of these")
    if not 0 < threshold <= 1:
        raise TrainingError(f"the threshold is a cosine above 0 and at most 1, got {threshold}", remedy="give for instance 0.35")
    similarity: dict[str, float] = {}
    done, unchanged = list[str](), 0
    for name, module in _linears(local.model):
        adapter = hasattr(module, "lora_B")
        # an adapter's scale changes neither the cosine nor the projection
        update = module.lora_B["default"].weight @ module.lora_A["default"].weight if adapter else module.weight.float() - aligned[name]
        if not bool(update.any()) or not bool(v[name].any()):
            unchanged += 1
            continue
        c = projector(v[name], form)
        moved = c @ update.float()
        similarity[name] = float(torch.nn.functional.cosine_similarity(moved.flatten(), update.float().flatten(), dim=0))
        if similarity[name] >= threshold:
            continue
        done.append(name)
        if adapter:
            up = module.lora_B["default"].weight
            up.copy_(c.to(up.dtype) @ up)
        else:
            module.weight.copy_(aligned[name] + moved)
    return Projected(similarity, tuple(done), unchanged)
