"""Losses of reward models."""

from __future__ import annotations

import torch
from torch.nn.functional import logsigmoid


def bradley_terry(chosen: torch.Tensor, rejected: torch.Tensor, margin: torch.Tensor | float = 0.0) -> torch.Tensor:
    """-log sigmoid(r_chosen - r_rejected - margin), shape (pairs,); the margin of Llama 2 (2307.09288, eq. 2)."""
    return -logsigmoid(chosen - rejected - margin)
