"""Which losses of reward models and of supervised fine-tuning are compared: one row a case. Imports nothing but the standard library.

`ours`: name of the loss; `theirs`: TRL 1.16's trainer, or None where it has no such loss. Reward models see the pairs and the rated completions
of `batch.json` and the groups of `groups.json`; fine-tuning the completions.
"""

from __future__ import annotations

from dataclasses import dataclass

NAMES = ("values", "gradients", "mean", "mean_gradient")


@dataclass(frozen=True)
class SupervisedCase:
    """margins: the pairs' margins count; ranks: of every group's replies in turn, empty for pairs; forms: those that the loss has; paper, trl:
    the figures compared; why: of a difference."""

    name: str
    ours: str
    theirs: str | None
    margins: bool = False
    ranks: tuple[tuple[int, ...], ...] = ()
    forms: tuple[str, ...] = ("rows", "shared")
    paper: tuple[str, ...] = NAMES
    trl: tuple[str, ...] = NAMES
    why: str = ""


CASES = [
    SupervisedCase("bradley-terry", "bradley-terry", "reward"),
    SupervisedCase("bradley-terry, margin", "bradley-terry", "reward", margins=True),
    # of two replies it is Bradley-Terry
    SupervisedCase("plackett-luce, pairs", "plackett-luce", "reward"),
    SupervisedCase("plackett-luce", "plackett-luce", None, ranks=((1, 2, 3, 4), (3, 1, 4, 2), (4, 3, 2, 1))),
    SupervisedCase("plackett-luce, best two of four", "plackett-luce", None, ranks=((1, 2, 3, 3), (3, 1, 3, 2))),
    SupervisedCase("ordinal", "ordinal", None, forms=("rows",)),
    SupervisedCase("sft", "sft", "sft"),
    SupervisedCase("sft, first_tokens", "first_tokens", None, forms=("rows",)),
]
DIFFERENCES: list[SupervisedCase] = []
