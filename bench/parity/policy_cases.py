"""Which policy losses are compared: one row a case. Plain data, read by both processes; imports nothing but the standard library.

`ours`: variant and options in Trueline. `theirs`: TRL 1.16's trainer, the attributes set on it ("args." before those of its arguments), or
None where TRL has no such loss (PPO). `formula`: the name in `paper_policy.FORMULAS`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class PolicyCase:
    """groups: those that are drawn (None: all), and by TRL where it is given others; step: those of the optimiser step where it is not all that was drawn; parts: micro-batches of
    TRL's step; on_policy: drawn by the very weights; of: policy or value loss; paper: figures compared with the formula; trl: with TRL
    (values have no meaning where a loss is normalised by its micro-batch); why: of a difference."""

    name: str
    ours: tuple[str, dict[str, float]]
    theirs: tuple[str, dict[str, Any]] | None
    formula: str
    groups: tuple[int, ...] | None = None
    trl_groups: tuple[int, ...] | None = None
    step: tuple[int, ...] | None = None
    parts: int = 1
    on_policy: bool = False
    temperature: float = 1.0
    of: str = "policy"
    paper: tuple[str, ...] = ("advantages", "values", "gradients", "mean", "mean_gradient")
    trl: tuple[str, ...] = ("advantages", "values", "gradients", "mean", "mean_gradient")
    why: str = ""


def _grpo(
    loss: str,
    beta: float,
    scale: str = "group",
    level: str = "token",
    low: float = 0.2,
    high: float = 0.2,
    more: dict[str, Any] | None = None,
) -> tuple[str, dict[str, Any]]:
    plain = {"args.use_bias_correction_kl": False}  # eq. 3 as printed; True is TRL's default, a difference below
    settings = {
        **plain,
        "loss_type": loss,
        "beta": beta,
        "scale_rewards": scale,
        "importance_sampling_level": level,
        "epsilon_low": low,
        "epsilon_high": high,
    }
    return "grpo", {**settings, **(more or {})}


def _rloo(beta: float) -> tuple[str, dict[str, Any]]:
    return "rloo", {"beta": beta, "epsilon_low": 0.2, "epsilon_high": 0.2, "normalize_advantages": False}


def _dapo(kl: float, drop: float = 0.0) -> tuple[str, dict[str, float]]:
    return "dapo", {"kl_weight": kl, "drop_equal": drop}


UNEQUAL = (0, 1, 3, 4, 5)  # the groups whose rewards differ
MEANS = ("mean", "mean_gradient")
CASES = [
    PolicyCase("grpo", ("grpo", {"kl_weight": 0.04}), _grpo("grpo", 0.04), "grpo"),
    PolicyCase("grpo, no penalty", ("grpo", {"kl_weight": 0.0}), _grpo("grpo", 0.0), "grpo"),
    PolicyCase("grpo, two clips", ("grpo", {"kl_weight": 0.04, "clip_low": 0.1, "clip_high": 0.3}),
               _grpo("grpo", 0.04, low=0.1, high=0.3), "grpo"),
    PolicyCase("grpo, on policy", ("grpo", {"kl_weight": 0.04}), _grpo("grpo", 0.04), "grpo", on_policy=True),
    PolicyCase("grpo, temperature 0.7", ("grpo", {"kl_weight": 0.04}), _grpo("grpo", 0.04), "grpo", temperature=0.7),
    PolicyCase("grpo, two micro-batches", ("grpo", {"kl_weight": 0.04}), _grpo("grpo", 0.04), "grpo", parts=2),
    PolicyCase("dr_grpo", ("dr_grpo", {"kl_weight": 0.0}), _grpo("dr_grpo", 0.0, "none"), "dr_grpo"),
    PolicyCase("dr_grpo, kl_weight 0.04", ("dr_grpo", {"kl_weight": 0.04}), _grpo("dr_grpo", 0.04, "none"), "dr_grpo"),
    PolicyCase("dapo", _dapo(0.0), _grpo("dapo", 0.0, high=0.28), "dapo"),
    PolicyCase("dapo, kl_weight 0.04", _dapo(0.04), _grpo("dapo", 0.04, high=0.28), "dapo"),
    PolicyCase("dapo, two micro-batches", _dapo(0.0), _grpo("dapo", 0.0, high=0.28), "dapo", parts=2),
    # TRL is given the groups that are left; ours drops the group of equal rewards by itself
    PolicyCase("dapo, drop_equal 1", _dapo(0.0, 1.0), _grpo("dapo", 0.0, high=0.28), "dapo", trl_groups=UNEQUAL),
    # eq. 8 as printed has one question
    PolicyCase("dapo, one group", _dapo(0.0), _grpo("dapo", 0.0, high=0.28), "dapo, eq. 8", groups=(4,)),
    # TRL's bnpo is a mean over the micro-batch's tokens: with a single one the same
    PolicyCase("dapo as bnpo", _dapo(0.0), _grpo("bnpo", 0.0, high=0.28), "dapo", trl=("advantages", *MEANS)),
    PolicyCase("gspo", ("gspo", {"kl_weight": 0.0}), _grpo("grpo", 0.0, level="sequence", low=3e-4, high=4e-4), "gspo"),
    PolicyCase("gspo, clips 0.03 and 0.04, kl_weight 0.04", ("gspo", {"kl_weight": 0.04, "clip_low": 0.03, "clip_high": 0.04}),
               _grpo("grpo", 0.04, level="sequence", low=0.03, high=0.04), "gspo"),
    PolicyCase("rloo", ("rloo", {"kl_weight": 0.05}), _rloo(0.05), "rloo"),
    PolicyCase("rloo, no penalty", ("rloo", {"kl_weight": 0.0}), _rloo(0.0), "rloo"),
    # the paper's own estimator, -advantage x log-probability: its value is another, its gradient is the same at ratio 1
    PolicyCase("rloo, on policy", ("rloo", {"kl_weight": 0.05}), _rloo(0.05), "rloo, REINFORCE", on_policy=True,
               paper=("advantages", "gradients", "mean_gradient")),
    PolicyCase("ppo", ("ppo", {}), None, "ppo"),
    PolicyCase("ppo, gamma 0.9, lam 0.8, no penalty", ("ppo", {"gamma": 0.9, "lam": 0.8, "kl_weight": 0.0}), None, "ppo"),
    PolicyCase("ppo, temperature 0.7", ("ppo", {}), None, "ppo", temperature=0.7),
    PolicyCase("ppo, value", ("ppo", {}), None, "ppo value", of="value"),
    PolicyCase("ppo, value, gamma 0.9, lam 0.8, value_clip 0.05", ("ppo", {"gamma": 0.9, "lam": 0.8, "value_clip": 0.05}), None, "ppo value",
               of="value"),
]  # fmt: skip
# What TRL or a paper means by the same name where we mean something else: shown, never counted as agreement or failure.
DIFFERENCES = [
    PolicyCase("grpo, no constant", ("grpo", {"kl_weight": 0.04}), None, "grpo, no constant", groups=UNEQUAL,
               why="the paper divides by the standard deviation alone; we and TRL by it plus 1e-4, which shrinks a group of nearly equal rewards"),
    PolicyCase("dapo, eq. 8 over several groups", _dapo(0.0), None, "dapo, eq. 8",
               why="eq. 8 as printed normalises each question's replies by their own tokens; ours and TRL's dapo by those of the whole step"),
    PolicyCase("dapo, equal groups", _dapo(0.0, 1.0), _grpo("dapo", 0.0, high=0.28), "dapo", trl=MEANS,
               why="drop_equal 1 takes groups of equal reward out of the step, tokens counted; TRL has no dynamic sampling and counts their tokens"),
    PolicyCase("dapo, two steps a rollout", _dapo(0.0), _grpo("dapo", 0.0, high=0.28, more={"args.steps_per_generation": 2}), "dapo", step=(0, 1, 2),
               trl=MEANS, why="TRL normalises a step by the tokens of the rollout over its steps; ours by the step's own tokens, as eq. 8"),
    PolicyCase("dapo as bnpo, two micro-batches", _dapo(0.0), _grpo("bnpo", 0.0, high=0.28), "dapo", parts=2, trl=MEANS,
               why="TRL's bnpo is a mean over each micro-batch's tokens, so the loss depends on the cut; ours does not"),
    PolicyCase("grpo, TRL's corrected penalty", ("grpo", {"kl_weight": 0.04}), _grpo("grpo", 0.04, more={"args.use_bias_correction_kl": True}), "grpo",
               on_policy=True, trl=MEANS,
               why="use_bias_correction_kl, on by default, multiplies the penalty by the ratio (2512.02556): another gradient even on policy"),
    PolicyCase("grpo, TRL's default loss", ("grpo", {"kl_weight": 0.04}), _grpo("dapo", 0.0), "grpo", trl=MEANS,
               why="GRPOTrainer's defaults are loss_type dapo and beta 0; `grpo` here is eq. 3 with the paper's beta 0.04"),
]  # fmt: skip
