"""The token-wise constrained fine-tuning loss: what an aligned model says first may hardly move.

Qi et al., "Safety Alignment Should Be Made More Than Just a Few Tokens Deep" (2406.05946), equation 3 and section 4.2.
"""

from __future__ import annotations

import torch
from torch.nn.functional import logsigmoid

BETAS = (0.5, 2.0, 2.0, 2.0, 2.0)  # of a reply's first five tokens (section 4.2); the larger, the less the token may move
LATER = 0.1  # of every later token: nearly the plain loss


def betas_at(places: torch.Tensor) -> torch.Tensor:
    """The paper's strengths, (tokens,) float32, of tokens that stand at `places` (tokens,) of their reply, counted from 0."""
    table = torch.tensor([*BETAS, LATER], device=places.device)
    return table[places.clamp(max=len(BETAS))]


def constrained_nll(logps: torch.Tensor, reference: torch.Tensor, betas: torch.Tensor) -> torch.Tensor:
    """Equation 3, a value a token, (tokens,): -(2 / beta) log sigmoid(beta (logp - reference)).

    logps, reference: (tokens,) nats under the model and under the aligned model it began as. The gradient is that of the plain negative
    log-likelihood times 2 sigmoid(-beta (logp - reference)): 1 where nothing has moved, 0 where the token has become much likelier."""
    return -(2 / betas) * logsigmoid(betas * (logps - reference))
