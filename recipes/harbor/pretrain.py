"""Pretrains the rehearsal model: packed rows, bf16 weights with an fp32 master on the CPU, exact resume.

Step n's rows depend on (seed, n) alone, so a resumed run sees exactly what an uninterrupted one would have seen.
"""

from __future__ import annotations

import json
import math
import os
import random
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from recipes.harbor.corpus import Corpus
from recipes.harbor.tokens import VOCABULARY, encode


@dataclass(frozen=True, slots=True)
class Plan:
    """`tokens` a step in rows of `length` (of `long` in the last `stretch` of the steps, for the full context);
    `steps` in all; warm-up, then constant, then linear decay over `decay` (share of the steps)."""

    steps: int
    tokens: int = 2048
    length: int = 256
    long: int = 1024
    stretch: float = 0.06
    rate: float = 1.2e-3
    warmup: int = 100
    decay: float = 0.3
    seed: int = 0


def new_model(seed: int) -> LlamaForCausalLM:
    """Random weights of the rehearsal architecture, about 8.3 million parameters."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=256, intermediate_size=832, num_hidden_layers=8, num_attention_heads=4, num_key_value_heads=4,
        max_position_embeddings=1024, tie_word_embeddings=True, pad_token_id=0, eos_token_id=1, bos_token_id=None, attn_implementation="sdpa",
    )  # fmt: skip
    return LlamaForCausalLM(config)


def batch_of(step: int, plan: Plan, corpus: Corpus, tokenizer: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """(ids, weights), both (rows, length + 1): documents packed end to end, the last one of a row cut."""
    rng = random.Random(f"{plan.seed}|{step}")
    ids, weights = [], []
    length = plan.length if step < plan.steps * (1 - plan.stretch) else plan.long
    for _ in range(plan.tokens // length):
        row: list[int] = []
        mass: list[float] = []
        while len(row) <= length:
            i, w = encode(corpus.draw(rng), tokenizer)
            row += i
            mass += w
        ids.append(row[: length + 1])
        weights.append(mass[: length + 1])
    return torch.tensor(ids), torch.tensor(weights)


def rate_at(step: int, plan: Plan) -> float:
    """Warm-up, stable, linear decay (WSD)."""
    start = int(plan.steps * (1 - plan.decay))
    down = 1.0 if step < start else max(0.02, (plan.steps - step) / max(1, plan.steps - start))
    return plan.rate * min(1.0, (step + 1) / plan.warmup) * down


def save_folder(model: Any, tokenizer: Any, folder: Path) -> None:
    """A Hugging Face folder in bfloat16, whole or not at all."""
    beside = folder.with_name(folder.name + ".part")
    model.save_pretrained(beside, safe_serialization=True)
    tokenizer.save_pretrained(beside)
    if folder.exists():
        old = folder.with_name(folder.name + ".old")
        os.rename(folder, old)
        os.rename(beside, folder)
        __import__("shutil").rmtree(old)
    else:
        os.rename(beside, folder)


def train(plan: Plan, corpus: Corpus, tokenizer: Any, out: Path, device: str = "cpu") -> Any:
    """Trains to the end of the plan, from the checkpoint in `out` if there is one. Returns the model (bfloat16)."""
    master = new_model(plan.seed).to(device)
    model = new_model(plan.seed).to(device, torch.bfloat16)
    pairs = list(zip(model.parameters(), master.parameters(), strict=True))
    decayed = [p for p in master.parameters() if p.dim() >= 2]
    plain = [p for p in master.parameters() if p.dim() < 2]
    groups = [{"params": decayed, "weight_decay": 0.05}, {"params": plain, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=plan.rate, betas=(0.9, 0.95), fused=True)
    step, saved = 0, out / "checkpoint.pt"
    if saved.exists():
        state = torch.load(saved, weights_only=True)
        master.load_state_dict(state["master"])
        optimizer.load_state_dict(state["optimizer"])
        step = int(state["step"])
    with torch.no_grad():
        for small, big in pairs:
            small.copy_(big)
    forward = torch.compile(model)
    began, last, mean = time.time(), time.time(), math.nan
    first = step
    while step < plan.steps:
        ids, weights = (t.to(device) for t in batch_of(step, plan, corpus, tokenizer))
        logits = forward(input_ids=ids[:, :-1], use_cache=False).logits.float()
        losses = torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten(), reduction="none")
        mass = weights[:, 1:].flatten()
        loss = (losses * mass).sum() / mass.sum()
        loss.backward()
        for small, big in pairs:
            big.grad = small.grad.float() if small.grad is not None else None
            small.grad = None
        torch.nn.utils.clip_grad_norm_(master.parameters(), 1.0)
        for group in optimizer.param_groups:
            group["lr"] = rate_at(step, plan)
        optimizer.step()
        with torch.no_grad():
            for small, big in pairs:
                small.copy_(big)
        step += 1
        mean = loss.item() if math.isnan(mean) else 0.98 * mean + 0.02 * loss.item()
        if step % 20 == 0:
            tokens = (step - first) * plan.tokens
            line = {"step": step, "of": plan.steps, "loss": round(mean, 4), "tokens_per_second": round(tokens / (time.time() - began))}
            (out / "STATUS").write_text(json.dumps({**line, "tokens": step * plan.tokens}) + "\n")
            print(json.dumps(line), flush=True)
        if time.time() - last > 180 or step == plan.steps:
            state = {"master": master.state_dict(), "optimizer": optimizer.state_dict(), "step": step}
            torch.save(state, out / "checkpoint.pt.part")
            os.replace(out / "checkpoint.pt.part", saved)
            save_folder(model, tokenizer, out / "hf")
            last = time.time()
    return model
