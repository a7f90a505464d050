"""The variants of reinforcement learning: one table from a name to what it is made of, and its options. No tensors here, so that the command
line can name them without loading torch; the pieces stand in `policy` and `advantages`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from trueline.errors import RunFileError


@dataclass(frozen=True, slots=True)
class Variant:
    """advantage: a name in `advantages.OF_GROUPS`, or gae; ratio: in `RATIOS`; reduce: see `shares`; kl_in: the penalty's place, loss or
    reward; defaults: the options it uses, with their usual values; source: paper and equation."""

    advantage: str
    ratio: str
    reduce: str
    kl_in: str
    defaults: Mapping[str, float]
    source: str


_CLIP = {"clip_low": 0.2, "clip_high": 0.2}
VARIANTS: dict[str, Variant] = {
    "grpo": Variant("standardised", "token", "reply", "loss", {"kl_weight": 0.04, **_CLIP}, "2402.03300 eq. 3"),
    "dr_grpo": Variant("centred", "token", "constant", "loss", {"kl_weight": 0.0, **_CLIP}, "2503.20783 section 3.2"),
    "dapo": Variant("standardised", "token", "token", "loss", {"kl_weight": 0.0, "clip_low": 0.2, "clip_high": 0.28, "drop_equal": 1.0},
                    "2503.14476 eq. 8"),
    "gspo": Variant("standardised", "mean", "reply", "loss", {"kl_weight": 0.0, "clip_low": 3e-4, "clip_high": 4e-4}, "2507.18071 eq. 5"),
    "rloo": Variant("leave_one_out", "reply", "reply", "reward", {"kl_weight": 0.05, **_CLIP}, "2402.14740 section 3"),
    "ppo": Variant("gae", "token", "token", "reward",
                   {"kl_weight": 0.05, **_CLIP, "value_clip": 0.2, "gamma": 1.0, "lam": 0.95},
                   "1707.06347 eq. 7 and 9; penalty as in 2203.02155"),
}  # fmt: skip
METHODS: dict[str, tuple[str, ...]] = {"grpo": ("grpo", "dr_grpo", "dapo", "gspo"), "rloo": ("rloo",), "ppo": ("ppo",)}
"""Method -> its variants, the usual one first."""


@dataclass(frozen=True, slots=True)
class PolicyOptions:
    """What a variant may use. kl_weight: beta, of the KL to the reference per token; clip_low, clip_high: how far a ratio may count below and
    above 1; drop_equal: 1 leaves groups of equal reward out of the step; value_clip: how far the value may move in one update; gamma, lam: of
    `gae`. Raises `RunFileError` out of range."""

    kl_weight: float = 0.0
    clip_low: float = 0.2
    clip_high: float = 0.2
    drop_equal: float = 0.0
    value_clip: float = 0.2
    gamma: float = 1.0
    lam: float = 0.95

    def __post_init__(self) -> None:
        bounds = {"clip_low": 1.0, "gamma": 1.0, "lam": 1.0, "drop_equal": 1.0}
        for name in OPTIONS:
            value, top = getattr(self, name), bounds.get(name, float("inf"))
            if not 0 <= value <= top or value == float("inf"):
                raise RunFileError(f"{name} must lie in [0, {top}], got {value}", remedy=f"mend {name}")
        if self.drop_equal not in (0, 1):
            raise RunFileError(f"drop_equal must be 0 or 1, got {self.drop_equal}", remedy="mend drop_equal")


OPTIONS = tuple(PolicyOptions.__dataclass_fields__)


def variant(method: str, name: str | None, given: Mapping[str, float | None] | None = None) -> tuple[str, Variant, PolicyOptions]:
    """(name, variant, its options) of a method; `given`: options by name, None where not given. Raises `RunFileError` for an unknown name or
    an option without effect."""
    names = METHODS[method]
    chosen = name or names[0]
    if chosen not in names:
        raise RunFileError(f"unknown variant {chosen!r} of {method}, expected one of {', '.join(names)}", remedy="choose one of these")
    found = VARIANTS[chosen]
    named = {k: v for k, v in (given or {}).items() if v is not None}
    for option in named:
        if option not in OPTIONS:
            raise RunFileError(f"unknown option {option!r}, expected one of {', '.join(OPTIONS)}", remedy="mend its name")
        if option not in found.defaults:
            users = " or ".join(n for n, v in VARIANTS.items() if option in v.defaults)
            raise RunFileError(f"{option} has no effect on {chosen}", remedy=f"remove it, or use {users}")
    return chosen, found, PolicyOptions(**{**found.defaults, **named})
