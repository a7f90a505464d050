"""Best-of-n: the request in random spellings until one gets through (Hughes et al. 2412.03556)."""

from __future__ import annotations

from trueline.evals.redteam.drawn import drawn
from trueline.evals.redteam.searches.moves import Attempt, Moves, Setting, tried

AT_ONCE = 4  # spellings asked side by side


def best_of_n(setting: Setting) -> Moves:
    """The request as it stands, then one augmentation after another. No reply changes what is tried next."""
    yield from tried(Attempt(setting.request.messages, "plain"))
    while True:
        attacks = [drawn(f"noise={setting.source.getrandbits(31)}") for _ in range(AT_ONCE)]
        yield from tried(*(Attempt(a.apply(setting.request.messages), a.name) for a in attacks if a is not None))
