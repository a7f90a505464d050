"""Our side and the papers', run in our environment: `python ours.py FOLDER`. `ours.pt` is written there.

rows, shared: the public losses on log-probabilities of `pair_logps` (two rows a pair) and `shared_logps` (the prompt once),
float32. paper: the formulas written out again in `paper.py` on a plain float64 loop over the tokens.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from cases import CASES, Case
from paper import FORMULAS, Pair, Single
from transformers import AutoModelForCausalLM

from trueline.algos.losses.preference import PAIRED, Completions, paired, unpaired
from trueline.algos.losses.unpaired import kl_baseline
from trueline.train.batching import Row
from trueline.train.shared import pair_logps, shared_logps

Tensor = torch.Tensor
FOLDER = Path(sys.argv[1])
BATCH = json.loads((FOLDER / "batch.json").read_text())
CPU = torch.device("cpu")
MARGINS = torch.tensor(BATCH["margins"])


def rows(side: str) -> list[Row]:
    """Prompts with one side's completions."""
    return [Row(tuple(p), tuple(c)) for p, c in zip(BATCH["prompt"], BATCH[side], strict=True)]


def tokens(side: str) -> Tensor:
    """(n,) counts."""
    return torch.tensor([len(c) for c in BATCH[side]])


def losses(case: Case, policy: Any, reference: Any, form: Callable[..., tuple[Tensor, Tensor]]) -> Tensor:
    """One loss an example by the public functions, (n,)."""
    name, options = case.ours
    sides = ("chosen", "rejected") if name in PAIRED else ("completion", "other")
    one, two = (rows(s) for s in sides)
    found = form(policy, one, two, 0, CPU)
    with torch.no_grad():
        base = form(reference, one, two, 0, CPU)
    if name in PAIRED:
        objective = paired(name, options)
        given = (Completions(x, b if objective.reference else None, tokens(s)) for x, b, s in zip(found, base, sides, strict=True))
        chosen, rejected = given
        out = objective(chosen, rejected, MARGINS if case.margins else None)
        return out + chosen.logps / tokens("chosen") if case.part == "odds" else out
    z0 = kl_baseline(found[1], base[1]) if name == "kto" else 0.0
    assert name != "kto" or float(z0) > 0, "a baseline of 0 tests nothing: take another seed"
    return unpaired(name, options)(Completions(found[0], base[0]), torch.tensor(BATCH["desirable"]), z0)


def measured(make: Callable[[], Tensor], policy: Any) -> dict[str, Tensor]:
    """values (n,), gradients (n, weights), mean () and mean_gradient (weights,), the weights in the order of their names. `make`
    gives the losses; it is asked again for every gradient, since our projection gives its logits up in the backward pass."""
    weights = [p for _, p in sorted(policy.named_parameters())]

    def gradient(of: Tensor) -> Tensor:
        found = torch.autograd.grad(of, weights, retain_graph=True, allow_unused=True)
        return torch.cat([(torch.zeros_like(p) if g is None else g).flatten() for p, g in zip(weights, found, strict=True)])

    values = make().detach()
    gradients = torch.stack([gradient(make()[i]) for i in range(len(values))])
    return {"values": values, "gradients": gradients, "mean": values.mean(), "mean_gradient": gradient(make().mean())}


def plain(model: Any, side: str) -> list[Tensor]:
    """Sums of token log-probabilities in float64, one example and one token after another."""
    out = []
    for p, c in zip(BATCH["prompt"], BATCH[side], strict=True):
        logits = model(input_ids=torch.tensor([p + c])).logits[0]
        out.append(sum((logits[len(p) - 1 + i] - logits[len(p) - 1 + i].logsumexp(0))[t] for i, t in enumerate(c)))
    return [x for x in out if isinstance(x, Tensor)]


def by_paper(case: Case, policy: Any, reference: Any) -> Tensor:
    """One loss an example by the papers' formulas, (n,) float64."""
    name, options = case.ours
    one, two = ("chosen", "rejected") if name in PAIRED else ("completion", "other")
    a, b = plain(policy, one), plain(policy, two)
    with torch.no_grad():
        ra, rb = plain(reference, one), plain(reference, two)
    if name in PAIRED:
        pairs = [
            Pair(*x, float(m)) for *x, m in zip(a, b, ra, rb, map(len, BATCH[one]), map(len, BATCH[two]), BATCH["margins"], strict=True)
        ]
        return torch.stack([FORMULAS["odds" if case.part == "odds" else name](p, **options) for p in pairs])
    kl = sum(float((x - y).detach()) for x, y in zip(b, rb, strict=True)) / len(b)
    singles = [Single(x, y, max(0.0, kl), bool(d)) for x, y, d in zip(a, ra, BATCH["desirable"], strict=True)]
    return torch.stack([FORMULAS[name](s, **options) for s in singles])


def _once(values: Tensor) -> Callable[[], Tensor]:
    return lambda: values


def main() -> None:
    """All cases in three forms."""
    import transformers

    policy, reference = (AutoModelForCausalLM.from_pretrained(FOLDER / n, dtype=torch.float32) for n in ("policy", "reference"))
    out: dict[str, Any] = {"versions": {"torch": str(torch.__version__), "transformers": transformers.__version__}}
    for name, form in (("rows", pair_logps), ("shared", shared_logps)):
        out[name] = {c.name: measured(partial(losses, c, policy, reference, form), policy) for c in CASES}
    policy, reference = policy.double(), reference.double()
    out["paper"] = {c.name: measured(_once(by_paper(c, policy, reference)), policy) for c in CASES}
    torch.save(out, FOLDER / "ours.pt")


if __name__ == "__main__":
    main()
