"""Replies drawn from the model in training, with all that the update needs of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from trueline.charter.turns import Message
from trueline.core.chat import Sampling
from trueline.core.clock import generator
from trueline.engine.loading import LocalModel
from trueline.engine.sampling import generate
from trueline.engine.templates import PLAIN_STOP, encode_prompt
from trueline.errors import TrainingError
from trueline.train.distributed import listed, rank, run_of, size
from trueline.train.layout import Group
from trueline.train.policy.likelihood import by_reply


@dataclass(frozen=True, slots=True)
class Asked:
    """Prompts that leave room for a reply: messages and token ids; too_long: how many did not."""

    messages: list[tuple[Message, ...]]
    ids: list[tuple[int, ...]]
    too_long: int

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True)
class Rollout:
    """groups: prompts with the ids of their replies, end token counted; conversations: with each reply's text, in the order of groups and
    replies; ended: whether it ended by itself; sampled, keep: (replies, longest), the sampler's log-probabilities and what counts."""

    groups: list[Group]
    conversations: list[tuple[Message, ...]]
    ended: list[bool]
    sampled: torch.Tensor
    keep: torch.Tensor

    def lengths(self) -> list[int]:
        """Tokens of every reply."""
        return [len(r) for g in self.groups for r in g.replies]


def ask(local: LocalModel, prompts: Sequence[Sequence[Message]], room: int) -> Asked:
    """Encodes the prompts that leave `room` tokens. Raises `TrainingError` where none does."""
    out = Asked([], [], 0)
    for messages in prompts:
        ids = tuple(encode_prompt(local.tokenizer, messages))
        if len(ids) + room <= local.context:
            out.messages.append(tuple(messages))
            out.ids.append(ids)
    if prompts and not out.ids:
        what = f"none of {len(prompts)} prompts leaves {room} tokens of the model's {local.context} for a reply"
        raise TrainingError(what, remedy="lower max_new_tokens or shorten the prompts")
    return Asked(out.messages, out.ids, len(prompts) - len(out.ids))


def specimens(asked: Asked, samples: int, most: int, count: int) -> list[Group]:
    """`count` groups of a run's sizes (the longest prompts, `samples` replies of `most` tokens, made of the prompts' own tokens), to prove
    and time on before anything is drawn."""
    order = sorted(range(len(asked)), key=lambda i: -len(asked.ids[i]))
    pool = [t for ids in asked.ids[:64] for t in ids]
    groups = []
    for k in range(count):
        starts = [(17 * (k * samples + j)) % len(pool) for j in range(samples)]
        replies = tuple(tuple(pool[(s + t) % len(pool)] for t in range(most)) for s in starts)
        groups.append(Group(asked.ids[order[k % len(order)]], replies))
    return groups


def roll_out(
    local: LocalModel, asked: Asked, chosen: Sequence[int], samples: int, most: int, temperature: float, seed: int, *names: str
) -> Rollout:
    """`samples` replies of at most `most` tokens to each of the prompts `chosen`. Seed and names decide the draws, nothing else does: a
    resumed run draws what it would have drawn. Several processes draw the replies to a run of the prompts each."""
    source = generator(seed, "rollout", *names)
    # without a chat template a reply ends where the next turn would begin
    stop = () if local.tokenizer.chat_template else (PLAIN_STOP,)
    plan = [Sampling(temperature, max_tokens=most, stop=stop, seed=source.getrandbits(48)) for _ in range(len(chosen) * samples)]
    mine = [k * samples + j for k in run_of(len(chosen), rank(), size()) for j in range(samples)]
    own = generate(local, [asked.ids[chosen[k // samples]] for k in mine], [plan[k] for k in mine]) if mine else []
    made = listed(own)
    replies = [(*m.ids, *(() if m.end is None else (m.end,))) for m in made]
    groups = [Group(asked.ids[i], tuple(replies[k * samples : (k + 1) * samples])) for k, i in enumerate(chosen)]
    conversations = [
        (*asked.messages[i], Message("assistant", made[k * samples + j].text)) for k, i in enumerate(chosen) for j in range(samples)
    ]
    flat = torch.tensor([x for m in made for x in m.logps], device=local.device, dtype=torch.float32)
    sampled, keep = by_reply(flat, groups)
    return Rollout(groups, conversations, [m.finish_reason == "stop" for m in made], sampled, keep)
