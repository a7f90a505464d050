"""Paired preference losses: scores of chosen and rejected in, one loss a pair out.

A score is the log-probability of a completion in nats: a sum or a mean over its tokens, minus the reference's or not, as the
table in `preference` declares for each loss. Shapes: `chosen`, `rejected` and the result (pairs,); `offset` (pairs,) or a
number, in units of the implicit reward. Nothing is reduced: the caller weighs and sums.
"""

from __future__ import annotations

import math

import torch
from torch.nn.functional import logsigmoid

from trueline.algos.losses.options import PreferenceOptions

Tensor = torch.Tensor
Offset = Tensor | float

DISCOPOP_TAU = 0.05  # temperature of the mixture in 2406.08414
CERTAIN = -1e-6  # nats a token: a completion at least this sure counts as this sure, so that its odds stay finite


def _logistic(z: Tensor, smoothing: float) -> Tensor:
    return -(1 - smoothing) * logsigmoid(z) - smoothing * logsigmoid(-z)


def logistic(chosen: Tensor, rejected: Tensor, o: PreferenceOptions, offset: Offset) -> Tensor:
    """-(1 - e) log sigmoid(z) - e log sigmoid(-z) with z = beta (chosen - rejected) - gamma - offset and e = label_smoothing.

    By the scores it is given: DPO (2305.18290, eq. 7) and conservative DPO (e > 0), ODPO with an offset (2402.10571), DPO with
    per-token scores (Tulu 3, 2411.15124, section 5.1), SimPO (2405.14734, eq. 6), the preference term of CPO (2401.08417)."""
    return _logistic(o.beta * (chosen - rejected) - o.gamma - offset, o.label_smoothing)


def squared(chosen: Tensor, rejected: Tensor, o: PreferenceOptions, offset: Offset) -> Tensor:
    """(chosen - rejected - 1 / (2 beta))^2: IPO, eq. 17 of 2310.12036, where beta is called tau."""
    return (chosen - rejected - 1 / (2 * o.beta)) ** 2


def hinge(chosen: Tensor, rejected: Tensor, o: PreferenceOptions, offset: Offset) -> Tensor:
    """max(0, 1 - beta (chosen - rejected)): the calibration loss of SLiC-HF (2305.10425) with a reference."""
    return torch.relu(1 - o.beta * (chosen - rejected))


def robust(chosen: Tensor, rejected: Tensor, o: PreferenceOptions, offset: Offset) -> Tensor:
    """The unbiased loss under labels flipped at the rate e = label_smoothing, eq. 12 of 2403.00409."""
    z, e = o.beta * (chosen - rejected), o.label_smoothing
    return (-(1 - e) * logsigmoid(z) + e * logsigmoid(-z)) / (1 - 2 * e)


def _log_odds(mean_logp: Tensor) -> Tensor:
    """log(p / (1 - p)) of p = exp(mean_logp), in the form that is exact on its side of log(1/2)."""
    x = mean_logp.clamp(max=CERTAIN)
    half = -math.log(2)
    near, far = x.clamp(min=half), x.clamp(max=half)  # the branch not taken must not give 0 * inf in the gradient
    return x - torch.where(x > half, torch.log(-torch.expm1(near)), torch.log1p(-torch.exp(far)))


def odds_ratio(chosen: Tensor, rejected: Tensor, o: PreferenceOptions, offset: Offset) -> Tensor:
    """-chosen - beta log sigmoid(log odds(chosen) - log odds(rejected)): ORPO, eq. 6 and 7 of 2403.07691, on per-token scores;
    its supervised term is the first."""
    return -chosen - o.beta * logsigmoid(_log_odds(chosen) - _log_odds(rejected))


def exo(chosen: Tensor, rejected: Tensor, o: PreferenceOptions, offset: Offset) -> Tensor:
    """KL(softmax(beta scores) || (1 - e, e)) with e = label_smoothing: EXO on pairs, eq. 16 of 2402.00856."""
    z, e = o.beta * (chosen - rejected), o.label_smoothing
    won, lost = torch.sigmoid(z), torch.sigmoid(-z)
    return won * (logsigmoid(z) - math.log1p(-e)) + lost * (logsigmoid(-z) - math.log(e))


def nca(chosen: Tensor, rejected: Tensor, o: PreferenceOptions, offset: Offset) -> Tensor:
    """-log sigmoid(c) - log sigmoid(-c) / 2 - log sigmoid(-r) / 2, c and r = beta scores: NCA on pairs (2402.05369)."""
    c, r = o.beta * chosen, o.beta * rejected
    return -logsigmoid(c) - 0.5 * logsigmoid(-c) - 0.5 * logsigmoid(-r)


def bco(chosen: Tensor, rejected: Tensor, o: PreferenceOptions, offset: Offset) -> Tensor:
    """-log sigmoid(c) - log sigmoid(-r): the classifier's loss of BCO (2404.04656) on pairs, without its reward shift."""
    return -logsigmoid(o.beta * chosen) - logsigmoid(-o.beta * rejected)


def sppo(chosen: Tensor, rejected: Tensor, o: PreferenceOptions, offset: Offset) -> Tensor:
    """(chosen - 1 / (2 beta))^2 + (rejected + 1 / (2 beta))^2: SPPO, eq. 4.7 of 2405.00675, with probabilities 1 and 0."""
    return (chosen - 0.5 / o.beta) ** 2 + (rejected + 0.5 / o.beta) ** 2


def apo_zero(chosen: Tensor, rejected: Tensor, o: PreferenceOptions, offset: Offset) -> Tensor:
    """sigmoid(-c) + sigmoid(r): APO-zero, eq. 7 of 2408.06266; for chosen replies better than the model's own."""
    return torch.sigmoid(-o.beta * chosen) + torch.sigmoid(o.beta * rejected)


def apo_down(chosen: Tensor, rejected: Tensor, o: PreferenceOptions, offset: Offset) -> Tensor:
    """sigmoid(c) + sigmoid(r - c): APO-down, eq. 8 of 2408.06266; for chosen replies worse than the model's own."""
    return torch.sigmoid(o.beta * chosen) + torch.sigmoid(o.beta * (rejected - chosen))


def discopop(chosen: Tensor, rejected: Tensor, o: PreferenceOptions, offset: Offset) -> Tensor:
    """(1 - m) (-log sigmoid(z)) + m exp(-z), m = sigmoid(z / tau): DiscoPOP, eq. 5 of 2406.08414. m exp(-z) is taken in
    logarithms, else it is 0 times infinity where z is very negative."""
    z = o.beta * (chosen - rejected)
    return -logsigmoid(z) * torch.sigmoid(-z / DISCOPOP_TAU) + torch.exp(logsigmoid(z / DISCOPOP_TAU) - z)
