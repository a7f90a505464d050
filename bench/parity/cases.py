"""What is compared: one row a case. Plain data, read by both processes; imports nothing but the standard library.

`ours`: loss and options in Trueline. `theirs`: how TRL 1.16 computes the same, or None where it does not; trainer, the attributes
set on it, and which part. Each example is one call of TRL's own loss with a batch of that example alone, so that the mean that
it returns is the example's value.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

NAMES = ("values", "gradients", "mean", "mean_gradient")


@dataclass(frozen=True)
class Case:
    """name; ours = (loss, options); theirs = (trainer, attributes) or None; margins: the rows' margins count; part: "odds" where
    only the odds-ratio term is compared; mean: whether TRL's mean over a batch is the mean of its examples; why: of a difference."""

    name: str
    ours: tuple[str, dict[str, float]]
    theirs: tuple[str, dict[str, Any]] | None
    margins: bool = False
    part: str = ""
    mean: bool = True
    why: str = ""

    @property
    def paper(self) -> tuple[str, ...]:
        """The figures compared with the formula."""
        return NAMES

    @property
    def trl(self) -> tuple[str, ...]:
        """The figures compared with TRL."""
        return NAMES if self.mean else NAMES[:2]


def _dpo(kind: str, beta: float, smoothing: float = 0.0, weights: list[float] | None = None) -> tuple[str, dict[str, Any]]:
    kinds = kind.split("+")
    return "dpo", {"loss_types": kinds, "loss_weights": weights or [1.0] * len(kinds), "beta": beta, "label_smoothing": smoothing}


def _cpo(kind: str, beta: float, alpha: float, gamma: float = 0.0, smoothing: float = 0.0) -> tuple[str, dict[str, Any]]:
    return "cpo", {"loss_type": kind, "beta": beta, "cpo_alpha": alpha, "simpo_gamma": gamma, "label_smoothing": smoothing}


CASES = [
    Case("dpo", ("dpo", {"beta": 0.1}), _dpo("sigmoid", 0.1)),
    # TRL's sigmoid ignores label_smoothing; its aot sorts a batch and, on one pair, is conservative DPO
    Case("dpo, label_smoothing 0.1", ("dpo", {"beta": 0.1, "label_smoothing": 0.1}), _dpo("aot", 0.1, 0.1), mean=False),
    Case("dpo, sft_weight 0.5", ("dpo", {"beta": 0.1, "sft_weight": 0.5}), _dpo("sigmoid+sft", 0.1, weights=[1.0, 0.5]), mean=False),
    Case("dpo, margin_weight 0.7", ("dpo", {"beta": 0.1, "margin_weight": 0.7}), None, margins=True),
    Case("dpo_norm", ("dpo_norm", {"beta": 5.0}), _dpo("sigmoid_norm", 5.0)),
    Case("ipo", ("ipo", {"beta": 0.1}), None),
    Case("ipo_norm", ("ipo_norm", {"beta": 0.5}), _dpo("ipo", 0.5)),
    Case("hinge", ("hinge", {"beta": 0.1}), _dpo("hinge", 0.1)),
    Case("robust", ("robust", {"beta": 0.1, "label_smoothing": 0.2}), _dpo("robust", 0.1, 0.2)),
    Case("exo", ("exo", {"beta": 0.1, "label_smoothing": 0.01}), _dpo("exo_pair", 0.1, 0.01)),
    Case("nca", ("nca", {"beta": 0.1}), _dpo("nca_pair", 0.1)),
    Case("bco", ("bco", {"beta": 0.1}), _dpo("bco_pair", 0.1)),
    Case("sppo", ("sppo", {"beta": 0.1}), _dpo("sppo_hard", 0.1)),
    Case("apo_zero", ("apo_zero", {"beta": 0.1}), _dpo("apo_zero", 0.1)),
    Case("apo_down", ("apo_down", {"beta": 0.1}), _dpo("apo_down", 0.1)),
    Case("discopop", ("discopop", {"beta": 0.05}), _dpo("discopop", 0.05)),
    Case("cpo", ("cpo", {"beta": 0.1}), _cpo("sigmoid", 0.1, 1.0), mean=False),
    Case("cpo, label_smoothing 0.1", ("cpo", {"beta": 0.1, "label_smoothing": 0.1}), _cpo("sigmoid", 0.1, 1.0, smoothing=0.1), mean=False),
    Case("simpo", ("simpo", {"beta": 2.0, "gamma": 1.0}), _cpo("simpo", 2.0, 0.0, 1.0)),
    Case("simpo, label_smoothing 0.1", ("simpo", {"beta": 2.0, "gamma": 1.0, "label_smoothing": 0.1}), _cpo("simpo", 2.0, 0.0, 1.0, 0.1)),
    Case("simpo, sft_weight 1", ("simpo", {"beta": 2.0, "gamma": 1.0, "sft_weight": 1.0}), _cpo("simpo", 2.0, 1.0, 1.0), mean=False),
    Case("orpo", ("orpo", {"beta": 0.1}), None),
    Case("orpo, odds-ratio term", ("orpo", {"beta": 0.1}), ("orpo", {"beta": 0.1}), part="odds", mean=False),
    Case("kto", ("kto", {"beta": 0.1, "desirable_weight": 1.3, "undesirable_weight": 0.7}),
         ("kto", {"loss_type": "kto", "beta": 0.1, "desirable_weight": 1.3, "undesirable_weight": 0.7, "calculate_KL": True})),
    Case("apo_zero_unpaired", ("apo_zero_unpaired", {"beta": 0.1}),
         ("kto", {"loss_type": "apo_zero_unpaired", "beta": 0.1, "desirable_weight": 1.0, "undesirable_weight": 1.0, "calculate_KL": False})),
]  # fmt: skip
# What TRL computes under the same name where the paper, and we, mean something else: shown as differences, never as failures.
DIFFERENCES = [
    Case("dpo, label_smoothing 0.1", ("dpo", {"beta": 0.1, "label_smoothing": 0.1}), _dpo("sigmoid", 0.1, 0.1),
         why="DPOTrainer ignores label_smoothing with loss_type sigmoid: plain DPO is trained and nothing is said"),
    Case("dpo, sft_weight 0.5", ("dpo", {"beta": 0.1, "sft_weight": 0.5}), _dpo("sigmoid+sft", 0.1, weights=[1.0, 0.5]),
         why="TRL's sft term is the mean over the tokens of the batch, ours the mean over pairs of the mean over tokens; one pair agrees"),
    Case("ipo", ("ipo", {"beta": 0.1}), _dpo("ipo", 0.1), why="TRL's ipo averages log-ratios over tokens: our ipo_norm; eq. 17 has the sums"),
    Case("simpo", ("simpo", {"beta": 2.0, "gamma": 1.0}), _cpo("simpo", 2.0, 1.0, 1.0),
         why="CPOTrainer's default cpo_alpha 1 adds the chosen reply's likelihood to SimPO: our sft_weight 1; the paper has no such term"),
    Case("orpo", ("orpo", {"beta": 0.1}), ("orpo", {"beta": 0.1}),
         why="TRL's supervised term covers the prompt's tokens too and is a mean over the batch's tokens; the paper's is of the reply"),
    Case("cpo", ("cpo", {"beta": 0.1}), _cpo("sigmoid", 0.1, 1.0),
         why="TRL's likelihood term is the mean over the tokens of the batch, ours the mean over pairs of the mean over tokens; one pair agrees"),
]  # fmt: skip
