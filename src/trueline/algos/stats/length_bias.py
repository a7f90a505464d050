"""What a reward owes to the length of the reply: measured in pairs, and taken off.

Length is log(1 + characters): needs no tokenizer, and a correction linear in it stays small for a reply much longer than any seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trueline.algos.stats.binomial import clopper_pearson
from trueline.core.records import Interval
from trueline.errors import DataError

ALIKE = 0.1  # replies whose lengths differ by less than this share of the longer count as alike


def log_length(replies: Sequence[str]) -> NDArray[np.float64]:
    """log(1 + characters) of each reply, shape (replies,)."""
    return np.log1p(np.array([len(r) for r in replies], dtype=np.float64))


def length_slope(rewards: NDArray[np.floating], lengths: NDArray[np.floating]) -> float:
    """Reward per unit of `lengths` within pairs: the b that minimises the sum of (dr - b dl)^2, through the origin since a pair has no order.

    rewards, lengths: (pairs, 2). What is taken off, r - b l, has differences without any linear dependence on the difference in length, the
    aim of ODIN (2402.07319), which penalises that correlation in training. Fitted afterwards it is exact, needs no weight to tune, works for
    every backbone and leaves the training alone; like ODIN it also takes what is better *because* it is longer. Fit it on pairs that the
    model did not learn, or an overfitted reward hides the dependence. Differences within prompts: between prompts long
    answers may belong to easy questions. 0 where no pair differs in length."""
    if len(rewards) == 0:
        raise DataError("no pairs to fit the dependence on length on", remedy="give at least one pair")
    dr, dl = rewards[:, 0] - rewards[:, 1], lengths[:, 0] - lengths[:, 1]
    square = float(dl @ dl)
    return float(dr @ dl) / square if square > 0 else 0.0


def length_correlation(rewards: NDArray[np.floating], lengths: NDArray[np.floating]) -> float | None:
    """Correlation through the origin of the differences in reward and in length, in [-1, 1]; None where one of them never differs."""
    dr, dl = rewards[:, 0] - rewards[:, 1], lengths[:, 0] - lengths[:, 1]
    scale = float(np.sqrt((dr @ dr) * (dl @ dl)))
    return float(dr @ dl) / scale if scale > 0 else None


@dataclass(frozen=True, slots=True)
class LengthAccuracy:
    """Share of pairs ordered as people did where the chosen reply is longer, shorter, or alike in length; None without such a pair."""

    longer: Interval | None
    shorter: Interval | None
    alike: Interval | None


def accuracy_by_length(right: NDArray[np.bool_], chosen: Sequence[int], rejected: Sequence[int]) -> LengthAccuracy:
    """right: (pairs,), whether the pair is ordered as people did; chosen, rejected: characters. Exact 95 % intervals. Alike: the lengths
    differ by less than `ALIKE` of the longer. A reward that only likes length shows 1 and 0 here and may yet look fine in all."""
    c, r = np.asarray(chosen), np.asarray(rejected)
    alike = np.abs(c - r) < ALIKE * np.maximum(c, r)

    def of(mask: NDArray[np.bool_]) -> Interval | None:
        return clopper_pearson(int(right[mask].sum()), int(mask.sum())) if mask.any() else None

    return LengthAccuracy(of((c > r) & ~alike), of((c < r) & ~alike), of(alike))
