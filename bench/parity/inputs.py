"""What both sides read: tiny random models, a batch of preferences, and groups of replies with rewards, all of one seed."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

from trueline.engine.tiny import tiny_model

SIZE = 4  # replies a group
GROUPS = 6


def write_inputs(folder: Path, pairs: int, seed: int) -> None:
    """Models `policy` and `reference` (the policy, moved a little), `old` (moved less: what the replies were drawn by), `critic` and
    `critic_old` (classifiers on the policy's body); `batch.json`, prompts with four kinds of completions; `groups.json`."""
    tiny_model("llama", folder / "policy", seed=seed, lively=True)
    _moved(folder, "policy", "reference", 0.02, seed + 1)
    source = random.Random(seed)

    def text(low: int, high: int) -> list[int]:
        return [source.randrange(5, 512) for _ in range(source.randint(low, high))]

    batch: dict[str, Any] = {"prompt": [text(4, 20) for _ in range(pairs)]}
    for side in ("chosen", "rejected", "completion"):
        batch[side] = [[*text(2, 12), 1] for _ in range(pairs)]
    batch["other"] = batch["completion"][1:] + batch["completion"][:1]  # mismatched: the next prompt's
    batch["desirable"] = [i % 2 == 0 for i in range(pairs)]
    batch["margins"] = [float(i % 3) for i in range(pairs)]
    batch["levels"] = [i % 5 for i in range(pairs)]  # of `completion`, five ratings
    (folder / "batch.json").write_text(json.dumps(batch))
    if _drift(folder, batch) < 0:  # KTO's baseline would be 0 and test nothing: which of the two models is called policy is free
        (folder / "policy").rename(folder / "was")
        (folder / "reference").rename(folder / "policy")
        (folder / "was").rename(folder / "reference")
    _moved(folder, "policy", "old", 0.005, seed + 2)
    _critics(folder, seed + 3)
    groups = [{"prompt": text(4, 20), "replies": [], "rewards": r} for r in _rewards(source)]
    _draw(folder, groups, source)
    (folder / "groups.json").write_text(json.dumps({"groups": groups, "longest": 20}))


def _rewards(source: random.Random) -> list[list[float]]:
    """Of every group: spread out; 0 or 1; all equal; nearly equal (in steps that float32 holds exactly, so that it is the constant under the
    division that is compared and no rounding); spread out for the rest."""
    out = [[source.gauss(0, 1) for _ in range(SIZE)] for _ in range(GROUPS)]
    out[1:4] = [[0.0, 1.0, 0.0, 0.0], [0.7] * SIZE, [0.5, 0.5 + 2**-10, 0.5 - 2**-10, 0.5]]
    return out


@torch.no_grad()
def _draw(folder: Path, groups: list[dict[str, Any]], source: random.Random) -> None:
    """Replies of 2 to 15 tokens by the model `old`, as reinforcement learning has them; the last token ends them."""
    model = AutoModelForCausalLM.from_pretrained(folder / "old", dtype=torch.float32)
    drawing = torch.Generator().manual_seed(source.getrandbits(32))
    for group in groups:
        for _ in range(SIZE):
            ids = list(group["prompt"])
            for _ in range(source.randint(1, 14)):
                chances = model(input_ids=torch.tensor([ids])).logits[0, -1].softmax(-1)
                chances[:5] = 0  # the tokenizer's special ones
                ids.append(int(torch.multinomial(chances, 1, generator=drawing)))
            group["replies"].append([*ids[len(group["prompt"]) :], 1])


def _moved(folder: Path, name: str, new: str, spread: float, seed: int) -> None:
    """Model `new`: `name` with normal noise on every weight."""
    model, noise = AutoModelForCausalLM.from_pretrained(folder / name, dtype=torch.float32), torch.Generator().manual_seed(seed)
    _noised(model, spread, noise)
    model.save_pretrained(folder / new)
    for part in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        if (folder / name / part).exists():
            (folder / new / part).write_bytes((folder / name / part).read_bytes())


@torch.no_grad()
def _noised(model: Any, spread: float, noise: torch.Generator) -> None:
    for _, p in sorted(model.named_parameters()):
        p += spread * torch.randn(p.shape, generator=noise)


def _critics(folder: Path, seed: int) -> None:
    """One label on the policy's body, its head drawn by the seed; `critic_old` is moved, so that some values leave the clip of 0.2."""
    noise = torch.Generator().manual_seed(seed)
    model = AutoModelForSequenceClassification.from_pretrained(folder / "policy", num_labels=1, dtype=torch.float32)
    with torch.no_grad():
        model.score.weight.copy_(torch.randn(model.score.weight.shape, generator=noise) / model.score.weight.shape[1] ** 0.5)
    model.save_pretrained(folder / "critic")
    _noised(model, 0.005, noise)
    model.save_pretrained(folder / "critic_old")


@torch.no_grad()
def _drift(folder: Path, batch: dict[str, Any]) -> float:
    """Mean log-ratio of the mismatched completions, policy over reference, in nats."""
    sums = []
    for name in ("policy", "reference"):
        model, total = AutoModelForCausalLM.from_pretrained(folder / name, dtype=torch.float32), 0.0
        for p, c in zip(batch["prompt"], batch["other"], strict=True):
            logp = model(input_ids=torch.tensor([p + c])).logits[0].log_softmax(-1)
            total += sum(float(logp[len(p) - 1 + i, t]) for i, t in enumerate(c))
        sums.append(total)
    return (sums[0] - sums[1]) / len(batch["prompt"])
