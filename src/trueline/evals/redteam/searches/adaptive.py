"""Thompson sampling over the table and its compositions: attacks that broke earlier requests come first.

Each attack has a Beta(1 + wins, PRIOR + losses) belief, shared by all requests of the run; each request draws from all beliefs and tries the
attack with the highest draw that it has not tried yet. Compositions begin with the mean belief of their parts.
"""

from __future__ import annotations

from trueline.evals.redteam.attacks import PLUS
from trueline.evals.redteam.searches.moves import Attempt, Moves, Setting, tried

PRIOR = 3.0  # losses that an attack is believed to have had before it was tried
SHARE = 0.5  # of what its parts won and lost, what a composition that was not tried yet believes of itself


def _belief(setting: Setting, name: str) -> tuple[float, float]:
    wins, tries = setting.memory.get(name, (0, 0))
    a, b = 1.0 + wins, PRIOR + tries - wins
    parts = name.split(PLUS)
    if len(parts) > 1:
        for part in parts:
            w, t = setting.memory.get(part, (0, 0))
            a, b = a + SHARE * w / len(parts), b + SHARE * (t - w) / len(parts)
    return a, b


def adaptive(setting: Setting) -> Moves:
    """Tries each attack at most once on this request, the most promising first."""
    left = sorted(setting.attacks)
    while left:
        drawn = {name: setting.source.betavariate(*_belief(setting, name)) for name in left}
        name = max(left, key=lambda n: drawn[n])
        left.remove(name)
        (seen,) = yield from tried(Attempt(setting.attacks[name].apply(setting.request.messages), name))
        wins, tries = setting.memory.get(name, (0, 0))
        setting.memory[name] = (wins + (seen.result == "fail"), tries + 1)
