"""The table of searches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from trueline.errors import SuiteError
from trueline.evals.redteam.searches.adaptive import adaptive
from trueline.evals.redteam.searches.best_of_n import best_of_n
from trueline.evals.redteam.searches.crescendo import crescendo
from trueline.evals.redteam.searches.evolution import evolution
from trueline.evals.redteam.searches.gradient import gradient
from trueline.evals.redteam.searches.moves import Moves, Setting
from trueline.evals.redteam.searches.pair import pair
from trueline.evals.redteam.searches.persuasion import persuasion
from trueline.evals.redteam.searches.random_suffix import random_suffix
from trueline.evals.redteam.searches.table import shuffled_table
from trueline.evals.redteam.searches.tree import tree


@dataclass(frozen=True, slots=True)
class Search:
    """`attacker`: it needs a model that writes attacks; `gradients`: it needs the weights. `at_once`: how many requests are open at a time, 0
    for all; a search that learns from one request for the next learns more with few."""

    name: str
    describe: str
    start: Callable[[Setting], Moves]
    attacker: bool = False
    gradients: bool = False
    at_once: int = 0


_ALL = (
    Search("table", "the table of attacks in random order, without learning", shuffled_table),
    Search("adaptive", "Thompson sampling over the table, learning from request to request", adaptive, at_once=8),
    Search("best-of-n", "random spellings (2412.03556)", best_of_n),
    Search("random-suffix", "random search over words behind the request (2404.02151)", random_suffix),
    Search("evolution", "frames crossed and mutated (2310.04451)", evolution),
    Search("pair", "an attacker that reads the replies (2310.08419)", pair, attacker=True),
    Search("tap", "a tree of attacks with pruning (2312.02119)", tree, attacker=True),
    Search("crescendo", "a conversation that comes nearer step by step (2404.01833)", crescendo, attacker=True),
    Search("persuasion", "ways of persuading people (2401.06373)", persuasion, attacker=True),
    Search("gcg", "greedy coordinate gradient on the weights (2307.15043)", gradient, gradients=True),
)
SEARCHES: Mapping[str, Search] = {s.name: s for s in _ALL}


def searches_named(names: Iterable[str]) -> tuple[Search, ...]:
    """These searches. Raises `SuiteError` for a name that is not in the table."""
    found = tuple(dict.fromkeys(names))
    for name in found:
        if name not in SEARCHES:
            raise SuiteError(f"there is no search {name!r}", remedy=f"choose from {', '.join(SEARCHES)}")
    return tuple(SEARCHES[n] for n in found)
