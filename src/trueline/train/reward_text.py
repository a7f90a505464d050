"""Training a linear reward model: of n-grams alone (`text`) or with a frozen sentence encoder (`encoder`).

In order: features, ridge by inner folds, members, then the same once more a fold to get rewards of rows that the members did not learn
from; length slope and temperature are fitted on those, so that no training row is lost and no test row is used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trueline.algos.losses.ensemble import combine
from trueline.errors import TrainingError
from trueline.train.judged import Judged, conversations_of, folds_of
from trueline.train.reward_features import Encode, Raw, raw_features
from trueline.train.reward_linear import FOLDS, Fit, LinearReward, choose_ridge, members_of, replies_of
from trueline.train.reward_model import Conversation, RewardModel, Scale, calibrated, centred, check_debias


@dataclass(frozen=True, slots=True)
class TextMembers:
    """Linear members over the same features. `encode`: None for n-grams alone."""

    models: tuple[LinearReward, ...]
    encode: Encode | None

    def rewards(self, conversations: Sequence[Conversation]) -> NDArray[np.float64]:
        """(members, conversations)."""
        return self.of(raw_features(conversations, self.encode))

    def of(self, raw: Raw) -> NDArray[np.float64]:
        """(members, replies) of features that are at hand."""
        return np.stack([m.rewards(raw) for m in self.models])


@dataclass(frozen=True, slots=True)
class TextSettings:
    """loss: name in `algos.losses.reward.LOSSES`; members: how many, differing by the bootstrap of their families; combine, penalty:
    see `algos.losses.ensemble`; margin: whether a pair's margin must be exceeded; debias_length: whether length is taken off."""

    loss: str = "bradley-terry"
    members: int = 1
    combine: str = "mean"
    penalty: float | None = None
    margin: bool = True
    debias_length: bool = False
    seed: int = 0

    def seeds(self) -> list[int]:
        """One a member."""
        return [self.seed * 1000 + k for k in range(self.members)]


def train_text(
    rows: Sequence[Judged],
    settings: TextSettings,
    encode: Encode | None = None,
    raw: Raw | None = None,
    encoder: tuple[str, str] = ("", ""),
) -> tuple[RewardModel, dict[str, object]]:
    """(the model, what was chosen and measured inside `rows`). raw: the features of the rows' replies where they are at hand. Raises
    `TrainingError` where nothing can be learnt."""
    combine(settings.combine, settings.penalty)
    if not rows or sum(r.weight for r in rows) <= 0:
        raise TrainingError(f"nothing to learn from in {len(rows)} rows", remedy="give rows with a weight above 0")
    check_debias(rows, settings.debias_length)
    raw = raw_features(conversations_of(rows), encode) if raw is None else raw
    levels = max(r.level for r in rows) + 1
    fit = Fit(settings.loss, settings.margin, levels)
    ridge, losses = choose_ridge(raw, rows, fit, settings.seed)
    members = TextMembers(tuple(members_of(raw, rows, fit, ridge, settings.seeds())), encode)
    scale = centred(members.of(raw), settings.combine, settings.penalty)
    scale = calibrated(scale, _out_of_fold(raw, rows, fit, ridge, settings), rows, settings.debias_length)
    thresholds = tuple(m.thresholds for m in members.models) if levels > 0 else ()
    told: dict[str, object] = {"ridge": ridge, "loss": min(losses), "temperature": scale.temperature, "length_slope": scale.slope}
    return RewardModel("encoder" if encode else "text", settings.loss, members, scale, thresholds, encoder), told


def _out_of_fold(raw: Raw, rows: Sequence[Judged], fit: Fit, ridge: float, settings: TextSettings) -> NDArray[np.float64]:
    """Combined rewards (replies,) of members made in the same way without the row's fold."""
    folds = np.array(folds_of(rows, FOLDS, f"calibrate {settings.seed}"))
    out = np.zeros(sum(len(r.replies) for r in rows))
    for k in sorted(set(folds.tolist())):
        inside, outside = np.nonzero(folds != k)[0].tolist(), replies_of(rows, np.nonzero(folds == k)[0].tolist())
        part = [rows[i] for i in inside]
        if sum(r.weight for r in part) <= 0:
            continue
        there = raw.rows(replies_of(rows, inside))
        members = TextMembers(tuple(members_of(there, part, fit, ridge, settings.seeds())), None)
        scale: Scale = centred(members.of(there), settings.combine, settings.penalty)
        out[outside] = scale.combined(members.of(raw.rows(outside)))
    return out
