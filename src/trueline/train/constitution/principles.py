"""Which principle is asked about: sampled by the run's seed, the prompt's own one with a stated probability."""

from __future__ import annotations

from collections.abc import Sequence

from trueline.charter.schema import Principle
from trueline.core.clock import generator
from trueline.errors import TrainingError


def drawn(
    principles: Sequence[Principle], clause: str | None, rounds: int, own: float, seed: int, name: str
) -> tuple[tuple[Principle, bool], ...]:
    """(principle, whether it is the prompt's own) of each round.

    In every round the own principle (`clause`, where the prompt has one) with probability `own`, else one drawn evenly from those that
    this prompt was not yet asked about (from all, once each was). own = 0 is the paper's even draw (2212.08073, section 3.1).
    `name`: what the draw is for, so that each prompt and phase has a source of its own. Raises `TrainingError` without principles."""
    if not principles:
        raise TrainingError("the charter has no principle, so there is nothing to criticise by", remedy="write `principles`")
    source = generator(seed, "principles", name)
    mine = next((p for p in principles if p.id == clause), None)
    out: list[tuple[Principle, bool]] = []
    left = list(principles)
    for _ in range(rounds):
        take_own = source.random() < own  # drawn also where there is no own one: the others' draws do not depend on it
        if mine is not None and take_own:
            chosen = mine
        else:
            left = left or list(principles)
            chosen = source.choice(left)
        left = [p for p in left if p.id != chosen.id]
        out.append((chosen, mine is not None and chosen.id == mine.id))
    return tuple(out)
