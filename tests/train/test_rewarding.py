"""The composed reward: numbers by hand, parts kept apart, multipliers that follow their costs and resume exactly, mistakes that are named."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trueline.charter.turns import Message
from trueline.core.ports import Reward
from trueline.core.records import Preference
from trueline.engine.loading import load_local
from trueline.engine.tiny import tiny_model
from trueline.errors import RunFileError, TargetError, TrainingError
from trueline.train.judged import of_pairs
from trueline.train.reward import save_reward, score
from trueline.train.reward_causal import CausalMembers, with_head
from trueline.train.reward_model import RewardModel, Scale
from trueline.train.reward_text import TextSettings, train_text
from trueline.train.rewarding import Composed, Constraint, RewardModelTerm, Term, best_of

ASKED = (Message("user", "May I have a loan?"),)
ROWS = [(*ASKED, Message("assistant", r)) for r in ("yes", "no, sorry", "")]


@dataclass(frozen=True)
class Scripted:
    """A reward by a function of the reply."""

    of: Callable[[str], float]

    def score(self, conversations: Sequence[tuple[Message, ...]]) -> list[float]:
        return [self.of(c[-1].content) for c in conversations]


LENGTH = Scripted(lambda r: float(len(r)))
SORRY = Scripted(lambda r: float("sorry" in r))


def composed(**kwargs: Any) -> Composed:
    terms = [Term("length", LENGTH, 0.5), Term("sorry", SORRY, -1.0)]
    return Composed(terms, [Constraint("commas", Scripted(lambda r: float(r.count(","))), 0.1, 0.5, start=3.0)], **kwargs)


def test_total_by_hand() -> None:
    """(length / 2 - sorry - 3 commas) / (1 + 3): (1.5, 4.5 - 1 - 3, 0) / 4, less 0.2 where it did not end."""
    found = composed(missing_end_penalty=0.2).score(ROWS, [True, False, True])
    assert found.total == pytest.approx([0.375, 0.125 - 0.2, 0.0])
    assert {k: v.tolist() for k, v in found.parts.items()} == {"length": [3, 9, 0], "sorry": [0, 1, 0], "commas": [0, 1, 0]}
    assert found.means() == pytest.approx({"length": 4.0, "sorry": 1 / 3, "commas": 1 / 3})
    assert found.total.dtype == np.float64


def test_without_constraints_it_is_the_weighted_sum_of_its_terms() -> None:
    found = Composed([Term("length", LENGTH, 2.0)]).score(ROWS, [False] * 3)
    assert found.total.tolist() == [6, 18, 0]
    assert len(Composed([Term("length", LENGTH)]).score([], []).total) == 0


def test_order_of_the_rows_is_free() -> None:
    reward, ended = composed(missing_end_penalty=1.0), [True, False, True]
    there = reward.score(ROWS, ended).total
    assert reward.score(ROWS[::-1], ended[::-1]).total.tolist() == there[::-1].tolist()


def test_multipliers_follow_their_costs_and_resume_exactly() -> None:
    """log lambda moves by rate x (cost - limit) = 0.5 x (1.1 - 0.1)."""
    reward = composed()
    reward.update({"commas": 1.1, "length": 7.0})
    assert reward.state() == {"commas": pytest.approx(3 * np.exp(0.5))}
    kept = json.loads(json.dumps(reward.state()))
    again = composed()
    again.restore(kept)
    for r in (reward, again):
        r.update(r.score(ROWS, [True] * 3).means())
    assert again.state() == reward.state()
    assert again.score(ROWS, [True] * 3).total.tolist() == reward.score(ROWS, [True] * 3).total.tolist()
    below = reward.state()["commas"]
    reward.update({"commas": 0.0})
    assert reward.state()["commas"] < below


def test_a_constraint_in_the_loop_finds_its_limit() -> None:
    """A policy that commits a fault with probability p of the logit (gain - lambda x cost): reward 1 a fault, cost 1, limit 0.2. Only the
    multiplier moves; at rest p = 0.2."""
    reward = Composed([Term("gain", LENGTH)], [Constraint("fault", LENGTH, 0.2, 0.5)])
    p = 1.0
    for _ in range(300):
        p = 1 / (1 + np.exp(-(1 - reward.state()["fault"])))
        reward.update({"fault": p})
    assert p == pytest.approx(0.2, abs=1e-3)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_score_that_is_not_finite_names_its_part_and_row(bad: float) -> None:
    broken = Scripted(lambda r: bad if "sorry" in r else 0.0)
    for reward in (
        Composed([Term("length", LENGTH), Term("broken", broken)]),
        Composed([Term("length", LENGTH)], [Constraint("broken", broken, 0.1, 0.1)]),
    ):
        with pytest.raises(TrainingError, match=f"broken scores conversation 2 as {bad}"):
            reward.score(ROWS, [True] * 3)


def test_mistakes() -> None:
    one = Term("a", LENGTH)
    for call, word in (
        (lambda: Term("a", LENGTH, 0.0), "the weight of a is 0.0"),
        (lambda: Term("a", LENGTH, float("nan")), "the weight of a is nan"),
        (lambda: Composed([]), "without a term"),
        (lambda: Composed([one, Term("a", SORRY)]), "the name 'a' stands twice"),
        (lambda: Composed([one], [Constraint("a", SORRY, 0.1, 0.1)]), "the name 'a' stands twice"),
        (lambda: Composed([one], missing_end_penalty=-1.0), "missing_end_penalty must be at least 0"),
        (lambda: Composed([one], [Constraint("c", SORRY, 0.1, 0.0)]), "rate"),
        (lambda: Composed([one], [Constraint("c", SORRY, 0.1, 0.1, start=0.0)]), "value"),
    ):
        with pytest.raises(RunFileError, match=word):
            call()


def test_mistakes_of_a_call() -> None:
    class Short:
        def score(self, conversations: Sequence[tuple[Message, ...]]) -> list[float]:
            return [0.0]

    reward = composed()
    for call, word in (
        (lambda: reward.score(ROWS, [True]), "1 marks of whether a reply ended for 3 conversations"),
        (lambda: Composed([Term("short", Short())]).score(ROWS, [True] * 3), "short gave 1 scores for 3 conversations"),
        (lambda: reward.update({"length": 1.0}), "no mean cost of commas"),
        (lambda: reward.update({"commas": float("nan")}), "mean cost is nan"),
        (lambda: reward.restore({"other": 1.0}), "the saved multipliers are of other, expected commas"),
        (lambda: reward.score([], []).means(), "there is no mean"),
    ):
        before = reward.state()
        with pytest.raises(TrainingError, match=word):
            call()
        assert reward.state() == before


def test_best_of_n() -> None:
    groups = [ROWS, ROWS[2:], [ROWS[0], ROWS[0]]]
    assert best_of(groups, LENGTH) == [1, 0, 0], "of equal ones the first"
    assert best_of(groups, Scripted(lambda r: -float(len(r)))) == [2, 0, 0]
    assert best_of([], LENGTH) == []
    with pytest.raises(TrainingError, match="group 2 has no conversation"):
        best_of([ROWS, []], LENGTH)
    with pytest.raises(TrainingError, match="the reward scores conversation 4 as nan"):
        best_of([ROWS, [(*ASKED, Message("assistant", "?"))]], Scripted(lambda r: float("nan") if r == "?" else 0.0))


def test_a_folder_is_a_term(tmp_path: Path) -> None:
    pairs = [Preference((Message("user", f"q {i}"),), f"sorry, no {i}", f"sure, do it {i}") for i in range(30)]
    model, _ = train_text(of_pairs(pairs), TextSettings())
    save_reward(model, tmp_path / "r")
    term = RewardModelTerm.from_folder(tmp_path / "r")
    assert isinstance(term, Reward)
    assert term.score(ROWS) == score(model, [(ASKED, r) for r in ("yes", "no, sorry", "")])
    taught = [(*pairs[3].prompt, Message("assistant", r)) for r in (pairs[3].rejected, pairs[3].chosen)]
    assert best_of([taught, taught[::-1]], term) == [1, 0]
    with pytest.raises(TrainingError, match="conversation 1 ends with a message of the user"):
        term.score([ASKED])
    with pytest.raises(TargetError, match="no reward model"):
        RewardModelTerm.from_folder(tmp_path / "none")


def test_a_conversation_too_long_for_the_model_is_no_score(tmp_path: Path) -> None:
    tiny_model("llama", tmp_path / "m")
    local = with_head(load_local(tmp_path / "m", device="cpu"), 0)
    term = RewardModelTerm(RewardModel("causal", "bradley-terry", CausalMembers((local,)), Scale((0.0,), (1.0,))))
    assert len(term.score(ROWS)) == 3
    with pytest.raises(TrainingError, match=f"conversation 2 does not fit the {local.context} tokens"):
        term.score([ROWS[0], (*ASKED, Message("assistant", "word " * (local.context + 1)))])
