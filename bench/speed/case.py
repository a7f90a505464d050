"""What both sides of a speed comparison train on: the same model folder and the same random words, a token each."""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

MODELS: dict[str, dict[str, Any]] = {
    # about 6 million parameters; the rehearsal model's kind
    "small": {"vocab_size": 4096, "hidden_size": 256, "intermediate_size": 704, "num_hidden_layers": 6, "num_attention_heads": 4},
    # a large model's width and vocabulary, four layers of it
    "wide": {
        "vocab_size": 151936, "hidden_size": 896, "intermediate_size": 4864, "num_hidden_layers": 4, "num_attention_heads": 14,
        "num_key_value_heads": 2,
    },
    # current models of half a billion and of one and a half billion parameters, whole
    "half": {
        "vocab_size": 151936, "hidden_size": 896, "intermediate_size": 4864, "num_hidden_layers": 24, "num_attention_heads": 14,
        "num_key_value_heads": 2,
    },
    "large": {
        "vocab_size": 151936, "hidden_size": 1536, "intermediate_size": 8960, "num_hidden_layers": 28, "num_attention_heads": 12,
        "num_key_value_heads": 2,
    },
    "tiny": {"vocab_size": 512, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2},
}  # fmt: skip
TEMPLATE = "{%- for m in messages -%}{{ m['content'] }} {%- if m['role'] == 'assistant' -%}<end>{%- endif -%}{%- endfor -%}"


GROUP = 8  # GRPO: replies to a prompt
EPOCHS, MINIBATCHES = 2, 2  # PPO: passes over a rollout, steps of a pass
PEER = ("trl==1.16.0", "torch==2.13.0", "transformers==5.23.0")


def arguments() -> argparse.Namespace:
    """What every side is called with."""
    p = argparse.ArgumentParser()
    p.add_argument("--method", required=True)
    p.add_argument("--model", type=Path, required=True)
    p.add_argument("--dtype", required=True)
    for name in ("prompt", "completion", "batch", "steps"):
        p.add_argument(f"--{name}", type=int, required=True)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    p.add_argument("--defaults", action="store_true", help="the peer with its defaults")
    return p.parse_args()


def environment(given: Path | None) -> Path:
    """The python of an environment with TRL; made under `runs/` where none is given."""
    folder = given or Path(__file__).parents[2] / "runs" / "trl-1.16"
    python = folder / "bin" / "python"
    if not python.exists():
        if given is not None:
            sys.exit(f"error: {python} is not there, expected a virtual environment; leave --trl out to have one made")
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *PEER], check=True)
    return python


def make_model(name: str, folder: Path) -> Path:
    """Random weights (float32) and a tokenizer of one token a word; nothing is made twice."""
    if (folder / "config.json").exists():
        return folder
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    size = MODELS[name]["vocab_size"]
    words = {"<pad>": 0, "<end>": 1, **{f"w{i}": i for i in range(2, size)}}
    raw = Tokenizer(models.WordLevel(words, unk_token="<pad>"))
    raw.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, pad_token="<pad>", eos_token="<end>")
    tokenizer.chat_template = TEMPLATE
    torch.manual_seed(0)
    config = LlamaConfig(
        **MODELS[name], max_position_embeddings=2048, tie_word_embeddings=True, pad_token_id=0, eos_token_id=1, bos_token_id=None
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def pairs(vocabulary: int, n: int, prompt: int, completion: int) -> list[dict[str, str]]:
    """`n` rows of prompt, chosen, rejected; the end of turn makes the last token of a completion."""
    source = random.Random(0)

    def text(length: int) -> str:
        return " ".join(f"w{source.randrange(2, vocabulary)}" for _ in range(length))

    return [{"prompt": text(prompt), "chosen": text(completion - 1), "rejected": text(completion - 1)} for _ in range(n)]


def even(text: str) -> float:
    """GRPO's reward: the share of words with an even number."""
    words = text.split()
    return sum(w[-1:].isdigit() and int(w[-1]) % 2 == 0 for w in words) / max(1, len(words))


class Clock:
    """Seconds of every step, the first ones (allocations, kernels chosen) left out; and the memory above the loaded model."""

    def __init__(self, device: str = "cpu", skip: int = 1) -> None:
        self.skip, self.marks, self.base, self.device = skip, list[float](), 0, device

    def peak(self) -> int:
        """Largest resident memory so far, bytes; on a GPU the largest that was allocated there."""
        if self.device == "cuda":
            import torch

            return int(torch.cuda.max_memory_allocated())
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    def resident(self) -> int:
        """Resident memory now, bytes."""
        if self.device == "cuda":
            import torch

            return int(torch.cuda.memory_allocated())
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

    def loaded(self, model: Any) -> None:
        """The model is there, read whole (a mapped file is not in memory before); what comes above is training's."""
        for p in model.parameters():
            p.detach().sum()
        self.base = self.resident()

    def mark(self) -> None:
        """A step ended."""
        import time

        if self.device == "cuda":
            import torch

            torch.cuda.synchronize()

        self.marks.append(time.perf_counter())

    def told(self, per_step: int, **more: Any) -> str:
        """JSON: `per_step` examples a step."""
        import statistics

        gaps = [b - a for a, b in zip(self.marks[self.skip :], self.marks[self.skip + 1 :], strict=False)]
        step = statistics.median(gaps)
        return json.dumps(
            {"step_seconds": step, "per_second": per_step / step, "steps": len(gaps), "peak_bytes": self.peak() - self.base, **more}
        )
