"""TRL's side of the policy losses, run in its own environment: `python theirs_policy.py FOLDER`. Nothing of Trueline is imported.

A case goes TRL's own way: `_generate_and_score_completions` with the weights `old` (only the generation itself gives the replies of
`groups.json`), whose advantages, old and reference log-probabilities are used, then `_compute_loss` with the weights `policy`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from measuring import measured, weights_of
from policy_cases import CASES, DIFFERENCES, PolicyCase
from transformers import AutoModelForCausalLM, AutoTokenizer, set_seed

Tensor = torch.Tensor
FOLDER = Path(sys.argv[1])
GIVEN = json.loads((FOLDER / "groups.json").read_text())
SIZE = len(GIVEN["groups"][0]["replies"])


def model_of(name: str) -> Any:
    return AutoModelForCausalLM.from_pretrained(FOLDER / name, dtype=torch.float32)


def trainer_of(kind: str, temperature: float) -> Any:
    """TRL's trainer on `policy` with the reference's weights; the temperature goes into its output layer when it is made."""
    from trl import GRPOConfig, GRPOTrainer, RLOOConfig, RLOOTrainer

    count = SIZE * len(GIVEN["groups"])
    make, config = {"grpo": (GRPOTrainer, GRPOConfig), "rloo": (RLOOTrainer, RLOOConfig)}[kind]
    given = config(
        output_dir=str(FOLDER / "trl"), report_to=[], use_cpu=True, bf16=False, gradient_checkpointing=False, disable_dropout=True,
        per_device_train_batch_size=count, num_generations=SIZE, max_completion_length=GIVEN["longest"], temperature=temperature,
        beta=0.04,  # so that there is a reference model; a case sets its own
        num_iterations=2,  # so that the log-probabilities by the weights that drew the replies are kept
    )  # fmt: skip
    prompts = Dataset.from_list([{"prompt": "a"}] * count)
    tokenizer = AutoTokenizer.from_pretrained(FOLDER / "policy")
    trainer = make(model=model_of("policy"), reward_funcs=lambda **_: [], args=given, train_dataset=prompts, processing_class=tokenizer)
    trainer.ref_model.load_state_dict(model_of("reference").state_dict())
    trainer.model.train()
    return trainer


def setting(trainer: Any, attributes: dict[str, Any]) -> None:
    """Sets what a case says; a name that TRL does not know is a mistake of ours."""
    for name, value in attributes.items():
        on, last = (trainer.args, name[5:]) if name.startswith("args.") else (trainer, name)
        assert hasattr(on, last), f"TRL has no {name}"
        setattr(on, last, value)


def scored(trainer: Any, kind: str, groups: list[dict[str, Any]]) -> dict[str, Tensor]:
    """What TRL learns from: its own scoring of these replies and rewards."""
    prompts = [g["prompt"] for g in groups for _ in g["replies"]]
    replies = [r for g in groups for r in g["replies"]]
    texts = [""] * len(replies)
    found = (prompts, replies, texts) if kind == "rloo" else (prompts, replies, None, texts, None, {}, None, [])
    trainer._generate = lambda _: found
    rewards = [x for g in groups for x in g["rewards"]]
    trainer.reward_funcs = [lambda **_: rewards]
    return dict(trainer._generate_and_score_completions([{"prompt": "a"} for _ in replies]))


def theirs(trainer: Any, case: PolicyCase, weights: dict[str, Any]) -> dict[str, Tensor]:
    """All figures of a case that have a meaning there."""
    assert case.theirs is not None
    kind, attributes = case.theirs
    trainer.args.steps_per_generation, trainer.current_gradient_accumulation_steps = case.parts, case.parts
    setting(trainer, attributes)
    drawn = [GIVEN["groups"][i] for i in (case.trl_groups or case.groups or range(len(GIVEN["groups"])))]
    trainer.model.load_state_dict(weights["policy" if case.on_policy else "old"])
    inputs = scored(trainer, kind, drawn)
    trainer.model.load_state_dict(weights["policy"])
    rows = [i for i in range(len(inputs["advantages"])) if case.step is None or i // SIZE in case.step]
    # dapo's normaliser is that of the step, so one reply alone is its part of the step
    scale = len(rows) if attributes.get("loss_type") == "dapo" else case.parts

    def loss(index: list[int]) -> Tensor:
        part = {k: v[index] if v.dim() else v for k, v in inputs.items()}
        found = trainer._compute_loss(trainer.model, part)
        assert isinstance(found, Tensor)
        return found

    def whole() -> Tensor:
        each = len(rows) // case.parts
        return torch.stack([loss(rows[k * each : (k + 1) * each]) for k in range(case.parts)]).sum()

    count = len(rows) if "values" in case.trl else 0
    found = measured(lambda i: loss([rows[i]]) * scale, whole, count, weights_of(trainer.model))
    return {k: v for k, v in {**found, "advantages": inputs["advantages"][rows]}.items() if k in case.trl}


def main() -> None:
    """All cases and the known differences."""
    set_seed(0)
    weights = {name: model_of(name).state_dict() for name in ("policy", "old")}
    made: dict[tuple[str, float], Any] = {}
    out: dict[str, dict[str, Any]] = {"cases": {}, "differences": {}}
    for name, cases in (("cases", CASES), ("differences", DIFFERENCES)):
        for case in cases:
            if case.theirs is None:
                continue
            key = (case.theirs[0], case.temperature)
            if key not in made:
                made[key] = trainer_of(*key)
            out[name][case.name] = theirs(made[key], case, weights)
    torch.save(out, FOLDER / "theirs_policy.pt")


if __name__ == "__main__":
    main()
