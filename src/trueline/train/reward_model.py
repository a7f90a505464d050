"""A trained reward model, whatever stands behind it: members, how they are combined, what length is worth, the temperature.

score = (combine(standardised members) - slope x log length) / temperature: in logits, so that sigmoid(score - score) is the probability
that people prefer the first reply. Its mean over the training replies is about 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from trueline.algos.losses.ensemble import combine, standardised
from trueline.algos.stats.calibration import ece_of_differences, fitted_temperature
from trueline.algos.stats.length_bias import accuracy_by_length, length_correlation, length_slope, log_length
from trueline.charter.turns import Message
from trueline.core.records import Interval
from trueline.errors import TrainingError
from trueline.train.judged import Judged, conversations_of, ordered_index
from trueline.train.preference_accuracy import exact_share

FEWEST_PAIRS = 20  # ordered pairs below which neither temperature nor slope is fitted
Conversation = tuple[tuple[Message, ...], str]


class Members(Protocol):
    """What gives the members' own rewards."""

    def rewards(self, conversations: Sequence[Conversation]) -> NDArray[np.float64]:
        """(members, conversations)."""


@dataclass(frozen=True, slots=True)
class Scale:
    """From members' rewards to the score. centres, scales: (members,), of each member on the training replies; combine, penalty: see
    `algos.losses.ensemble`; slope: reward per unit of log length; temperature > 0; pairs: how many both were fitted on."""

    centres: tuple[float, ...]
    scales: tuple[float, ...]
    combine: str = "mean"
    penalty: float | None = None
    slope: float = 0.0
    temperature: float = 1.0
    pairs: int = 0

    def combined(self, rewards: NDArray[np.float64]) -> NDArray[np.float64]:
        """(members, n) -> (n,), in the members' mean unit."""
        centres, scales = torch.tensor(self.centres), torch.tensor(self.scales)
        each = standardised(torch.tensor(rewards), centres.double(), scales.double())
        return np.asarray(combine(self.combine, self.penalty)(each)) * float(np.mean(self.scales))

    def scores(self, rewards: NDArray[np.float64], lengths: NDArray[np.float64]) -> NDArray[np.float64]:
        """(members, n) rewards and (n,) log lengths -> (n,) scores."""
        return (self.combined(rewards) - self.slope * lengths) / self.temperature


@dataclass(frozen=True, slots=True)
class RewardModel:
    """backbone: causal, encoder or text; loss: what it was trained with; thresholds: (members, levels - 1) of ordinal, on the members' own
    rewards; source: of an encoder, its name and digest."""

    backbone: str
    loss: str
    members: Members
    scale: Scale
    thresholds: tuple[tuple[float, ...], ...] = ()
    encoder: tuple[str, str] = ("", "")


def score(model: RewardModel, conversations: Sequence[Conversation]) -> list[float]:
    """The calibrated reward of each (prompt, reply), in logits of preference between replies to one prompt."""
    if not conversations:
        return []
    rewards = model.members.rewards(conversations)
    return [float(s) for s in model.scale.scores(rewards, log_length([reply for _, reply in conversations]))]


def centred(rewards: NDArray[np.float64], how: str, penalty: float | None) -> Scale:
    """The scale of members whose rewards of the training replies are these, (members, n)."""
    spread = rewards.std(axis=1)
    return Scale(tuple(rewards.mean(axis=1).tolist()), tuple(np.where(spread > 1e-9, spread, 1.0).tolist()), how, penalty)


def check_debias(rows: Sequence[Judged], debias: bool) -> None:
    """Raises `TrainingError` where length is to be taken off and too few ordered pairs are there to fit by how much."""
    n = len(ordered_index(rows)) if debias else FEWEST_PAIRS
    if n < FEWEST_PAIRS:
        what = f"{n} ordered pairs to fit the dependence on length on, expected at least {FEWEST_PAIRS}"
        raise TrainingError(what, remedy="give more rows, or do not debias")


def calibrated(scale: Scale, combined: NDArray[np.float64], rows: Sequence[Judged], debias: bool) -> Scale:
    """With slope (where `debias`) and temperature fitted on `rows`, whose replies have the combined rewards (replies,) of members that did
    not learn from them. Too few ordered pairs: as it was."""
    index = np.array([(a, b) for _, a, b in ordered_index(rows)], dtype=np.int64).reshape(-1, 2)
    if len(index) < FEWEST_PAIRS:
        return scale
    lengths = log_length([reply for _, reply in conversations_of(rows)])
    weights = np.array([rows[n].weight for n, _, _ in ordered_index(rows)])
    slope = length_slope(combined[index], lengths[index]) if debias else 0.0
    left = combined - slope * lengths
    temperature = fitted_temperature(left[index[:, 0]] - left[index[:, 1]], weights if weights.sum() > 0 else None)
    return Scale(scale.centres, scale.scales, scale.combine, scale.penalty, slope, temperature, len(index))


def _told(interval: Interval | None) -> dict[str, float] | str:
    if interval is None:
        return "insufficient evidence: no such pair"
    return {"estimate": interval.estimate, "low": interval.low, "high": interval.high, "n": interval.n}


def held_out_report(rows: Sequence[Judged], scores: NDArray[np.float64], too_long: int = 0) -> dict[str, object]:
    """Accuracy (a tie counts as wrong), calibration, accuracy by difference in length and by source, of all ordered pairs in `rows`, whose
    replies have these scores (replies,). Intervals are exact, 95 %, and take the pairs as independent."""
    index = ordered_index(rows)
    if not index:
        return {"held_out_accuracy": exact_share(0, 0, too_long)}
    replies = [reply for _, reply in conversations_of(rows)]
    better, worse = ([t[k] for t in index] for k in (1, 2))
    difference = scores[better] - scores[worse]
    right = difference > 0
    calibration = ece_of_differences(difference)
    by_length = accuracy_by_length(right, [len(replies[i]) for i in better], [len(replies[i]) for i in worse])
    lengths = log_length(replies)
    pairs = np.stack([np.array(better), np.array(worse)], axis=1)
    sources = sorted({rows[n].source for n, _, _ in index})
    by_source = {
        s or "not named": exact_share(int(sum(right[i] for i, t in enumerate(index) if rows[t[0]].source == s)), n, 0)
        for s in sources
        if (n := sum(rows[t[0]].source == s for t in index))
    }
    return {
        "held_out_accuracy": exact_share(int(right.sum()), len(index), too_long),
        "ece": calibration.ece,
        "ece_bins": f"{calibration.bins} bins of equal mass of the probability of the side preferred",
        "log_loss": float(np.logaddexp(0, -difference).mean()),
        "accuracy_chosen_longer": _told(by_length.longer),
        "accuracy_chosen_shorter": _told(by_length.shorter),
        "accuracy_alike": _told(by_length.alike),
        "length_correlation": length_correlation(scores[pairs], lengths[pairs]),
        **({"accuracy_by_source": by_source} if sources != [""] else {}),
    }
