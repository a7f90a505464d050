"""The direct preference family: numbers worked by hand for every loss, its edges, and options without effect refused."""

import math

import pytest
import torch

from trueline.algos.losses.options import NAMES, PreferenceOptions
from trueline.algos.losses.preference import LOSSES, PAIRED, UNPAIRED, Completions, PairedLoss, paired, unpaired
from trueline.algos.losses.unpaired import kl_baseline
from trueline.errors import RunFileError, TrainingError

LN2 = math.log(2)
# log sigmoid(1) = -0.3132617, log sigmoid(-1) = -1.3132617, sigmoid(1) = 0.7310586, sigmoid(-1) = 0.2689414
LS1, S1 = 0.3132617, 0.7310586

# chosen: logp -4 over reference -5 (2 tokens): log-ratio 1, per token 0.5. rejected: -9 over -8 (4 tokens): -1, per token -0.25.
CHOSEN = Completions(torch.tensor([-4.0]), torch.tensor([-5.0]), torch.tensor([2]))
REJECTED = Completions(torch.tensor([-9.0]), torch.tensor([-8.0]), torch.tensor([4]))

BY_HAND = [
    ("dpo", {"beta": 0.5}, LS1),  # z = 0.5 (1 + 1) = 1
    ("dpo", {"beta": 0.5, "label_smoothing": 0.1}, 0.9 * LS1 + 0.1 * (LS1 + 1)),
    ("dpo", {"beta": 0.5, "sft_weight": 0.25}, LS1 + 0.25 * 4 / 2),
    ("dpo_norm", {"beta": 4 / 3}, LS1),  # 4/3 (0.5 + 0.25) = 1
    ("ipo", {"beta": 0.5}, 1.0),  # (2 - 1)^2
    ("ipo_norm", {"beta": 0.5}, 0.0625),  # (0.75 - 1)^2
    ("hinge", {"beta": 0.25}, 0.5),  # 1 - 0.25 * 2
    ("robust", {"beta": 0.5, "label_smoothing": 0.1}, (0.9 * LS1 - 0.1 * (LS1 + 1)) / 0.8),
    # sigmoid(1) (log sigmoid(1) - log 0.9) + sigmoid(-1) (log sigmoid(-1) - log 0.1)
    ("exo", {"beta": 0.5, "label_smoothing": 0.1}, S1 * (-LS1 - math.log(0.9)) + (1 - S1) * (-LS1 - 1 - math.log(0.1))),
    ("nca", {"beta": 1.0}, LS1 + 0.5 * (LS1 + 1) + 0.5 * LS1),  # c = 1, r = -1
    ("bco", {"beta": 1.0}, 2 * LS1),
    ("sppo", {"beta": 0.25}, 2.0),  # (1 - 2)^2 + (-1 + 2)^2
    ("apo_zero", {"beta": 1.0}, 2 * (1 - S1)),  # sigmoid(-1) + sigmoid(-1)
    ("apo_down", {"beta": 0.5}, 1 / (1 + math.exp(-0.5)) + (1 - S1)),  # sigmoid(0.5) + sigmoid(-1)
    # w = sigmoid(20): -log sigmoid(1) counts by 2e-9, exp(-1) by the rest
    ("discopop", {"beta": 0.5}, math.exp(-1)),
    # per token -2 and -2.25: beta 8 gives 2, minus gamma 1 leaves 1
    ("simpo", {"beta": 8.0, "gamma": 1.0}, LS1),
    ("simpo", {"beta": 8.0, "gamma": 1.0, "label_smoothing": 0.1}, 0.9 * LS1 + 0.1 * (LS1 + 1)),
    ("cpo", {"beta": 0.2}, LS1 + 2.0),  # 0.2 (-4 + 9) = 1, and 4 / 2 nats a token
    ("cpo", {"beta": 0.2, "sft_weight": 0.5, "label_smoothing": 0.1}, 0.9 * LS1 + 0.1 * (LS1 + 1) + 1.0),
    # p = e^-2 and e^-2.25: odds ratio p (1 - q) / (q (1 - p)) = 0.1353353 * 0.8946008 / (0.1053992 * 0.8646647) = 1.3284831
    ("orpo", {"beta": 0.5}, 2.0 + 0.5 * math.log(1 + 1 / 1.3284831)),
]


@pytest.mark.parametrize(("name", "options", "value"), BY_HAND)
def test_values_by_hand(name: str, options: dict[str, float], value: float) -> None:
    assert paired(name, options)(CHOSEN, REJECTED).tolist() == pytest.approx([value], abs=2e-6)


def test_every_paired_loss_is_worked_by_hand() -> None:
    assert {name for name, _, _ in BY_HAND} == set(PAIRED)
    assert {*PAIRED, *UNPAIRED} == set(LOSSES)


@pytest.mark.parametrize(
    ("name", "options"), [("dpo", {"beta": 0.5}), ("dpo_norm", {"beta": 4 / 3}), ("simpo", {"beta": 8.0, "gamma": 1.0})]
)
def test_a_margin_is_an_offset_in_units_of_the_reward(name: str, options: dict[str, float]) -> None:
    """z = 1 without margin; a margin of 2 times 0.5 takes it to 0."""
    with_offset = paired(name, {**options, "margin_weight": 0.5})
    assert with_offset(CHOSEN, REJECTED, torch.tensor([2.0])).item() == pytest.approx(LN2, abs=1e-6)
    assert with_offset(CHOSEN, REJECTED, torch.tensor([0.0])).item() == pytest.approx(LS1, abs=1e-6)
    with pytest.raises(RunFileError, match="margins have no effect"):
        paired(name, options)(CHOSEN, REJECTED, torch.tensor([2.0]))


@pytest.mark.parametrize("name", [n for n in PAIRED if "label_smoothing" in LOSSES[n].defaults and n != "exo"])
def test_smoothing_of_nothing_is_the_plain_loss(name: str) -> None:
    plain = {"dpo": "dpo", "robust": "dpo"}.get(name, name)
    chosen, rejected = random_sides(16)
    smoothed = paired(name, {"label_smoothing": 0.0, "beta": 0.3})(chosen, rejected)
    assert torch.equal(smoothed, paired(plain, {"beta": 0.3})(chosen, rejected))


def random_sides(n: int) -> tuple[Completions, Completions]:
    source = torch.Generator().manual_seed(3)

    def side() -> Completions:
        draw = torch.rand(3, n, generator=source)
        return Completions(-1 - 30 * draw[0], -1 - 30 * draw[1], (1 + 20 * draw[2]).long())

    return side(), side()


@pytest.mark.parametrize("name", PAIRED)
def test_permuting_pairs_permutes_losses_and_a_subset_is_a_subset(name: str) -> None:
    chosen, rejected = random_sides(12)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(1))[:7]

    def take(side: Completions) -> Completions:
        assert side.reference is not None
        assert side.tokens is not None
        return Completions(side.logps[order], side.reference[order], side.tokens[order])

    objective = paired(name)
    assert torch.equal(objective(chosen, rejected)[order], objective(take(chosen), take(rejected)))


@pytest.mark.parametrize("name", PAIRED)
@pytest.mark.parametrize(("c", "r"), [(-1e4, 0.0), (0.0, -1e4), (-1e4, -1e4), (-1e-9, -1e-9), (0.0, 0.0)])
def test_gradients_are_finite_at_extreme_log_ratios(name: str, c: float, r: float) -> None:
    """Certain and impossible completions on either side; discopop's exp(-z) is large there by definition, so at z = -1000 / 20."""
    if name == "discopop":
        c, r = c / 100, r / 100
    a, b = torch.tensor([c], requires_grad=True), torch.tensor([r], requires_grad=True)
    one = torch.tensor([1])
    loss = paired(name)(Completions(a, torch.tensor([-3.0]), one), Completions(b, torch.tensor([-3.0]), one))
    gradients = torch.autograd.grad(loss.sum(), (a, b), allow_unused=True)
    assert torch.isfinite(loss).all()
    assert all(g is None or torch.isfinite(g).all() for g in gradients)


@pytest.mark.parametrize("name", [n for n in PAIRED if n != "discopop"])
def test_the_loss_pushes_chosen_up_or_rejected_down(name: str) -> None:
    """At equal scores the gradient widens the gap: d loss / d chosen < d loss / d rejected. DiscoPOP's does not at 0: its paper says so."""
    a, b = torch.tensor([-6.0], requires_grad=True), torch.tensor([-6.0], requires_grad=True)
    one, ref = torch.tensor([3]), torch.tensor([-6.0])
    g, h = torch.autograd.grad(paired(name)(Completions(a, ref, one), Completions(b, ref, one)).sum(), (a, b))
    assert g.item() < h.item()


def test_odds_are_exact_where_one_half_is_crossed() -> None:
    """odds(p) = p / (1 - p): the two forms meet at log(1/2), values and gradients in float64 by the plain formula."""
    x = torch.tensor([-3.0, -0.7, -LN2, -0.69, -0.1, -0.001], dtype=torch.float64, requires_grad=True)
    r = torch.full_like(x, -1.0)
    tokens = torch.ones(6)
    mine = paired("orpo", {"beta": 1.0})(Completions(x, None, tokens), Completions(r, None, tokens))
    p, q = torch.exp(x), torch.exp(r)
    plain = -x + torch.log(1 + (q / (1 - q)) * ((1 - p) / p))
    assert torch.allclose(mine, plain, atol=1e-12)
    (a,), (b,) = torch.autograd.grad(mine.sum(), x), torch.autograd.grad(plain.sum(), x)
    assert torch.allclose(a, b, atol=1e-9)


@pytest.mark.parametrize("name", PAIRED)
def test_the_table_says_what_a_loss_reads(name: str) -> None:
    """Without its reference or lengths a loss that declares them stops; one that does not gives the same numbers."""
    loss, objective = LOSSES[name], paired(name)
    assert isinstance(loss, PairedLoss)
    whole = objective(CHOSEN, REJECTED)
    bare = [Completions(s.logps, None, s.tokens) for s in (CHOSEN, REJECTED)]
    short = [Completions(s.logps, s.reference, None) for s in (CHOSEN, REJECTED)]
    for needed, sides, word in ((loss.reference, bare, "reference"), (loss.lengths, short, "lengths")):
        if needed:
            with pytest.raises(TrainingError, match=word):
                objective(sides[0], sides[1])
        else:
            assert torch.equal(objective(sides[0], sides[1]), whole)


@pytest.mark.parametrize("name", PAIRED)
def test_every_option_of_the_table_changes_the_loss(name: str) -> None:
    """No option is listed that does nothing."""
    chosen, rejected = random_sides(8)
    defaults = LOSSES[name].defaults
    margins = torch.full((8,), 2.0)
    for option, value in defaults.items():
        other = paired(name, {option: value + 0.3})
        passed = margins if option == "margin_weight" else None
        assert not torch.equal(other(chosen, rejected, passed), paired(name)(chosen, rejected)), option


@pytest.mark.parametrize("name", list(LOSSES))
def test_options_without_effect_are_refused(name: str) -> None:
    make = paired if name in PAIRED else unpaired
    for option in NAMES:
        if option in LOSSES[name].defaults:
            make(name, {option: 0.25})
        else:
            with pytest.raises(RunFileError, match=f"{option} has no effect on {name}; remove it"):
                make(name, {option: 0.25})
        make(name, {option: None})
    with pytest.raises(RunFileError, match="unknown option 'temperature'"):
        make(name, {"temperature": 1.0})


def test_names_and_ranges() -> None:
    with pytest.raises(RunFileError, match=r"unknown loss 'magic', expected one of dpo, dpo_norm"):
        paired("magic")
    with pytest.raises(RunFileError, match="trueline train kto"):
        paired("kto")
    with pytest.raises(RunFileError, match="trueline train dpo"):
        unpaired("dpo")
    with pytest.raises(RunFileError, match="above 0"):
        paired("exo", {"label_smoothing": 0.0})
    for wrong in ({"beta": 0}, {"beta": math.nan}, {"beta": True}, {"label_smoothing": 0.5}, {"gamma": -1}, {"sft_weight": math.inf}):
        with pytest.raises(RunFileError):
            PreferenceOptions(**wrong)


def rows(scores: list[float]) -> Completions:
    return Completions(torch.tensor(scores) - 7.0, torch.full((len(scores),), -7.0))


def test_kto_by_hand() -> None:
    """beta 0.5, z0 1: log-ratio 3 gives z = 1, log-ratio -1 gives z = -1."""
    good = torch.tensor([True, False, True, False])
    found = unpaired("kto", {"beta": 0.5, "desirable_weight": 2.0, "undesirable_weight": 3.0})(rows([3.0, 3.0, -1.0, -1.0]), good, 1.0)
    assert found.tolist() == pytest.approx([2 * (1 - S1), 3 * S1, 2 * S1, 3 * (1 - S1)], abs=1e-6)
    # without a baseline: z = 0.5 * 2 = 1
    apo = unpaired("apo_zero_unpaired", {"beta": 0.5})(rows([2.0, 2.0]), torch.tensor([True, False]))
    assert apo.tolist() == pytest.approx([1 - S1, S1], abs=1e-6)


def test_the_baseline_is_a_mean_at_least_zero_and_carries_no_gradient() -> None:
    policy = torch.tensor([-4.0, -6.0], requires_grad=True)
    assert kl_baseline(policy, torch.tensor([-5.0, -9.0])).item() == pytest.approx(2.0)  # (1 + 3) / 2
    assert kl_baseline(policy, torch.tensor([-1.0, -8.0])).item() == 0.0  # (-3 + 2) / 2 is below 0
    assert not kl_baseline(policy, torch.tensor([-5.0, -9.0])).requires_grad


@pytest.mark.parametrize("score", [-1e4, 0.0, 1e4])
def test_kto_is_finite_at_the_edges_and_pulls_the_right_way(score: float) -> None:
    x = torch.tensor([score, score], requires_grad=True)
    loss = unpaired("kto")(Completions(x, torch.zeros(2)), torch.tensor([True, False]), 2.0)
    (g,) = torch.autograd.grad(loss.sum(), x)
    assert torch.isfinite(loss).all()
    assert torch.isfinite(g).all()
    assert g[0] <= 0 <= g[1]
