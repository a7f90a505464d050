"""Broken models, tokenizers, templates and checkpoints."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from tests.train.broken import LAYER, Case, Place, edit, skipped
from trueline.engine.tiny import TEMPLATE, tiny_model, tiny_tokenizer
from trueline.train.reference import cache_line

NAN, INF = float("nan"), float("inf")
TURN, OPEN = "<|{{ m['role'] }}|>{{ m['content'] }}", "{%- if add_generation_prompt -%}<|assistant|>{%- endif -%}"
WITHOUT_USER = "{%- for m in messages if m['role'] != 'user' -%}" + TURN + "<|end|>{%- endfor -%}" + OPEN
ENDLESS = "{%- for m in messages -%}" + TURN + "{%- endfor -%}" + OPEN


def filled(value: float, method: str = "sft", *more: str, name: str = LAYER) -> Callable[[Place], list[str]]:
    """A model with one tensor full of one number."""

    def make(p: Place) -> list[str]:
        p.tensors("m", lambda t: t[name].fill_(value))
        return p.train(method, *more)

    return make


def spoilt(change: Callable[[Place], object], method: str = "sft", *more: object, model: str = "m") -> Callable[[Place], list[str]]:
    """A command after something was done to the place; words that begin with / are paths in it."""

    def make(p: Place) -> list[str]:
        change(p)
        words = [p.at / w[1:] if isinstance(w, str) and w.startswith("/") else w for w in more]
        return p.train(method, *words, model=model)

    return make


def bytes_of(change: Callable[[bytes], bytes]) -> Callable[[Place], list[str]]:
    """The weights' file with other bytes."""
    return spoilt(lambda p: (p / "m" / "model.safetensors").write_bytes(change((p / "m" / "model.safetensors").read_bytes())))


def config(**more: Any) -> Callable[[Place], list[str]]:
    return spoilt(lambda p: edit(p / "m" / "config.json", **more))


def template(text: str | None, method: str = "sft", **more: str | None) -> Callable[[Place], list[str]]:
    return spoilt(lambda p: p.tokenizer(text, **more), method)


def nothing_ends(p: Place) -> None:
    p.tokenizer(ENDLESS, eos_token=None)
    for name in ("config.json", "generation_config.json"):
        edit(p / "m" / name, eos_token_id=None)


def adapter(change: Callable[[Place], object]) -> Callable[[Place], list[str]]:
    return spoilt(change, model="l/adapter")


def other_base(p: Place) -> None:
    tiny_model("llama", p / "other", seed=5)
    edit(p / "l" / "adapter" / "adapter_config.json", base_model_name_or_path="../../other")


def cut_adapter(p: Place) -> None:
    path = p / "l" / "adapter" / "adapter_model.safetensors"
    save_file({k: v for k, v in load_file(path).items() if "layers.1" not in k}, path)


def on_an_adapter(p: Place) -> None:
    (p / "second").mkdir()
    for path in (p / "l" / "adapter").iterdir():
        (p / "second" / path.name).write_bytes(path.read_bytes())
    edit(p / "second" / "adapter_config.json", base_model_name_or_path="../l/adapter")


def checkpoint(change: Callable[[dict[str, Any]], object], method: str = "sft") -> Callable[[Place], list[str]]:
    return lambda p: p.checkpoint(p.train(method), change)


def killed(content: Callable[[bytes], bytes]) -> Callable[[Place], list[str]]:
    def make(p: Place) -> list[str]:
        path = p.killed(words := p.train("sft"))
        path.write_bytes(content(path.read_bytes()))
        return words

    return make


def then(first: Callable[[Place], list[str]], second: Callable[[Place], list[str]]) -> Callable[[Place], list[str]]:
    """The second command where the first was killed."""

    def make(p: Place) -> list[str]:
        p.killed(first(p))
        return second(p)

    return make


def left(name: str, content: bytes, method: str = "sft") -> Callable[[Place], list[str]]:
    """Something that stands in OUT before the run."""

    def make(p: Place) -> list[str]:
        (p / "o").mkdir()
        (p / "o" / name).write_bytes(content)
        return p.train(method)

    return make


def all_weights(state: dict[str, Any], change: Callable[[torch.Tensor], torch.Tensor]) -> None:
    state["weights"] = {name: change(w) for name, w in state["weights"].items()}


MODELS: dict[str, Case] = {
    "NaN weights": Case(filled(NAN), f"holds weights that are not finite ({LAYER}: 1024 of 1024 numbers)"),
    "NaN weights under adapters": Case(filled(NAN, "dpo", "--lora", "2"), "holds weights that are not finite"),
    "NaN weights to grpo": Case(filled(NAN, "grpo"), "holds weights that are not finite"),
    "one NaN in a row of the embedding": Case(spoilt(lambda p: p.tensors("m", lambda t: t["model.embed_tokens.weight"][509, 3].fill_(NAN))), "(model.embed_tokens.weight: 1 of 16384 numbers)"),
    "infinite weights": Case(filled(INF, "kto"), "holds weights that are not finite"),
    "all weights 0": Case(spoilt(lambda p: p.tensors("m", lambda t: [w.zero_() for w in t.values()])), "the gradient was 0 at all 1 steps: nothing was learnt", 70),
    "weights as whole numbers": Case(spoilt(lambda p: p.tensors("m", lambda t: t.update({LAYER: t[LAYER].to(torch.int8)}))), f"holds weights as whole numbers (e.g. {LAYER})"),
    "weights that are cut off": Case(bytes_of(lambda b: b[:-64]), "model.safetensors is cut off"),
    "weights with a spoilt header": Case(bytes_of(lambda b: b[:10] + b"!" * 10 + b[20:]), "model.safetensors has no readable header"),
    "a model without weights": Case(spoilt(lambda p: (p / "m" / "model.safetensors").unlink()), "has no .safetensors"),
    "weights in a pickle": Case(spoilt(lambda p: (p / "m" / "model.safetensors").rename(p / "m" / "model.bin")), "only model.bin, which could run code"),
    "a config of other shapes": Case(config(intermediate_size=48), "lacks weights that its config.json promises (6, e.g. model.layers.0.mlp.down_proj.weight"),
    "a config of more layers": Case(config(num_hidden_layers=3), "lacks weights that its config.json promises (9"),
    "a config of fewer layers": Case(config(num_hidden_layers=1), "holds weights of layer 1"),
    "a model with code of its own": Case(config(auto_map={"AutoModelForCausalLM": "x.Y"}), "needs code of its own (AutoModelForCausalLM), which is never run"),
    "a tokenizer with code of its own": Case(spoilt(lambda p: edit(p / "m" / "tokenizer_config.json", auto_map={"AutoTokenizer": "x.Y"})), "needs code of its own (AutoTokenizer)"),
    "a file as model": Case(lambda p: p.train("sft", model="data.jsonl"), "no model folder at"),
    "a reward model as model": Case(lambda p: p.train("sft", model="r/model"), "is a classifier (LlamaForSequenceClassification; a reward model is one)"),
    "an adapter whose base is gone": Case(adapter(lambda p: edit(p / "l" / "adapter" / "adapter_config.json", base_model_name_or_path="/gone")), "no model folder at /gone"),
    "an adapter on another base": Case(adapter(other_base), "was trained on other weights (digest "),
    "an adapter on an adapter": Case(spoilt(on_an_adapter, model="second"), "is an adapter itself"),
    "new adapters on an adapter": Case(lambda p: p.train("sft", "--lora", 2, model="l/adapter"), "--lora has no base to name"),
    "an adapter that lacks a layer": Case(adapter(cut_adapter), "is not whole: Found missing adapter keys"),
    "an adapter of another rank than it says": Case(adapter(lambda p: edit(p / "l" / "adapter" / "adapter_config.json", r=4)), "does not fit its base"),
}  # fmt: skip

TOKENIZERS: dict[str, Case] = {
    "ids beyond the embedding": Case(spoilt(lambda p: larger(p)), "has ids up to 531, the model knows 512"),
    "the tokenizer of another model beside trained weights": Case(spoilt(lambda p: p.foreign_tokenizer("l/model"), model="l/model"), "has another vocabulary (digest "),
    "the tokenizer of another model beside a reward model": Case(spoilt(lambda p: p.foreign_tokenizer("r/model"), "grpo", "--reward", "/r/model"), "has another vocabulary (digest "),
    "the tokenizer of another model beside an adapter": Case(adapter(lambda p: p.foreign_tokenizer("l/adapter")), "has another vocabulary (digest "),
    "the tokenizer of another model below an adapter": Case(adapter(lambda p: p.foreign_tokenizer("m")), "has another vocabulary (digest "),
    "a value model of another tokenizer": Case(spoilt(lambda p: p.foreign_tokenizer("m"), "ppo", "--value-model", "/r/model"), "the value model's tokenizer is not that of the model", 70),
    "no tokenizer": Case(spoilt(lambda p: (p / "m" / "tokenizer.json").unlink()), "has no tokenizer"),
    "no chat template": skipped(template(None), rows=12, template="plain 'User:' / 'Assistant:' lines"),
    "a template that raises": Case(template("{{ raise_exception('never') }}"), "the chat template refuses this conversation (user): never", 70),
    "a template with a slip": Case(template("{% for m in messages %}"), "the chat template refuses this conversation (user): Unexpected end", 70),
    "a template that writes nothing": Case(template("{# nothing #}"), "the prompt (user) has no tokens", 70),
    "a template that writes nothing, to grpo": Case(template("{# nothing #}", "grpo"), "the prompt (user) has no tokens", 70),
    "a template that drops what the user says": Case(template(WITHOUT_USER), "12 of 12 checked conversations are off the template", 70),
    "a template that cuts replies": Case(template(TEMPLATE.replace("m['content']", "m['content'] | replace('euros', '')"), "dpo"), "the taught text 'It is 0 .' does not hold the reply", 70),
    "a template that changes case": Case(template(TEMPLATE.replace("m['content']", "m['content'] | upper"), "kto"), "does not hold the user's words 'What is fee 0?'", 70),
    "a template that differs at every call": Case(template("{{ strftime_now('%f') }}" + TEMPLATE, "reward"), "the prompt in training differs from the prompt in use", 70),
    "a template without a system role": skipped(template(TEMPLATE.replace("in messages", "in messages if m['role'] != 'system'")), rows=12, template="the system text goes to the head of the first user turn"),
    "no end of turn": Case(template(ENDLESS, eos_token=None), "the reply does not end with a token at which inference stops", 70),
    "no end of turn, to grpo": Case(spoilt(nothing_ends, "grpo"), "has no token that ends a turn"),
    "the end token as padding": skipped(template(TEMPLATE, pad_token="<|end|>"), rows=12),
    "a tokenizer that loses letters": Case(spoilt(lambda p: losing(p)), "does not hold the user's words", 70),
}  # fmt: skip

CHECKPOINTS: dict[str, Case] = {
    "a checkpoint that is cut off": Case(killed(lambda b: b[: len(b) // 2]), "checkpoint.pt: this checkpoint cannot be read", 70),
    "a checkpoint of 0 bytes": Case(killed(lambda _: b""), "checkpoint.pt: this checkpoint cannot be read", 70),
    "a checkpoint that is a text": Case(killed(lambda _: b"hello"), "checkpoint.pt: this checkpoint cannot be read", 70),
    "a checkpoint without weights": Case(checkpoint(lambda s: s.pop("weights")), "checkpoint.pt: this checkpoint is damaged: its weights are NoneType", 70),
    "a checkpoint without optimiser": Case(checkpoint(lambda s: s.pop("optimizer")), "checkpoint.pt: this checkpoint is damaged: it has no state", 70),
    "a checkpoint of an empty optimiser": Case(checkpoint(lambda s: s["optimizer"]["state"].clear()), "or its optimiser is not of this run", 70),
    "a checkpoint beyond the last step": Case(checkpoint(lambda s: s.update(step=99)), "the checkpoint's step (99 of 1)", 70),
    "a checkpoint of NaN": Case(checkpoint(lambda s: all_weights(s, lambda w: w * NAN)), "checkpoint.pt: this checkpoint is damaged: its weights", 70),
    "a checkpoint of other shapes": Case(checkpoint(lambda s: all_weights(s, lambda w: w[:1])), "the checkpoint is of other weights", 70),
    "a checkpoint of adapters of another rank": skipped(then(lambda p: p.train("sft", "--lora", 2), lambda p: p.train("sft", "--lora", 4)), resumed="from the beginning"),
    "a checkpoint of other options": skipped(then(lambda p: p.train("sft"), lambda p: p.train("sft", "--lr", 0.1)), resumed="from the beginning"),
    "a checkpoint of another model": skipped(then(lambda p: p.train("sft"), filled(0.5)), resumed="from the beginning"),
    "a rollout's checkpoint without its number": Case(checkpoint(lambda s: s.pop("rollouts"), "grpo"), "checkpoint.pt: this checkpoint is damaged: it is no state of a rollout", 70),
    "metrics that are none": Case(left("metrics.jsonl", b"hello\n"), "metrics.jsonl:1: this line is no metrics of a step", 70),
    "metrics with a byte of no letter": Case(left("metrics.jsonl", b'{"step": 0}\n\xff\n'), "metrics.jsonl:2: this line is no metrics", 70),
    "a reference cache that is none": Case(left("reference.jsonl", b"hello\n", "dpo"), "reference.jsonl:1: this line is no log-probabilities", 70),
    "a reference cache with a changed number": Case(lambda p: p.again(p.train("dpo"), "reference.jsonl", nudged), "reference.jsonl:1: this line is no log-probabilities", 70),
    "a reference cache of another model": skipped(lambda p: p.again(p.train("kto"), "reference.jsonl", of_another), rows=12),
}  # fmt: skip


def nudged(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "logps": [x - 0.25 for x in row["logps"]]}


def of_another(row: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(cache_line("0" * 64, row["key"], [x - 9 for x in row["logps"]]))
    return made


def larger(p: Place) -> None:
    made = tiny_tokenizer()
    made.add_tokens([f"<x{i}>" for i in range(512 - len(made) + 20)])
    made.save_pretrained(p / "m")


def losing(p: Place) -> None:
    path = p / "m" / "tokenizer.json"
    told = json.loads(path.read_text())
    path.write_text(json.dumps({**told, "normalizer": {"type": "Replace", "pattern": {"Regex": "[a-z]"}, "content": ""}}))
