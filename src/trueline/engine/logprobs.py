"""Log-probabilities of completions, and of choices such as yes / no or (A) / (B)."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from trueline.charter.turns import Message
from trueline.engine.loading import LocalModel
from trueline.engine.prefill import prefill
from trueline.engine.sampling import batches
from trueline.engine.templates import encode_completion, turn_ends
from trueline.errors import ModelError


def token_logprobs(local: LocalModel, pairs: Sequence[tuple[Sequence[int], Sequence[int]]], *, batch: int = 32) -> list[tuple[float, ...]]:
    """Log-probability (nats) of every completion token of (prompt ids, completion ids), in the order given. Rows of like
    length share a batch and the prefix that they have in common; only completion columns are projected to the
    vocabulary. Raises `ModelError` where a row is longer than the model's context."""
    rows = [[*p, *c] for p, c in pairs]
    for (prompt, completion), row in zip(pairs, rows, strict=True):
        if not prompt or not completion:
            raise ModelError("a prompt and a completion of at least one token are needed", remedy="leave out empty rows")
        if len(row) > local.context:
            what = f"prompt and completion have {len(row)} tokens, the model takes at most {local.context}"
            raise ModelError(what, remedy="shorten the conversation")
    out: dict[int, tuple[float, ...]] = {}
    for chosen in batches(local, rows, batch):
        out.update(_batch_logprobs(local, chosen, [rows[i] for i in chosen], [len(pairs[i][1]) for i in chosen]))
    return [out[i] for i in range(len(pairs))]


@torch.inference_mode()
def _batch_logprobs(
    local: LocalModel, names: Sequence[int], rows: Sequence[Sequence[int]], lengths: Sequence[int]
) -> dict[int, tuple[float, ...]]:
    # the last token of a row is predicted, never read: it need not be run
    logits = prefill(local, [r[:-1] for r in rows], room=0, keep=max(lengths)).logits  # (rows, longest, vocab)
    found = {}
    for r, (name, row, n) in enumerate(zip(names, rows, lengths, strict=True)):
        logp = torch.log_softmax(logits[r, -n:], dim=-1)
        targets = torch.tensor(list(row[-n:]), device=logits.device)
        found[name] = tuple(float(x) for x in logp.gather(1, targets[:, None])[:, 0].tolist())
    return found


def completion_logprobs(local: LocalModel, pairs: Sequence[tuple[Sequence[Message], str]]) -> list[float]:
    """Sum of token log-probabilities (nats) of each reply given its conversation, end of turn counted."""
    encoded = [encode_completion(local.tokenizer, messages, reply) for messages, reply in pairs]
    return [sum(each) for each in token_logprobs(local, encoded)]


def choice_probabilities(local: LocalModel, messages: Sequence[Message], choices: Sequence[str], *, whole: bool = False) -> list[float]:
    """Normalised probabilities that the reply begins with each of `choices`, (choices,); `whole`: that it is exactly
    that, end of turn counted. The soft labels of the feedback model in 2212.08073, section 4.1: ask in both orders and
    average, since small models prefer a position."""
    return all_choice_probabilities(local, [messages], choices, whole=whole)[0]


def all_choice_probabilities(
    local: LocalModel, conversations: Sequence[Sequence[Message]], choices: Sequence[str], *, whole: bool = False
) -> list[list[float]]:
    """`choice_probabilities` of many conversations, (conversations, choices), in batches."""
    encoded = []
    ends = turn_ends(local.tokenizer)
    for messages in conversations:
        for choice in choices:
            prompt, completion = encode_completion(local.tokenizer, messages, choice)
            while not whole and len(completion) > 1 and completion[-1] in ends:
                completion = completion[:-1]
            encoded.append((prompt, completion))
    sums = [sum(each) for each in token_logprobs(local, encoded)]
    scores = torch.tensor(sums, dtype=torch.float64).view(len(conversations), len(choices))
    found: list[list[float]] = torch.softmax(scores, dim=1).tolist()
    return found
