"""GCG: a suffix that makes a model open its reply with a given target (Zou et al., 2307.15043, algorithm 1), to test one's own model.

A step, in order: the gradient of the target's loss by the one-hot suffix; candidates with one token changed, drawn from each place's `top_k`
steepest; those dropped that do not survive being written as text; the loss of all others in batches on reused keys and values; the swaps of
the best put together and tried as well (I-GCG, 2405.21018); the best of all is the next suffix, better than the last or not.
Left out on purpose: probe sampling (a second model), a buffer of suffixes, universal suffixes over several requests.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from trueline.charter.digests import digest_of
from trueline.charter.turns import Message
from trueline.core.ports import SuffixFound
from trueline.engine.loading import LocalModel
from trueline.engine.suffix_frame import Frame, Ids, frame_of, merged
from trueline.engine.suffix_losses import Slope, SuffixLosses
from trueline.engine.suffix_state import Searched, read_state, write_state
from trueline.errors import ModelError

__all__ = ["GcgSearch", "GcgSettings"]


@dataclass(frozen=True, slots=True)
class GcgSettings:
    """length: tokens of the suffix; candidates: tried a step (the paper: 512); top_k: steepest tokens a place draws from (the paper: 256);
    merged: of how many of the best candidates the swaps are put together (1: none); rows: run at once, which bounds memory; check_every:
    steps between two calls of `done` while the target is not yet what the model would say greedily."""

    length: int = 20
    candidates: int = 256
    top_k: int = 128
    merged: int = 8
    rows: int = 64
    check_every: int = 10

    def __post_init__(self) -> None:
        if min(asdict(self).values()) < 1:
            got = ", ".join(f"{k} {v}" for k, v in asdict(self).items() if v < 1)
            raise ModelError(f"a setting of the gradient search is below 1, got {got}", remedy="give a number from 1 on")


class GcgSearch:
    """`GradientSearch` on the weights of a local model. One search at a time."""

    def __init__(self, local: LocalModel, settings: GcgSettings | None = None) -> None:
        self.local, self.settings = local, settings or GcgSettings()

    def search(
        self,
        messages: tuple[Message, ...],
        target: str,
        *,
        steps: int,
        seed: int,
        done: Callable[[str], bool] | None = None,
        state: Path | None = None,
    ) -> SuffixFound:
        """See `GradientSearch`. `done` is asked about the best suffix so far: the first, every `check_every` steps if it is new, as soon as
        the model would open greedily with the target, and at the end; asked about one twice it is never. Raises `ModelError` for a
        model or a conversation that cannot be searched, `DataError` where `state` is of another search."""
        own = self.settings
        frame = frame_of(self.local, messages, target, own.length)
        losses = SuffixLosses(self.local, frame, rows=own.rows)
        key = digest_of([self.local.digest, [m.to_dict() for m in messages], target, seed, asdict(own)])
        found = read_state(state, key) or _begun(losses)
        while True:
            found = _asked(found, frame, own, done, last=found.steps >= steps)
            if state is not None:
                write_state(state, key, found)
            if found.broke or found.steps >= steps:
                return SuffixFound(frame.text(found.best), found.best_loss, found.steps, found.tokens, found.losses)
            found = _stepped(found, losses, own, seed)


def _begun(losses: SuffixLosses) -> Searched:
    first = losses.losses([losses.frame.slot])
    loss, greedy = float(first.losses[0]), bool(first.greedy[0])
    slot = losses.frame.slot
    return Searched(slot, slot, loss, greedy, 0, losses.tokens, (loss,), None, False)


def _asked(found: Searched, frame: Frame, own: GcgSettings, done: Callable[[str], bool] | None, *, last: bool) -> Searched:
    """The search after `done` was asked, where it is time to."""
    due = last or found.greedy or found.steps % own.check_every == 0
    if done is None or found.broke or not due or found.asked == found.best:
        return found
    return found.after_asking(broke=bool(done(frame.text(found.best))))


def _stepped(found: Searched, losses: SuffixLosses, own: GcgSettings, seed: int) -> Searched:
    """One step. It draws from a source of its own, so that a search goes on from its state exactly."""
    source = torch.Generator().manual_seed(int(digest_of([seed, found.steps])[:15], 16))
    before = losses.tokens
    slope = losses.slope(found.hand)
    tried = drawn(losses.frame, found.hand, slope, own, source)
    if not tried:
        return found.after_step(found.hand, found.losses[-1], False, losses.tokens - before)
    scored = losses.losses(tried)
    values, greedy = scored.losses.tolist(), scored.greedy.tolist()
    ranked = sorted(range(len(tried)), key=lambda i: (values[i], tried[i]))
    together = losses.frame.faithful(merged(found.hand, [tried[i] for i in ranked[: own.merged]]))
    if together:
        more = losses.losses(together)
        tried, values, greedy = [*tried, *together], [*values, *more.losses.tolist()], [*greedy, *more.greedy.tolist()]
        ranked = sorted(range(len(tried)), key=lambda i: (values[i], tried[i]))
    for i in ranked:
        if losses.frame.written(tried[i]):
            return found.after_step(tried[i], values[i], greedy[i], losses.tokens - before)
    return found.after_step(found.hand, found.losses[-1], False, losses.tokens - before)


def drawn(frame: Frame, hand: Ids, slope: Slope, own: GcgSettings, source: torch.Generator) -> list[Ids]:
    """Up to `candidates` different suffixes, each `hand` with one token changed, that survive being written as text. Places and tokens are
    drawn evenly, a token among the `top_k` of its place that promise the steepest fall (2307.15043, algorithm 1, lines 4 to 8)."""
    barred = torch.ones(slope.gradient.shape[1], dtype=torch.bool)
    barred[list(frame.allowed)] = False
    fall = -slope.gradient.masked_fill(barred, float("inf"))
    fall[range(len(hand)), list(hand)] = -float("inf")  # the token that stands there is no change
    k = min(own.top_k, len(frame.allowed) - 1)
    best = fall.topk(k, dim=1).indices  # (slot, k)
    found: dict[Ids, None] = {}
    seen: set[Ids] = set()
    for _ in range(8):  # some tokenizers let few swaps survive
        places = torch.randint(len(hand), (2 * own.candidates,), generator=source)
        tokens = best[places, torch.randint(k, (2 * own.candidates,), generator=source)]
        swapped = [(*hand[:p], t, *hand[p + 1 :]) for p, t in zip(places.tolist(), tokens.tolist(), strict=True)]
        fresh = [s for s in dict.fromkeys(swapped) if s not in seen]
        seen.update(fresh)
        found.update(dict.fromkeys(frame.faithful(fresh)))
        if len(found) >= own.candidates:
            break
    return list(found)[: own.candidates]
