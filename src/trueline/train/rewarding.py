"""What a run of reinforcement learning is rewarded with: terms with weights, constraints with multipliers, a penalty for no end.

(sum of w_i R_i - sum of lambda_k c_k) / (1 + sum of lambda_k), less the penalty where a reply did not end by itself. Every part is kept
beside the total, for what rises while the total rises is what the run must report.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trueline.algos.control import Multiplier, combined
from trueline.charter.turns import Message
from trueline.core.ports import Reward
from trueline.errors import RunFileError, TrainingError
from trueline.train.reward import load_reward, score
from trueline.train.reward_model import RewardModel
from trueline.train.scoring import Conversations, prompt_and_reply, scores_of

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Term:
    """A reward that is wanted. weight: times its score, finite and not 0; below 0 it is a cost without a limit."""

    name: str
    reward: Reward
    weight: float = 1.0

    def __post_init__(self) -> None:
        if not math.isfinite(self.weight) or self.weight == 0:
            what = f"the weight of {self.name} is {self.weight}, expected a finite number other than 0"
            raise RunFileError(what, remedy="remove the term or give it a weight")


@dataclass(frozen=True, slots=True)
class Constraint:
    """E[cost] <= limit (2310.12773). cost: higher is worse; limit: in its unit; rate, start: of its multiplier, see
    `algos.control.Multiplier`, which checks them."""

    name: str
    cost: Reward
    limit: float
    rate: float
    start: float = 1.0


@dataclass(frozen=True, slots=True)
class Scored:
    """total: (n,), what is maximised; parts: name -> (n,), each term's and constraint's own score, without weight or multiplier."""

    total: Array
    parts: Mapping[str, Array]

    def means(self) -> dict[str, float]:
        """The mean of each part. Raises `TrainingError` on no conversation: a mean of nothing is no number."""
        if not len(self.total):
            raise TrainingError("no conversation was scored: there is no mean", remedy="score at least one")
        return {name: float(values.mean()) for name, values in self.parts.items()}


class Composed:
    """Terms and constraints as one reward. Its only state are the values of the multipliers, which `update` moves.

    Raises `RunFileError` without a term, for a name that stands twice, and for a penalty below 0."""

    def __init__(self, terms: Sequence[Term], constraints: Sequence[Constraint] = (), missing_end_penalty: float = 0.0) -> None:
        names = [t.name for t in terms] + [c.name for c in constraints]
        twice = next((n for n in names if names.count(n) > 1), None)
        if twice is not None:
            raise RunFileError(f"the name {twice!r} stands twice among the parts of the reward", remedy="rename one of them")
        if not terms:
            raise RunFileError("a reward without a term has nothing to maximise", remedy="give at least one term")
        if not math.isfinite(missing_end_penalty) or missing_end_penalty < 0:
            raise RunFileError(f"missing_end_penalty must be at least 0, got {missing_end_penalty}", remedy="it is taken off; 0 for none")
        self.terms, self.constraints = tuple(terms), tuple(constraints)
        self.missing_end_penalty = missing_end_penalty
        self.multipliers = {c.name: Multiplier(c.start, c.limit, c.rate) for c in constraints}

    def score(self, conversations: Conversations, ended: Sequence[bool]) -> Scored:
        """ended: (n,), whether the reply ended by itself and was not cut at its greatest length. The penalty is in the unit of the total:
        the division by the multipliers does not shrink it. Raises `TrainingError` as `scores_of` does."""
        if len(ended) != len(conversations):
            what = f"{len(ended)} marks of whether a reply ended for {len(conversations)} conversations"
            raise TrainingError(what, remedy="give one a conversation")
        parts = {t.name: scores_of(t.name, t.reward, conversations) for t in self.terms}
        wanted = sum((t.weight * parts[t.name] for t in self.terms), np.zeros(len(conversations)))
        costs = np.zeros((len(conversations), len(self.constraints)))
        for k, c in enumerate(self.constraints):
            parts[c.name] = costs[:, k] = scores_of(c.name, c.cost, conversations)
        total = combined(wanted, costs, [self.multipliers[c.name] for c in self.constraints])
        cut = ~np.asarray(ended, dtype=bool)
        return Scored(total - self.missing_end_penalty * cut, parts)

    def update(self, mean_costs: Mapping[str, float]) -> None:
        """One step of every multiplier. mean_costs: of the whole batch, over all processes; names of terms are allowed beside those of the
        constraints, as `Scored.means` gives them. Raises `TrainingError` where a constraint's is missing or not finite."""
        lacking = [name for name in self.multipliers if name not in mean_costs]
        if lacking:
            raise TrainingError(f"no mean cost of {', '.join(lacking)}", remedy="give that of every constraint")
        self.multipliers = {name: m.after(mean_costs[name]) for name, m in self.multipliers.items()}

    def identity(self) -> list[object]:
        """All that defines the reward besides the models behind it, as plain data: a run of another one is another run."""
        terms = [[t.name, t.weight] for t in self.terms]
        return [terms, [[c.name, c.limit, c.rate, c.start] for c in self.constraints], self.missing_end_penalty]

    def state(self) -> dict[str, float]:
        """The multipliers' values by name, as JSON can hold them exactly."""
        return {name: m.value for name, m in self.multipliers.items()}

    def restore(self, state: Mapping[str, float]) -> None:
        """Sets what `state` gave. Raises `TrainingError` where it is of other constraints, and `RunFileError` for a value out of range."""
        if set(state) != set(self.multipliers):
            what = f"the saved multipliers are of {', '.join(sorted(state)) or 'nothing'}, expected {', '.join(self.multipliers) or 'none'}"
            raise TrainingError(what, remedy="resume with the constraints of the run, or start it again")
        self.multipliers = {name: replace(m, value=state[name]) for name, m in self.multipliers.items()}


@dataclass(frozen=True, slots=True)
class RewardModelTerm:
    """A reward model as `core.ports.Reward`: calibrated, in logits of preference."""

    model: RewardModel

    @classmethod
    def from_folder(cls, folder: Path) -> RewardModelTerm:
        """That of OUT/model of `trueline train reward`. Raises `TargetError` where it cannot be read."""
        return cls(load_reward(folder))

    def score(self, conversations: Conversations) -> list[float]:
        """One reward a conversation. Raises `TrainingError` for one that is too long for the model: a cut reply has no reward."""
        return score(self.model, [prompt_and_reply(c, n + 1) for n, c in enumerate(conversations)])


def best_of(groups: Sequence[Sequence[tuple[Message, ...]]], reward: Reward) -> list[int]:
    """The position of the best conversation of each group (best-of-n), of equal ones the first. All are scored in one call.
    Raises `TrainingError` for an empty group and a score that is not finite."""
    empty = next((g for g, group in enumerate(groups) if not group), None)
    if empty is not None:
        raise TrainingError(f"group {empty + 1} has no conversation to choose from", remedy="give at least one reply a prompt")
    scores = scores_of("the reward", reward, [c for group in groups for c in group])
    ends = np.cumsum([len(group) for group in groups])[:-1]
    return [int(np.argmax(part)) for part in np.split(scores, ends)] if groups else []
