"""Log-probabilities of completions, and of choices such as yes / no or (A) / (B)."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from trueline.charter.turns import Message
from trueline.engine.loading import LocalModel
from trueline.engine.templates import encode_completion


@torch.inference_mode()
def completion_logprobs(local: LocalModel, pairs: Sequence[tuple[Sequence[Message], str]]) -> list[float]:
    """Sum of token log-probabilities (nats) of each reply given its conversation, end token counted."""
    out = []
    for messages, reply in pairs:
        prompt, completion = encode_completion(local.tokenizer, messages, reply)
        ids = torch.tensor([prompt + completion], device=local.device)
        logits = local.model(input_ids=ids, use_cache=False, logits_to_keep=len(completion) + 1).logits[0, :-1].float()
        logp = torch.log_softmax(logits, dim=-1)
        out.append(float(logp.gather(1, ids[0, -len(completion) :, None]).sum()))
    return out


def choice_probabilities(local: LocalModel, messages: Sequence[Message], choices: Sequence[str]) -> list[float]:
    """Normalised probabilities of the given replies (2212.08073: soft labels of the feedback model)."""
    scores = torch.tensor(completion_logprobs(local, [(messages, c) for c in choices]), dtype=torch.float64)
    return [float(p) for p in torch.softmax(scores, dim=0)]
