"""Advantages and policy losses against numbers worked by hand, and their properties."""

import math

import pytest
import torch

from trueline.algos.advantages import OF_GROUPS, centred, gae, leave_one_out, standardised, whitened
from trueline.algos.losses.policy import KL, RATIOS, clipped, clipped_value, k1, k3, shares
from trueline.algos.losses.policy_variants import METHODS, VARIANTS, PolicyOptions, variant
from trueline.errors import RunFileError

T = torch.tensor


def test_advantages_of_a_group_by_hand() -> None:
    r = T([[1.0, 2.0, 6.0]])
    assert centred(r).tolist() == [[-2.0, -1.0, 3.0]]
    # the others' means: 4, 3.5, 1.5
    assert leave_one_out(r).tolist() == [[-3.0, -1.5, 4.5]]
    spread = math.sqrt((4 + 1 + 9) / 2) + 1e-4
    assert standardised(r)[0].tolist() == pytest.approx([-2 / spread, -1 / spread, 3 / spread])


@pytest.mark.parametrize("name", sorted(OF_GROUPS))
def test_advantages_ignore_the_offset_and_vanish_on_equal_rewards(name: str) -> None:
    r = torch.randn(5, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    f = OF_GROUPS[name]
    assert torch.allclose(f(r), f(r + 7.5))
    assert torch.allclose(f(r).sum(dim=1), torch.zeros(5, dtype=torch.float64), atol=1e-12)
    assert not f(torch.full((2, 4), 3.0)).any()


def test_gae_by_hand() -> None:
    # one row of two tokens, the third column is padding: delta_2 = 1 - 0.25; delta_1 = 0 + 0.5 x 0.25 - 0.5
    rewards, values = T([[0.0, 1.0, 9.0]]), T([[0.5, 0.25, 9.0]])
    keep = T([[True, True, False]])
    a, returns = gae(rewards, values, keep, gamma=0.5, lam=0.5)
    assert a.tolist() == [[-0.375 + 0.25 * 0.75, 0.75, 0.0]]
    assert returns.tolist() == [[-0.1875 + 0.5, 1.0, 0.0]]


def test_gae_with_lambda_one_is_return_less_value_and_padding_changes_nothing() -> None:
    g = torch.Generator().manual_seed(1)
    rewards, values = torch.randn(3, 6, generator=g), torch.randn(3, 6, generator=g)
    keep = torch.arange(6)[None] < T([[6], [4], [1]])
    a, returns = gae(rewards, values, keep, 1.0, 1.0)
    for row, n in enumerate((6, 4, 1)):
        for t in range(n):
            assert float(returns[row, t]) == pytest.approx(float(rewards[row, t:n].sum()), abs=1e-5)
        short, _ = gae(rewards[row : row + 1, :n], values[row : row + 1, :n], keep[row : row + 1, :n], 0.9, 0.8)
        whole, _ = gae(rewards, values, keep, 0.9, 0.8)
        assert torch.allclose(short[0], whole[row, :n], atol=1e-6)
    assert not a[~keep].any()


def test_whitening_uses_only_what_counts() -> None:
    x, keep = T([[1.0, 3.0, 100.0]]), T([[True, True, False]])
    assert whitened(x, keep)[0].tolist() == pytest.approx([-1.0, 1.0, 0.0])
    assert whitened(T([[4.0]]), T([[True]])).tolist() == [[0.0]]


def test_kl_estimates_are_right_in_the_mean() -> None:
    """Of two coins, exactly: the expectation under p of k1 and k3 is KL(p || q); k3 is nowhere negative."""
    p, q = T([0.7, 0.3], dtype=torch.float64), T([0.4, 0.6], dtype=torch.float64)
    exact = float((p * (p / q).log()).sum())
    for name in ("k1", "k3"):
        assert float((p * KL[name](p.log(), q.log())).sum()) == pytest.approx(exact)
    assert bool((k3(p.log(), q.log()) >= 0).all())
    assert float(k1(T(-1.0), T(-3.0))) == 2.0
    assert float(KL["k2"](T(-1.0), T(-3.0))) == 2.0


def test_ratios_by_hand() -> None:
    new, old = T([[math.log(2.0), math.log(4.0), 5.0]]), T([[0.0, 0.0, 0.0]])
    keep = T([[True, True, False]])
    assert RATIOS["token"](new, old, keep)[0].tolist() == pytest.approx([2.0, 4.0, 1.0])
    assert RATIOS["reply"](new, old, keep).tolist() == [[pytest.approx(8.0)]]
    assert RATIOS["mean"](new, old, keep).tolist() == [[pytest.approx(math.sqrt(8.0))]]


def test_clipping_stops_the_gradient_only_where_it_would_go_further() -> None:
    ratio = T([1.5, 1.5, 0.5, 0.5], requires_grad=True)
    advantage = T([1.0, -1.0, 1.0, -1.0])
    loss = clipped(ratio, advantage, 0.2, 0.28)
    assert loss.tolist() == pytest.approx([-1.28, 1.5, -0.5, 0.8])
    loss.sum().backward()
    assert ratio.grad is not None
    assert ratio.grad.tolist() == [0.0, 1.0, -1.0, 0.0]


def test_clipped_value_by_hand() -> None:
    # value 2, old 1, clip 0.2: near 1.2; return 0: squares 4 and 1.44; return 3: 1 and 3.24
    assert clipped_value(T([2.0, 2.0]), T([1.0, 1.0]), T([0.0, 3.0]), 0.2).tolist() == pytest.approx([2.0, 1.62])


def test_shares_sum_to_one_and_do_not_depend_on_the_cut() -> None:
    keep = T([[True, True, True], [True, False, False]])
    assert shares(keep, "reply", 2, 4, 8).tolist() == [[pytest.approx(1 / 6)] * 3, [0.5, 0, 0]]
    assert shares(keep, "token", 2, 4, 8)[0].tolist() == [0.25] * 3
    assert shares(keep, "constant", 2, 4, 8)[0].tolist() == [1 / 16] * 3
    for reduce in ("reply", "token", "constant"):
        parts = torch.cat([shares(keep[i : i + 1], reduce, 2, 4, 8) for i in (0, 1)])
        assert torch.equal(parts, shares(keep, reduce, 2, 4, 8))


def test_on_policy_every_variant_pushes_along_its_advantages() -> None:
    """At ratio 1 the gradient of a token's log-probability is minus advantage times share, whatever the ratio is of."""
    logps = torch.randn(2, 3, generator=torch.Generator().manual_seed(2))
    keep = T([[True, True, True], [True, True, False]])
    advantages = T([[1.0], [-2.0]])
    for name, v in VARIANTS.items():
        own = logps.clone().requires_grad_()
        ratio = RATIOS[v.ratio](own, logps, keep)
        weight = shares(keep, v.reduce, 2, 5, 3)
        o = variant(next(m for m, names in METHODS.items() if name in names), name)[2]
        (clipped(ratio, advantages, o.clip_low, o.clip_high) * weight).sum().backward()
        assert own.grad is not None
        sign = torch.sign(own.grad) * keep
        assert torch.equal(sign, torch.where(keep, -torch.sign(advantages), torch.zeros(2, 3))), name


def test_options_without_effect_and_out_of_range_are_errors() -> None:
    assert variant("grpo", None)[0] == "grpo"
    assert variant("grpo", "dapo", {"clip_high": 0.3})[2].clip_high == 0.3
    for method, name, given, words in (
        ("grpo", None, {"lam": 0.9}, "lam has no effect on grpo; remove it, or use ppo"),
        ("grpo", "rloo", {}, "unknown variant 'rloo' of grpo"),
        ("ppo", None, {"drop_equal": 1.0}, "drop_equal has no effect on ppo; remove it, or use dapo"),
        ("ppo", None, {"gama": 1.0}, "unknown option 'gama'"),
        ("ppo", None, {"gamma": 1.5}, r"gamma must lie in \[0, 1.0\], got 1.5"),
        ("ppo", None, {"kl_weight": float("nan")}, "kl_weight must lie in"),
    ):
        with pytest.raises(RunFileError, match=words):
            variant(method, name, given)
    with pytest.raises(RunFileError):
        PolicyOptions(kl_weight=float("inf"))
