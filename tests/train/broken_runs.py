"""Broken options, rewards and places to write."""

from __future__ import annotations

from collections.abc import Callable

from tests.train.broken import PAIRS, PROMPTS, RULES, Case, Place, edit, skipped, written
from tests.train.broken_models import NAN
from trueline.cli.main import run


def opt(method: str, *more: str) -> Callable[[Place], list[str]]:
    return lambda p: p.train(method, *more)


def rewarded(*more: str, method: str = "grpo") -> Callable[[Place], list[str]]:
    """Words with `{p}` in them name the place."""
    return lambda p: p.train(method, *(w.format(p=p.at) for w in more))


def rules(text: str) -> Callable[[Place], list[str]]:
    def make(p: Place) -> list[str]:
        (p / "rules.yaml").write_text(text)
        return p.train("grpo")

    return make


def moved(p: Place) -> list[str]:
    (p / "o").mkdir()
    (p / "m").rename(p / "o" / "model")
    return p.train("sft", model="o/model")


def base_below_out(p: Place) -> list[str]:
    (p / "o").mkdir()
    (p / "m").rename(p / "o" / "model")
    edit(p / "l" / "adapter" / "adapter_config.json", base_model_name_or_path="../../o/model")
    return p.train("sft", model="l/adapter")


def out_file(p: Place) -> list[str]:
    (p / "o").write_text("mine")
    return p.train("sft")


def twice(first: Callable[[Place], list[str]], second: Callable[[Place], list[str]]) -> Callable[[Place], list[str]]:
    """The second command after the first was done."""

    def make(p: Place) -> list[str]:
        assert run(first(p)) == 0
        return second(p)

    return make


def nan_reward(p: Place) -> list[str]:
    p.tensors("r/model", lambda t: t["score.weight"].fill_(NAN))
    return p.train("grpo", "--reward", p / "r" / "model")


def short_reward(p: Place) -> list[str]:
    edit(p / "r" / "model" / "config.json", max_position_embeddings=8)
    return p.train("grpo", "--reward", p / "r" / "model")


def member_gone(p: Place) -> list[str]:
    (p / "t" / "model" / "member-0.safetensors").unlink()
    return p.train("grpo", "--reward", p / "t" / "model")


def constitution(p: Place, *more: str, model: str = "m", charter: str = "bundled:harbor_bank", out: str = "o") -> list[str]:
    data = written(p / "prompts.jsonl", PROMPTS)
    words = ["train", "constitution", "--charter", charter, "--prompts", data, "--out", p / out, "--model", p / model, *more]
    return list(map(str, words))


def constitution_nan(p: Place) -> list[str]:
    p.tensors("m", lambda t: t["model.norm.weight"].fill_(NAN))
    return constitution(p, "--no-grader")


def aligned(p: Place, stage: str) -> list[str]:
    written(p / "pairs.jsonl", PAIRS)
    text = f"run: 1\ncharter: bundled:harbor_bank\nmodel: {p / 'm'}\nout: {p / 'o'}\nstages:\n  - {stage}\n"
    (p / "run.yaml").write_text(text)
    return ["align", str(p / "run.yaml")]


OPTIONS: dict[str, Case] = {
    "a learning rate of 0": Case(opt("sft", "--lr", "0"), "Invalid value for '--lr': 0.0 is not in the range 0<x<=1"),
    "a learning rate below 0": Case(opt("dpo", "--lr", "-1"), "Invalid value for '--lr': -1.0 is not in the range 0<x<=1"),
    "an infinite learning rate": Case(opt("kto", "--lr", "inf"), "Invalid value for '--lr': inf is not in the range 0<x<=1"),
    "a learning rate that is no number": Case(opt("reward", "--lr", "nan"), "Invalid value for '--lr': nan is not a finite number"),
    "a learning rate beyond reason": Case(opt("sft", "--lr", "1e38"), "Invalid value for '--lr': 1e+38 is not in the range 0<x<=1"),
    "a learning rate beyond reason in a run file": Case(lambda p: aligned(p, "{method: sft, mix: 0, lr: 1e30}"), "run.yaml:6: stages.0.sft.lr: got float 1e+30"),
    "a loss that overflows": Case(opt("dpo", "--beta", "1e300"), "the loss became nan at step 0; the rows of its batch are saved in nan_batch.json", 70),
    "no epoch": Case(opt("sft", "--epochs", "0"), "Invalid value for '--epochs': 0 is not in the range x>=1"),
    "a step smaller than a row": skipped(opt("sft", "--batch-tokens", "1"), rows=12, steps=12, audit="12 longer than batch_tokens, each a step of its own"),
    "a beta of 0": Case(opt("dpo", "--beta", "0"), "Invalid value for '--beta': 0.0 is not in the range x>0"),
    "a beta that is no number": Case(opt("kto", "--beta", "nan"), "Invalid value for '--beta': nan is not a finite number"),
    "class weights of 0": Case(opt("kto", "--desirable-weight", "0", "--undesirable-weight", "0"), "leave no row that counts"),
    "a share held out that is no number": Case(opt("dpo", "--held-out", "nan"), "Invalid value for '--held-out': nan is not a finite number"),
    "everything held out": Case(lambda p: p.train("dpo", "--held-out", 0.9, rows=PAIRS[:1]), "data.jsonl: all 1 rows are held out at --held-out 0.9"),
    "everything held out from grpo": Case(lambda p: p.train("grpo", "--held-out", 0.9, rows=PROMPTS[:1]), "data.jsonl: all 1 rows are held out"),
    "nothing held out though asked for": skipped(opt("dpo", "--held-out", "0.0001"), rows=12, accuracy_after="insufficient evidence"),
    "adapters of rank 0": Case(opt("sft", "--lora", "0"), "Invalid value for '--lora': 0 is not in the range x>=1"),
    "adapters larger than the model": Case(opt("sft", "--lora", "100000"), "lora rank 100000 is above 32, the narrow side"),
    "an unknown precision": Case(opt("sft", "--precision", "fp8"), "unknown precision 'fp8', expected one of auto, float32, bfloat16"),
    "an option of another method": Case(opt("grpo", "--beta", "1"), "--beta has no effect on grpo; remove it"),
    "a group of one": Case(opt("grpo", "--samples", "1"), "samples is 1: a reply is compared with others"),
    "a KL budget below 0": Case(opt("rloo", "--kl-budget", "-1"), "Invalid value for '--kl-budget': -1.0 is not in the range x>0"),
    "a temperature of noise": Case(opt("grpo", "--temperature", "1e30"), "Invalid value for '--temperature': 1e+30 is not in the range 0.01<=x<=10"),
    "more minibatches than prompts": Case(opt("grpo", "--minibatches", "3"), "3 minibatches of 2 prompts"),
    "measuring without held-out prompts": Case(opt("grpo", "--measure-every", "5", "--held-out", "0"), "--measure-every has no effect: none of 12 prompts is held out"),
}  # fmt: skip

REWARDS: dict[str, Case] = {
    "a plain model as reward model": Case(rewarded("--reward", "{p}/m"), "no reward model at"),
    "NaN in a reward model": Case(nan_reward, "holds weights that are not finite (score.weight: 32 of 32 numbers)"),
    "a reward model that lacks a member": Case(member_gone, "lacks member-0.safetensors"),
    "a reward model of a short context": Case(short_reward, "conversation 1 does not fit the 8 tokens of this reward model", 70),
    "one reward model twice": Case(rewarded("--reward", "{p}/t/model", "--reward", "{p}/t/../t/model"), "is the same reward model as another one"),
    "a held-out reward that is trained on": Case(rewarded("--reward", "{p}/t/model", "--held-out-reward", "{p}/t/model"), "is the reward that is trained on"),
    "a reward of weight 0": Case(rewarded("--reward", "{p}/t/model=0"), "is 0.0, expected a finite number other than 0"),
    "a cost without a number": Case(rewarded("--cost", "{p}/t/model=nan"), "limit must be a finite number, got nan"),
    "rules that are none": Case(rules("rules: 1\npropositions: 3\n"), "rules.yaml:2: propositions: got int 3, expected a list"),
    "rules with weights still to be fitted": Case(rules(RULES.replace("0.5", "fit")), "the weights of short are to be fitted", 70),
    "no rules file": Case(rewarded("--rules", "{p}/none.yaml"), "none.yaml: cannot read this file"),
    "rewards that are all alike": skipped(rules(RULES.replace("words: 5", "words: 5000")), note="in all 1 rollouts all replies to a prompt had the same reward"),
    "no charter": Case(lambda p: constitution(p, charter=str(p / "none.yaml")), "none.yaml: cannot read this file"),
    "NaN weights to constitution": Case(constitution_nan, "holds weights that are not finite (model.norm.weight: 32 of 32 numbers)"),
    "the model's folder as --out of constitution": Case(lambda p: constitution(p, out="m"), "would write into"),
}  # fmt: skip

PLACES: dict[str, Case] = {
    "--out is a file": Case(out_file, "o: cannot be read or written (File exists)", 74),
    "--out below a file": Case(lambda p: p.train("dpo", out="rules.yaml/o"), "cannot be read or written (Not a directory)", 74),
    "--out is the model's folder": Case(lambda p: p.train("sft", out="m"), "m would write into"),
    "--out inside the model's folder": Case(lambda p: p.train("dpo", out="m/run"), "m/run would write into"),
    "the model is OUT/model": Case(moved, "o would write into"),
    "the base of the adapter is OUT/model": Case(base_below_out, "o would write into"),
    "the reward model is OUT/model": Case(lambda p: p.train("grpo", "--reward", p / "t" / "model", out="t"), "t would write into"),
    "two methods in one --out": skipped(twice(opt("sft"), opt("dpo")), rows=12, replaced="a finished run with other options ("),
    "two runs with other options in one --out": skipped(twice(opt("sft"), opt("sft", "--epochs", "2")), steps=2, replaced="(epochs)"),
    "a full disk at the first metrics": Case(opt("sft", "--batch-tokens", "32", "--epochs", "3"), "o: cannot be read or written (File too large)", 74, limit=1500),
    "a full disk at the reference cache": Case(opt("dpo"), "o: cannot be read or written (File too large)", 74, limit=1500),
    "a full disk at a checkpoint": Case(opt("sft", "--epochs", "3"), "checkpoint.pt.part: this checkpoint cannot be written", 70, limit=100_000),
    "a full disk at the model": Case(opt("sft"), "model.part: this folder cannot be written", 70, limit=100_001),
    "a full disk at the adapters": Case(opt("sft", "--lora", "2"), "adapter.part: this folder cannot be written", 70, limit=5_000),
    "a full disk at a reward model": Case(opt("reward"), "model.part", 70, limit=100_000),
}  # fmt: skip
