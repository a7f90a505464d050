"""The options of the direct preference family: one frozen record, its units and its ranges."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields

from trueline.errors import RunFileError


@dataclass(frozen=True, slots=True)
class PreferenceOptions:
    """What a loss may use; which of these it uses, and with which default, stands in the table of `preference`.

    beta: strength of the pull to the reference, or the scale of the implicit reward; orpo: lambda, the weight of its odds term.
    label_smoothing: share of flipped labels assumed, [0, 0.5). gamma: target margin between the implicit rewards.
    margin_weight: times a row's own `margin` is the offset that its pair must exceed (0: margins do not count).
    sft_weight: weight of the chosen reply's own negative log-likelihood per token.
    desirable_weight, undesirable_weight: weights of the two classes of kto. Raises `RunFileError` out of range."""

    beta: float = 1.0
    label_smoothing: float = 0.0
    gamma: float = 0.0
    margin_weight: float = 0.0
    sft_weight: float = 0.0
    desirable_weight: float = 1.0
    undesirable_weight: float = 1.0

    def __post_init__(self) -> None:
        for f in fields(self):
            value = getattr(self, f.name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                raise RunFileError(f"{f.name} must be a finite number, got {value!r:.40}", remedy=f"mend {f.name}")
            if f.name == "beta" and value <= 0:
                raise RunFileError(f"beta must be above 0, got {value}", remedy="leave it out for the usual value of the loss")
            if f.name == "label_smoothing" and not 0 <= value < 0.5:
                raise RunFileError(f"label_smoothing must lie in [0, 0.5), got {value}", remedy="0 turns it off")
            if value < 0:
                raise RunFileError(f"{f.name} must be at least 0, got {value}", remedy=f"mend {f.name}")


NAMES = tuple(f.name for f in fields(PreferenceOptions))


def chosen_options(
    loss: str, defaults: Mapping[str, float], given: Mapping[str, float | None], users: Mapping[str, list[str]]
) -> PreferenceOptions:
    """The options of one use of `loss`: its defaults, and over them what was `given` (None: not given).

    Raises `RunFileError` for an option that the loss does not use; `users` says which losses do."""
    named = {k: v for k, v in given.items() if v is not None}
    for name in named:
        if name not in NAMES:
            raise RunFileError(f"unknown option {name!r} of a loss, expected one of {', '.join(NAMES)}", remedy="mend its name")
        if name not in defaults:
            others = " or ".join(users.get(name, ()))
            raise RunFileError(f"{name} has no effect on {loss}", remedy=f"remove it, or use {others}" if others else "remove it")
    return PreferenceOptions(**{**defaults, **named})
