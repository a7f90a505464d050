"""The models beside the one in training: the reference it started as, and the value model of PPO."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import torch

from trueline.engine.loading import LocalModel
from trueline.errors import TrainingError
from trueline.train.layout import Group
from trueline.train.policy.likelihood import by_reply, hidden, laid_out
from trueline.train.reward_causal import head_of, with_head


@dataclass(frozen=True, slots=True)
class Reference:
    """The model as it was at step 0. `inside`: what must be entered for `model` to be it (adapters off)."""

    model: Any
    inside: Callable[[], AbstractContextManager[Any]]


def reference_of(local: LocalModel) -> Reference:
    """A frozen copy; with adapters, the very model with them off. Call before anything is trained or restored."""
    wrapped = getattr(local.model, "wrapped", None)
    if wrapped is not None:
        return Reference(local.model, wrapped.disable_adapter)
    model = copy.deepcopy(local.model).eval().requires_grad_(False)
    return Reference(model, nullcontext)


def critic_of(local: LocalModel, start: LocalModel | None) -> LocalModel:
    """A value model: a copy of `start`, a sequence classifier such as a reward model's member, or the model in training under a head of
    zeros (no reply is expected to be worth more than another). Raises `TrainingError` where tokenizers differ."""
    if start is None:
        if hasattr(local.model, "wrapped"):
            raise TrainingError("a value model cannot be made from a model with adapters", remedy="start it from a reward model")
        made = with_head(local, 0)
        torch.nn.init.zeros_(head_of(made.model).weight)
        return made
    if start.tokenizer.get_vocab() != local.tokenizer.get_vocab():
        what = "the value model's tokenizer is not that of the model in training: its values would be of other tokens"
        raise TrainingError(what, remedy="start from a reward model trained on the same base")
    return replace(start, model=copy.deepcopy(start.model).to(local.device))


def values_of(critic: LocalModel, groups: Sequence[Group], pad_id: int) -> torch.Tensor:
    """What is still expected before every token of the replies, (replies, longest)."""
    layout = laid_out(groups, 1, pad_id, critic.device)
    return by_reply(head_of(critic.model)(hidden(critic.model, layout, 1))[:, 0].float(), groups)[0]
