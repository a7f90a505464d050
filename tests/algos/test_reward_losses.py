"""Reward losses: worked by hand, the properties that each model promises, ensembles, finite gradients at the edges."""

import itertools
import math

import pytest
import torch

from trueline.algos.losses.ensemble import combine, mean_less_deviation, standardised
from trueline.algos.losses.reward import bradley_terry, likeliest_level, ordered_thresholds, ordinal, plackett_luce
from trueline.errors import TrainingError


def ranking(rewards: list[float], ranks: list[int]) -> float:
    return plackett_luce(torch.tensor([rewards]), torch.tensor([ranks]), torch.ones(1, len(ranks), dtype=torch.bool)).item()


def test_plackett_luce_by_hand() -> None:
    # order b > c > a with worths e^r = 1, 4, 2: P = 4/7 x 2/3
    assert ranking([0.0, math.log(4), math.log(2)], [3, 1, 2]) == pytest.approx(-math.log(4 / 7 * 2 / 3), abs=1e-6)
    # a and b tied above c, worths 1, 4, 2: each against c alone, 1/3 x 4/6
    assert ranking([0.0, math.log(4), math.log(2)], [1, 1, 2]) == pytest.approx(-math.log(1 / 3 * 4 / 6), abs=1e-6)
    # a the best, the others tied last: the exact top-1 probability 1/7
    assert ranking([0.0, math.log(4), math.log(2)], [1, 2, 2]) == pytest.approx(math.log(7), abs=1e-6)


def test_the_probabilities_of_all_orders_sum_to_one() -> None:
    rewards = torch.randn(4, generator=torch.Generator().manual_seed(0)).tolist()
    assert sum(math.exp(-ranking(rewards, list(p))) for p in itertools.permutations([1, 2, 3, 4])) == pytest.approx(1, abs=1e-5)


def test_two_replies_are_bradley_terry_and_order_of_columns_and_gaps_of_ranks_do_not_matter() -> None:
    r = torch.randn(5, 2, generator=torch.Generator().manual_seed(1))
    keep = torch.ones(5, 2, dtype=torch.bool)
    pairs = bradley_terry(r[:, 0], r[:, 1])
    assert torch.allclose(plackett_luce(r, torch.tensor([[1, 2]] * 5), keep), pairs, atol=1e-6)
    assert torch.allclose(plackett_luce(r.flip(1), torch.tensor([[7, 3]] * 5), keep), pairs, atol=1e-6)


def test_padding_counts_for_nothing_and_a_constant_changes_nothing() -> None:
    r = torch.tensor([[0.3, -1.0, 2.0, 1e9]], requires_grad=True)
    keep = torch.tensor([[True, True, True, False]])
    loss = plackett_luce(r, torch.tensor([[2, 3, 1, 1]]), keep)
    assert loss.item() == pytest.approx(ranking([0.3, -1.0, 2.0], [2, 3, 1]), abs=1e-6)
    assert loss.item() == pytest.approx(ranking([5.3, 4.0, 7.0], [2, 3, 1]), abs=1e-5)
    (gradient,) = torch.autograd.grad(loss.sum(), r)
    assert torch.isfinite(gradient).all()
    assert gradient[0, 3] == 0
    assert gradient.sum().item() == pytest.approx(0, abs=1e-6)


def test_a_tie_of_two_teaches_nothing() -> None:
    r = torch.tensor([[3.0, -2.0]], requires_grad=True)
    loss = plackett_luce(r, torch.tensor([[1, 1]]), torch.ones(1, 2, dtype=torch.bool))
    (gradient,) = torch.autograd.grad(loss.sum(), r)
    assert loss.item() == 0
    assert gradient.abs().max() == 0


def test_ordinal_by_hand_and_as_a_distribution() -> None:
    thresholds = torch.tensor([-1.0, 0.5, 2.0])
    sigmoid = lambda x: 1 / (1 + math.exp(-x))  # noqa: E731
    r = torch.tensor([0.2])
    expected = [sigmoid(-1.2), sigmoid(0.3) - sigmoid(-1.2), sigmoid(1.8) - sigmoid(0.3), 1 - sigmoid(1.8)]
    found = [math.exp(-ordinal(r, torch.tensor([k]), thresholds).item()) for k in range(4)]
    assert found == pytest.approx(expected, abs=1e-6)
    assert sum(found) == pytest.approx(1, abs=1e-6)
    # two levels are a logistic regression: P(1) = sigmoid(r - theta)
    assert ordinal(r, torch.tensor([1]), torch.tensor([-1.0])).item() == pytest.approx(-math.log(sigmoid(1.2)), abs=1e-6)
    assert likeliest_level(torch.tensor([-3.0, 0.2, 9.0]), thresholds).tolist() == [0, 1, 3]


@pytest.mark.parametrize("far", [-1e4, 0.0, 1e4])
def test_ordinal_has_finite_gradients_at_the_edges(far: float) -> None:
    raw = torch.tensor([0.0, -60.0, 3.0], requires_grad=True)  # the second step is softplus(-60), nearly nothing
    r = torch.tensor([far, far, far, far], requires_grad=True)
    loss = ordinal(r, torch.tensor([0, 1, 2, 3]), ordered_thresholds(raw))
    for gradient in torch.autograd.grad(loss.sum(), [raw, r]):
        assert torch.isfinite(gradient).all()
    assert torch.isfinite(loss).all()


def test_thresholds_rise_whatever_the_numbers() -> None:
    raw = torch.randn(50, 6, generator=torch.Generator().manual_seed(2)) * 5
    for row in raw:
        steps = ordered_thresholds(row).diff()
        assert (steps > 0).all()
    assert ordered_thresholds(torch.tensor([1.0, 0.0]))[1].item() == pytest.approx(1 + math.log(2), abs=1e-6)


def test_ordinal_finds_the_thresholds_that_made_the_ratings() -> None:
    source = torch.Generator().manual_seed(3)
    r = torch.randn(20_000, generator=source)
    truth = torch.tensor([-1.0, 0.0, 1.5])
    noise = torch.rand(20_000, generator=source).logit()
    levels = ((r + noise)[:, None] > truth[None, :]).sum(dim=1)
    raw = torch.zeros(3, requires_grad=True)
    optimizer = torch.optim.LBFGS([raw], max_iter=60)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = ordinal(r, levels, ordered_thresholds(raw)).mean()
        loss.backward()
        return loss

    optimizer.step(closure)
    assert torch.allclose(ordered_thresholds(raw), truth, atol=0.06)  # about three standard errors


def test_ensembles_by_hand() -> None:
    r = torch.tensor([[1.0, 0.0], [3.0, 0.0], [2.0, 3.0]])
    assert combine("mean")(r).tolist() == [2.0, 1.0]
    assert combine("min")(r).tolist() == [1.0, 0.0]
    # population deviations: sqrt(2/3), sqrt(2)
    assert combine("mean-std", 0.5)(r).tolist() == pytest.approx([2 - 0.5 * math.sqrt(2 / 3), 1 - 0.5 * math.sqrt(2)], abs=1e-6)
    assert torch.equal(combine("mean-std", 1.0)(r[[2, 0, 1]]), combine("mean-std", 1.0)(r))


def test_a_penalised_ensemble_of_one_is_its_member_with_finite_gradient() -> None:
    r = torch.tensor([[1.0, -2.0]], requires_grad=True)
    out = mean_less_deviation(r, 3.0)
    (gradient,) = torch.autograd.grad(out.sum(), r)
    assert torch.equal(out, r[0])
    assert torch.equal(gradient, torch.ones(1, 2))


def test_standardised_members_have_no_free_offset() -> None:
    r = torch.tensor([[1.0, 2.0, 3.0], [101.0, 102.0, 103.0]])
    out = standardised(r, r.mean(dim=1), r.std(dim=1, correction=0))
    assert torch.allclose(combine("min")(out), out[0], atol=1e-5)


@pytest.mark.parametrize(("name", "penalty"), [("median", None), ("mean", 1.0), ("min", 0.5), ("mean-std", None), ("mean-std", 0.0)])
def test_a_combination_that_means_nothing_is_an_error(name: str, penalty: float | None) -> None:
    with pytest.raises(TrainingError):
        combine(name, penalty)
