"""How many labels are wrong: the estimate covers the share that was turned round, and says when it cannot know."""

import numpy as np
import pytest
from numpy.typing import NDArray

from trueline.algos.stats.label_noise import RATES, flip_rate
from trueline.errors import DataError

SHARES = (0.0, 0.1, 0.2, 0.3)


def made(n: int, share: float, seed: int, strength: float) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """(scores, labels, which were turned round): a right label is 1 with probability sigmoid(strength score)."""
    g = np.random.default_rng(seed)
    score = g.normal(size=n)
    label = np.where(g.random(n) < 1 / (1 + np.exp(-strength * score)), 1.0, -1.0)
    turned = g.random(n) < share
    return score, np.where(turned, -label, label), turned


@pytest.mark.parametrize("shift", [False, True])
def test_the_interval_covers_the_share_that_was_turned_round(shift: bool) -> None:
    covered, off = 0, []
    for share in SHARES:
        for seed in range(3):
            score, label, turned = made(900, share, 10 * seed + round(100 * share), 5.0)
            found = flip_rate(score + (0.5 if shift else 0.0), label, shift=shift)
            assert found.rate is not None, found.note
            covered += found.rate.low <= turned.mean() <= found.rate.high
            off.append(found.rate.estimate - turned.mean())
    assert covered >= 10, f"{covered} of 12 intervals of 95 % cover"
    assert abs(float(np.mean(off))) < 0.03


def test_one_level_of_agreement_bounds_the_rate_from_above_alone() -> None:
    """900 of 1000 labels agree with scores of one size: rate + (1 - 2 rate) sigmoid = 0.9 holds for every rate up to 0.1."""
    label = np.where(np.arange(1000) < 900, 1.0, -1.0)
    rate = flip_rate(np.ones(1000), label, shift=False).rate
    assert rate is not None
    assert rate.low == 0.0
    assert 0.1 < rate.high < 0.13


def test_agreement_that_levels_off_tells_the_rate() -> None:
    """Scores of size 1 agree by 0.75, those of size 4 and of size 8 both by 0.9: what is left of the wrong ones is 0.1 and not chance."""
    parts = [(1.0, 1000, 750), (4.0, 1000, 900), (8.0, 1000, 900)]
    score = np.concatenate([np.full(n, s) for s, n, _ in parts])
    label = np.concatenate([np.where(np.arange(n) < k, 1.0, -1.0) for _, n, k in parts])
    found = flip_rate(score, label, shift=False)
    assert found.rate is not None
    assert found.rate.estimate == pytest.approx(0.1, abs=0.015)
    assert found.rate.low > 0.06
    assert {score[i] for i in found.suspects} <= {4.0, 8.0}
    assert all(label[i] == -1 for i in found.suspects)
    assert "about 10 %" in found.words()


def test_what_cannot_be_known_is_said() -> None:
    few = flip_rate(np.ones(40), np.ones(40), shift=False)
    assert few.rate is None
    assert "insufficient evidence" in few.words()
    g = np.random.default_rng(0)
    blind = flip_rate(g.normal(size=1000), g.choice([-1.0, 1.0], 1000), shift=False)
    assert blind.rate is None
    assert "not identifiable" in blind.words()
    assert "all labels are the same" in flip_rate(g.normal(size=200), np.ones(200), shift=True).words()
    with pytest.raises(DataError, match="3 scores"):
        flip_rate(np.ones(3), np.ones(4), shift=False)


def test_families_are_worth_less_and_the_scale_is_worth_nothing() -> None:
    score, label, _ = made(1000, 0.2, 3, 5.0)
    alone = flip_rate(score, label, [str(i) for i in range(1000)], shift=False).rate
    five = flip_rate(np.repeat(score[:200], 5), np.repeat(label[:200], 5), [str(i // 5) for i in range(1000)], shift=False).rate
    assert alone is not None
    assert five is not None
    assert five.high - five.low > 1.5 * (alone.high - alone.low)
    scaled = flip_rate(1000 * score, label, shift=False).rate
    plain = flip_rate(score, label, shift=False).rate
    assert scaled is not None
    assert plain is not None
    assert scaled.estimate == pytest.approx(plain.estimate, abs=2 * RATES[1])
