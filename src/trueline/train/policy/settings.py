"""What a run of reinforcement learning may be told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from trueline.algos.losses.policy_variants import METHODS, PolicyOptions, Variant, variant
from trueline.errors import RunFileError

SAMPLES = {"grpo": 8, "rloo": 4, "ppo": 1}


@dataclass(frozen=True, slots=True)
class PolicySettings:
    """method: grpo, rloo or ppo; variant: a name of `algos.losses.policy.VARIANTS`, None for the usual one; options: of the variant.

    steps: rollouts; prompts: of a rollout; samples: replies to each, None for the usual number of the method; max_new_tokens: of a reply;
    temperature: of the sampling, above 0; epochs: passes over a rollout; minibatches: optimiser steps of a pass; batch_tokens: padded
    tokens computed at once (gradients are gathered, the step is the same); lr: after `warmup` (share of the steps) constant; value_lr: of
    the value model (ppo), None for lr; kl_target: KL in nats a reply that the penalty is steered to, over `horizon` replies; kl_budget: KL
    in nats a reply that stops the run; measure_every: rollouts between measurements on held-out prompts; replies_a_row: how many share their prompt's row in the update, None:
    the fastest, measured once; precision: as elsewhere.

    Raises `RunFileError` for an unknown name, an option without effect, a number out of range."""

    method: str
    variant: str | None = None
    options: Mapping[str, float | None] = field(default_factory=dict)
    steps: int = 100
    prompts: int = 8
    samples: int | None = None
    max_new_tokens: int = 64
    temperature: float = 1.0
    epochs: int = 1
    minibatches: int = 1
    batch_tokens: int = 16384
    lr: float = 1e-5
    warmup: float = 0.0
    value_lr: float | None = None
    kl_target: float | None = None
    horizon: float = 10_000
    kl_budget: float | None = 10.0
    measure_every: int = 10
    replies_a_row: int | None = None
    seed: int = 0
    precision: str = "auto"

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise RunFileError(f"unknown method {self.method!r}, expected one of {', '.join(METHODS)}", remedy="choose one of these")
        _, _, options = self.chosen()
        least = {"steps": 1, "prompts": 1, "max_new_tokens": 1, "epochs": 1, "minibatches": 1, "batch_tokens": 1, "measure_every": 1}
        for name, bound in least.items():
            if getattr(self, name) < bound:
                raise RunFileError(f"{name} must be at least {bound}, got {getattr(self, name)}", remedy=f"mend {name}")
        for name in ("temperature", "lr", "value_lr", "kl_target", "horizon", "kl_budget"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise RunFileError(f"{name} must be finite and above 0, got {value}", remedy=f"mend {name}")
        if not 0.01 <= self.temperature <= 10:
            what = f"temperature must be from 0.01 to 10, got {self.temperature}: beyond, replies are all alike or all noise"
            raise RunFileError(what, remedy="1 draws by the model's own probabilities")
        if not 0 <= self.warmup < 1:
            raise RunFileError(f"warmup must lie in [0, 1), got {self.warmup}", remedy="it is a share of the steps")
        if self.method != "ppo" and self.group < 2:
            what = f"samples is {self.group}: a reply is compared with others to its prompt, expected at least 2"
            raise RunFileError(what, remedy="raise samples, or use ppo")
        if self.minibatches > self.prompts:
            what = f"{self.minibatches} minibatches of {self.prompts} prompts, expected at most one a prompt"
            raise RunFileError(what, remedy="lower minibatches or raise prompts")
        if self.replies_a_row is not None and not 1 <= self.replies_a_row <= self.group:
            what = f"replies_a_row is {self.replies_a_row}, expected 1 to the {self.group} samples of a prompt"
            raise RunFileError(what, remedy="leave it out to have it measured")
        if self.value_lr is not None and self.method != "ppo":
            raise RunFileError(f"value_lr has no effect on {self.method}", remedy="remove it, or use ppo")
        if self.kl_target is not None and not options.kl_weight:
            raise RunFileError("kl_target steers kl_weight, which is 0", remedy="give kl_weight above 0 to start from, or remove kl_target")

    def chosen(self) -> tuple[str, Variant, PolicyOptions]:
        """(name of the variant, the variant, its options)."""
        return variant(self.method, self.variant, self.options)

    @property
    def group(self) -> int:
        """Replies to each prompt."""
        return SAMPLES[self.method] if self.samples is None else self.samples
