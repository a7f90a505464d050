"""The table in random order, without learning: what every search that learns must beat at the same budget."""

from __future__ import annotations

from trueline.evals.redteam.searches.moves import Attempt, Moves, Setting, tried


def shuffled_table(setting: Setting) -> Moves:
    """Every attack once, in an order drawn for this request."""
    names = sorted(setting.attacks)
    setting.source.shuffle(names)
    for name in names:
        yield from tried(Attempt(setting.attacks[name].apply(setting.request.messages), name))
