"""Completions a second on two threads: ours against `transformers.generate`, same prompts, same number of tokens.

    python bench/sampling.py [--model bundled:harbor] [--rows 64] [--tokens 48] [--prompt 120] [--shared 60]

Both decode greedily and ignore the end token, so that both do the same work; ours shares the common prefix. Prints one
JSON object: completions and tokens a second of each, the share of equal replies, threads and load of the machine.
Without a model folder it takes random weights in the rehearsal model's architecture.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def rehearsal_sized(folder: Path) -> Path:
    """Random weights in the rehearsal model's shape, in case it is not there."""
    import torch
    import transformers

    from trueline.engine.tiny import tiny_tokenizer

    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=4096,
        hidden_size=256,
        intermediate_size=832,
        num_hidden_layers=8,
        num_attention_heads=4,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        pad_token_id=0,
        bos_token_id=None,
        eos_token_id=1,
    )
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder


def prompts_of(vocabulary: int, rows: int, length: int, shared: int) -> list[list[int]]:
    """Prompts of about `length` tokens (within a fifth) that share their first `shared`."""
    source = random.Random(0)
    head = [source.randrange(5, vocabulary) for _ in range(shared)]
    own = [source.randint(int(0.8 * length) - shared, int(1.2 * length) - shared) for _ in range(rows)]
    return [head + [source.randrange(5, vocabulary) for _ in range(max(1, n))] for n in own]


def seconds(run: Callable[[], Any], repeats: int) -> float:
    """Median wall time of `run` after one warm-up."""
    run()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="")
    parser.add_argument("--rows", type=int, default=64)
    parser.add_argument("--tokens", type=int, default=48)
    parser.add_argument("--prompt", type=int, default=120)
    parser.add_argument("--shared", type=int, default=60)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--dtype", default="float32")
    args = parser.parse_args()
    import torch

    from trueline.core.chat import Sampling
    from trueline.engine.loading import load_local
    from trueline.engine.sampling import generate

    with tempfile.TemporaryDirectory() as scratch:
        loaded = load_local(args.model or rehearsal_sized(Path(scratch)), dtype=args.dtype, device="cpu")
    local = dataclasses.replace(loaded, stops=frozenset())  # no end token: both sides make exactly `tokens` tokens
    prompts = prompts_of(int(local.model.config.vocab_size), args.rows, args.prompt, args.shared)
    greedy = Sampling(max_tokens=args.tokens)
    width = max(len(p) for p in prompts)
    ids = torch.tensor([[0] * (width - len(p)) + p for p in prompts])
    mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts])
    kept: dict[str, Any] = {}

    def ours() -> None:
        kept["ours"] = [list(g.ids) for g in generate(local, prompts, greedy, batch=args.rows)]

    def theirs() -> None:
        made = local.model.generate(
            ids, attention_mask=mask, max_new_tokens=args.tokens, min_new_tokens=args.tokens, do_sample=False,
            pad_token_id=0, eos_token_id=None,
        )  # fmt: skip
        kept["theirs"] = made[:, width:].tolist()

    a, b = seconds(ours, args.repeats), seconds(theirs, args.repeats)
    equal = sum(x == y for x, y in zip(kept["ours"], kept["theirs"], strict=True))
    print(
        json.dumps(
            {
                "bench": "sampling",
                "completions_per_second": {"trueline": round(args.rows / a, 2), "transformers": round(args.rows / b, 2)},
                "tokens_per_second": {
                    "trueline": round(args.rows * args.tokens / a, 1),
                    "transformers": round(args.rows * args.tokens / b, 1),
                },
                "times_faster": round(b / a, 2),
                "equal_replies": equal,
                **{k: getattr(args, k) for k in ("rows", "tokens", "prompt", "shared", "dtype")},
                "model": args.model or "random weights, rehearsal architecture",
                "parameters": sum(p.numel() for p in local.model.parameters()),
                "threads": torch.get_num_threads(),
                "load_average": round(os.getloadavg()[0], 2),
            }
        )
    )


if __name__ == "__main__":
    main()
