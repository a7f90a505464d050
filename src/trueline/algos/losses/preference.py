"""The direct preference family: one table from a name to a pure loss, with what it uses and where it is from.

`paired(name, options)` and `unpaired(name, options)` give an objective: completions in, one loss a pair (or completion) out;
the caller weighs and reduces. An option that the loss does not use is an error, as is a missing reference or length.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from trueline.algos.losses import paired as pairs
from trueline.algos.losses import unpaired as singles
from trueline.algos.losses.options import NAMES, PreferenceOptions, chosen_options
from trueline.errors import RunFileError, TrainingError

Tensor = torch.Tensor


@dataclass(frozen=True, slots=True)
class Completions:
    """logps: (n,) sums of token log-probabilities in nats; reference: the same of the reference model; tokens: (n,) counts."""

    logps: Tensor
    reference: Tensor | None = None
    tokens: Tensor | None = None


@dataclass(frozen=True, slots=True)
class PairedLoss:
    """of: the formula on scores; defaults: the options it uses, with their usual values; reference: scores are over a reference's;
    per_token: scores are means over tokens, not sums; above_zero: options that may not be 0; formula and source in words,
    c and r being the scores, e label_smoothing, m the row's margin times margin_weight."""

    of: Callable[[Tensor, Tensor, PreferenceOptions, pairs.Offset], Tensor]
    defaults: Mapping[str, float]
    reference: bool
    per_token: bool
    formula: str
    source: str
    above_zero: tuple[str, ...] = ()
    paired = True

    @property
    def lengths(self) -> bool:
        """Whether the loss, as it is by default, needs the lengths of the completions."""
        return self.per_token or self.defaults.get("sft_weight", 0.0) > 0


@dataclass(frozen=True, slots=True)
class UnpairedLoss:
    """As `PairedLoss`; baseline: whether the loss subtracts the estimate of the divergence from mismatched completions."""

    of: Callable[[Tensor, Tensor, PreferenceOptions, Tensor | float], Tensor]
    defaults: Mapping[str, float]
    baseline: bool
    formula: str
    source: str
    reference = True
    per_token = False
    lengths = False
    above_zero = ()
    paired = False


_SFT = {"sft_weight": 0.0}
_BETA = {"beta": 0.1}
_CLASSES = {"beta": 0.1, "desirable_weight": 1.0, "undesirable_weight": 1.0}
_SMOOTH = {"label_smoothing": 0.0}

LOSSES: dict[str, PairedLoss | UnpairedLoss] = {
    "dpo": PairedLoss(pairs.logistic, {**_BETA, **_SMOOTH, "margin_weight": 0.0, **_SFT}, True, False,
                      "-(1 - e) log σ(z) - e log σ(-z), z = beta (c - r) - m", "2305.18290 eq. 7; e > 0: cDPO; m > 0: ODPO, 2402.10571"),
    "dpo_norm": PairedLoss(pairs.logistic, {"beta": 5.0, "margin_weight": 0.0, **_SFT}, True, True,
                           "-log σ(beta (c - r) - m)", "Tulu 3, 2411.15124 section 5.1"),
    "ipo": PairedLoss(pairs.squared, {**_BETA, **_SFT}, True, False, "(c - r - 1 / (2 beta))²", "2310.12036 eq. 17"),
    "ipo_norm": PairedLoss(pairs.squared, {**_BETA, **_SFT}, True, True,
                           "(c - r - 1 / (2 beta))²", "2310.12036 eq. 17, scores per token as in its authors' experiments"),
    "hinge": PairedLoss(pairs.hinge, {**_BETA, **_SFT}, True, False, "max(0, 1 - beta (c - r))", "SLiC-HF, 2305.10425"),
    "robust": PairedLoss(pairs.robust, {**_BETA, "label_smoothing": 0.1, **_SFT}, True, False,
                         "(-(1 - e) log σ(z) + e log σ(-z)) / (1 - 2 e), z = beta (c - r)", "2403.00409 eq. 12"),
    "exo": PairedLoss(pairs.exo, {**_BETA, "label_smoothing": 0.001, **_SFT}, True, False,
                      "KL((σ(z), σ(-z)) ‖ (1 - e, e)), z = beta (c - r)", "2402.00856 eq. 16", ("label_smoothing",)),
    "nca": PairedLoss(pairs.nca, {**_BETA, **_SFT}, True, False,
                      "-log σ(beta c) - ½ log σ(-beta c) - ½ log σ(-beta r)", "2402.05369"),
    "bco": PairedLoss(pairs.bco, {**_BETA, **_SFT}, True, False, "-log σ(beta c) - log σ(-beta r)", "2404.04656, without reward shift"),
    "sppo": PairedLoss(pairs.sppo, {**_BETA, **_SFT}, True, False,
                       "(c - 1 / (2 beta))² + (r + 1 / (2 beta))²", "2405.00675 eq. 4.7, hard labels"),
    "apo_zero": PairedLoss(pairs.apo_zero, {**_BETA, **_SFT}, True, False, "σ(-beta c) + σ(beta r)", "2408.06266 eq. 7"),
    "apo_down": PairedLoss(pairs.apo_down, {**_BETA, **_SFT}, True, False, "σ(beta c) + σ(beta (r - c))", "2408.06266 eq. 8"),
    "discopop": PairedLoss(pairs.discopop, {**_BETA, **_SFT}, True, False,
                           "(1 - w) (-log σ(z)) + w exp(-z), z = beta (c - r), w = σ(z / 0.05)", "2406.08414 eq. 5"),
    "simpo": PairedLoss(pairs.logistic, {"beta": 2.0, "gamma": 1.0, **_SMOOTH, "margin_weight": 0.0, **_SFT}, False, True,
                        "-(1 - e) log σ(z) - e log σ(-z), z = beta (c - r) - gamma - m", "2405.14734 eq. 6"),
    "cpo": PairedLoss(pairs.logistic, {**_BETA, **_SMOOTH, "sft_weight": 1.0}, False, False,
                      "-(1 - e) log σ(z) - e log σ(-z) + sft_weight NLL, z = beta (c - r)", "2401.08417, NLL per token as in its authors' code"),
    "orpo": PairedLoss(pairs.odds_ratio, _BETA, False, True,
                       "-c - beta log σ(odds(c) - odds(r)), odds(s) = s - log(1 - exp s)", "2403.07691 eq. 6 and 7"),
    "kto": UnpairedLoss(singles.kto, _CLASSES, True,
                        "desirable: w_d (1 - σ(beta (s - z0))); undesirable: w_u (1 - σ(beta (z0 - s)))", "2402.01306 section 4.1"),
    "apo_zero_unpaired": UnpairedLoss(singles.apo_zero_unpaired, _CLASSES, False,
                                      "desirable: w_d σ(-beta s); undesirable: w_u σ(beta s)", "2408.06266 eq. 7, one completion"),
}  # fmt: skip
PAIRED = tuple(name for name, loss in LOSSES.items() if loss.paired)
UNPAIRED = tuple(name for name, loss in LOSSES.items() if not loss.paired)


def _missing(name: str, what: str, remedy: str) -> TrainingError:
    return TrainingError(f"{name} needs {what}, got none", remedy=remedy)


@dataclass(frozen=True, slots=True)
class PairedObjective:
    """A paired loss with its options."""

    name: str
    loss: PairedLoss
    options: PreferenceOptions

    @property
    def reference(self) -> bool:
        """Whether log-probabilities of a reference are needed."""
        return self.loss.reference

    def scores(self, side: Completions) -> Tensor:
        """The scores that the formula reads, (pairs,). Raises `TrainingError` where the reference or the lengths are missing."""
        out = side.logps
        if self.loss.reference:
            if side.reference is None:
                raise _missing(self.name, "log-probabilities of a reference", "pass Completions.reference")
            out = out - side.reference
        return out / self._tokens(side) if self.loss.per_token else out

    def _tokens(self, side: Completions) -> Tensor:
        if side.tokens is None:
            raise _missing(self.name, "lengths of the completions", "pass Completions.tokens")
        return side.tokens

    def rewards(self, side: Completions) -> Tensor:
        """The implicit rewards beta times the scores, (pairs,), without gradient."""
        return self.options.beta * self.scores(side).detach()

    def __call__(self, chosen: Completions, rejected: Completions, margins: Tensor | None = None) -> Tensor:
        """One loss a pair, (pairs,). `margins`: (pairs,), by how much chosen is better; times margin_weight it is the offset."""
        if margins is not None and not self.options.margin_weight:
            raise RunFileError(f"margins have no effect on {self.name} without margin_weight", remedy="pass none, or set margin_weight")
        offset = 0.0 if margins is None else self.options.margin_weight * margins
        out = self.loss.of(self.scores(chosen), self.scores(rejected), self.options, offset)
        return out - self.options.sft_weight * chosen.logps / self._tokens(chosen) if self.options.sft_weight else out


@dataclass(frozen=True, slots=True)
class UnpairedObjective:
    """An unpaired loss with its options."""

    name: str
    loss: UnpairedLoss
    options: PreferenceOptions

    def __call__(self, rows: Completions, desirable: Tensor, baseline: Tensor | float = 0.0) -> Tensor:
        """One loss a completion, (rows,); desirable: (rows,) bool; baseline: z0 of `kl_baseline`."""
        if rows.reference is None:
            raise _missing(self.name, "log-probabilities of a reference", "pass Completions.reference")
        return self.loss.of(rows.logps - rows.reference, desirable, self.options, baseline)


def _found(name: str, names: tuple[str, ...], given: Mapping[str, float | None]) -> PreferenceOptions:
    if name not in names:
        other = {"paired": "trueline train dpo", "unpaired": "trueline train kto"}
        known = name in LOSSES
        remedy = f"{name} is a loss of `{other['paired' if name in PAIRED else 'unpaired']}`" if known else "mend the loss"
        raise RunFileError(f"unknown loss {name!r}, expected one of {', '.join(names)}", remedy=remedy)
    users = {option: [n for n in names if option in LOSSES[n].defaults] for option in NAMES}
    options = chosen_options(name, LOSSES[name].defaults, given, users)
    for option in LOSSES[name].above_zero:
        if getattr(options, option) == 0:
            raise RunFileError(f"{option} of {name} must be above 0, got 0", remedy="leave it out for its usual value")
    return options


def paired(name: str, given: Mapping[str, float | None] | None = None) -> PairedObjective:
    """The paired loss by name; `given`: options by name, None where not given. Raises `RunFileError` for an unknown name or an
    option without effect."""
    options, loss = _found(name, PAIRED, given or {}), LOSSES[name]
    assert isinstance(loss, PairedLoss)
    return PairedObjective(name, loss, options)


def unpaired(name: str, given: Mapping[str, float | None] | None = None) -> UnpairedObjective:
    """The unpaired loss by name; as `paired`."""
    options, loss = _found(name, UNPAIRED, given or {}), LOSSES[name]
    assert isinstance(loss, UnpairedLoss)
    return UnpairedObjective(name, loss, options)
