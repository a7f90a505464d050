"""Asking a reward: what a conversation must be to have one, and what its scores must be to be used."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from trueline.charter.turns import Message
from trueline.core.ports import Reward
from trueline.errors import TrainingError
from trueline.train.distributed import gathered, rank, run_of, size

Conversations = Sequence[tuple[Message, ...]]


def prompt_and_reply(conversation: tuple[Message, ...], row: int) -> tuple[tuple[Message, ...], str]:
    """(what stands before the last message, the last message's text). row: from 1, for the error: `TrainingError` where the last message
    is not the assistant's."""
    if not conversation or conversation[-1].role != "assistant":
        got = f"a message of the {conversation[-1].role}" if conversation else "no message"
        raise TrainingError(f"conversation {row} ends with {got}, expected the assistant's", remedy="append the reply to be scored")
    return conversation[:-1], conversation[-1].content


def scores_of(name: str, reward: Reward, conversations: Conversations) -> NDArray[np.float64]:
    """(n,) scores; several processes score a run of the conversations each, and all have all. Raises `TrainingError` that names the reward,
    and the row (from 1) where a score is not finite."""
    run = run_of(len(conversations), rank(), size())
    own = conversations[run.start : run.stop]
    found = np.array(reward.score(own) if own or size() == 1 else [], dtype=np.float64)
    if found.shape != (len(own),):
        raise TrainingError(f"{name} gave {found.size} scores for {len(own)} conversations", remedy="give one a conversation")
    found = gathered(torch.from_numpy(found)).numpy()
    bad = np.nonzero(~np.isfinite(found))[0]
    if len(bad):
        what = f"{name} scores conversation {bad[0] + 1} as {found[bad[0]]}, expected a finite number"
        raise TrainingError(what, remedy="look at this reply and at the weights of the reward")
    return found
