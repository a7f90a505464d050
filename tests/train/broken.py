"""What the broken inputs of `test_broken_inputs` are made of: a place with good inputs, ways to spoil them, and a case."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from trueline.cli.main import run
from trueline.engine.tiny import SPECIALS, TEMPLATE, tiny_model, tiny_tokenizer

Row = dict[str, Any]
DEMOS: list[Row] = [{"prompt": f"What is fee {i}?", "completion": f"It is {i} euros."} for i in range(12)]
PAIRS: list[Row] = [{"prompt": f"What is fee {i}?", "chosen": f"It is {i} euros.", "rejected": "No." * (i % 4 + 1)} for i in range(12)]
LABELLED: list[Row] = [{**d, "label": i % 2 == 0} for i, d in enumerate(DEMOS)]
PROMPTS: list[Row] = [{"prompt": d["prompt"]} for d in DEMOS]
RATED: list[Row] = [{**d, "rating": 1 + i % 5} for i, d in enumerate(DEMOS)]
RANKED: list[Row] = [{"prompt": d["prompt"], "completions": ["a", "b", "c"], "ranks": [1, 2, 3]} for d in DEMOS]
RULES = "rules: 1\npropositions:\n  - {id: short, is: words_at_most, words: 5, weight: 0.5}\n"
ROWS_OF = {"sft": DEMOS, "dpo": PAIRS, "kto": LABELLED, "reward": PAIRS, "grpo": PROMPTS, "rloo": PROMPTS, "ppo": PROMPTS}
BY_REWARD = ("grpo", "rloo", "ppo")
LAYER = "model.layers.0.self_attn.q_proj.weight"


def written(path: Path, rows: list[Any]) -> Path:
    """Rows as JSON lines; a string stands as it is."""
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows), encoding="utf-8")
    return path


def edit(path: Path, **more: object) -> None:
    """Changes keys of a JSON file."""
    path.write_text(json.dumps({**json.loads(path.read_text()), **more}))


@dataclass
class Place:
    """A folder with good inputs: `m` a model, `l` a run with adapters on it, `r` and `t` reward models (causal, text), `rules.yaml`."""

    at: Path

    @classmethod
    def good(cls, at: Path) -> Place:
        """The inputs, made by the commands themselves."""
        place = cls(at)
        tiny_model("llama", at / "m")
        (at / "rules.yaml").write_text(RULES)
        assert run(place.train("reward", out="r")) == 0
        assert run(place.train("reward", "--backbone", "text", model=None, out="t")) == 0
        assert run(place.train("sft", "--lora", "2", out="l")) == 0
        edit(at / "l" / "adapter" / "adapter_config.json", base_model_name_or_path="../../m")
        return place

    def __truediv__(self, name: str) -> Path:
        return self.at / name

    def train(self, method: str, *more: object, rows: list[Any] | None = None, file: Path | None = None, model: str | None = "m", out: str = "o") -> list[str]:  # fmt: skip
        """The command line of a method on rows, or on a file."""
        data = file if file is not None else written(self / "data.jsonl", ROWS_OF[method] if rows is None else rows)
        words: list[object] = ["train", method, "--data", data, "--out", self / out, *more]
        words += ["--model", self / model] if model is not None else []
        if method in BY_REWARD:
            words += [
                w for name, value in (("--steps", 1), ("--prompts", 2), ("--max-new-tokens", 4)) if name not in more for w in (name, value)
            ]
            words += [] if "--reward" in more or "--rules" in more else ["--rules", self / "rules.yaml"]
        return list(map(str, words))

    def tensors(self, folder: str, change: Callable[[dict[str, torch.Tensor]], object], file: str = "model.safetensors") -> None:
        """Changes the tensors of a folder."""
        found = load_file(self / folder / file)
        change(found)
        save_file(found, self / folder / file, metadata={"format": "pt"})

    def tokenizer(self, template: str | None, **more: str | None) -> None:
        """Another template for the model, or other special tokens."""
        made = tiny_tokenizer(template)
        for name, value in more.items():
            setattr(made, name, value)
        (self / "m" / "chat_template.jinja").unlink(missing_ok=True)
        made.save_pretrained(self / "m")

    def foreign_tokenizer(self, folder: str) -> None:
        """A tokenizer of the same size with other merges: its ids mean other pieces of text."""
        from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
        from transformers import PreTrainedTokenizerFast

        raw = Tokenizer(models.BPE())
        raw.pre_tokenizer, raw.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
        letters = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(vocab_size=512, special_tokens=SPECIALS, initial_alphabet=letters, show_progress=False)
        raw.train_from_iterator(["zebra quartz jumps over lazy dogs while xylophones vibrate"] * 4, trainer)
        made = PreTrainedTokenizerFast(tokenizer_object=raw, eos_token="<|end|>", pad_token="<|pad|>")
        made.chat_template = TEMPLATE
        made.save_pretrained(self / folder)

    def killed(self, words: list[str]) -> Path:
        """Runs a command that is killed behind its first step; its checkpoint."""
        from trueline.train.loop import Stepper

        real = Stepper.save

        def save_and_die(self: Stepper, more: Any = None, *, now: bool = False) -> None:
            real(self, more, now=True)
            raise KeyboardInterrupt

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Stepper, "save", save_and_die)
            assert run(words) == 130
        return self / "o" / "checkpoint.pt"

    def checkpoint(self, words: list[str], change: Callable[[dict[str, Any]], object]) -> list[str]:
        """The command again, after it was killed and its checkpoint changed."""
        path = self.killed(words)
        state = torch.load(path, weights_only=True)
        change(state)
        torch.save(state, path)
        return words

    def again(self, words: list[str], file: str, change: Callable[[Row], Row]) -> list[str]:
        """The command again, after it was done and the lines of one of its files changed; its model is taken away."""
        assert run(words) == 0
        path = self / "o" / file
        written(path, [change(json.loads(line)) for line in path.read_text().splitlines()])
        shutil.rmtree(self / "o" / "model")
        (self / "o" / "train.json").unlink()
        return words


@dataclass(frozen=True)
class Case:
    """make: spoils something in a place and gives the command line; words: what stands in the one line that it ends with; code: its exit
    code. Of a case that goes on (code 0), told: what the printed result says; of a list, how many lines it has. limit: bytes that a file
    may have."""

    make: Callable[[Place], list[str]]
    words: str = ""
    code: int = 64
    told: Mapping[str, str | int] = field(default_factory=dict)
    limit: int | None = None

    def row(self, name: str) -> str:
        """A line of the table in docs/broken-inputs.md."""
        says = self.words if self.code else "; ".join(f"`{key}`: {value}" for key, value in self.told.items())
        return f"| {name} | {self.code} | {says.replace('|', chr(92) + '|')} |"


def skipped(make: Callable[[Place], list[str]], **told: str | int) -> Case:
    """A case that goes on and says so."""
    return Case(make, code=0, told=told)
