"""Evolution of frames (after AutoDAN, Liu et al. 2310.04451): a population of frames, crossed and mutated, the grader's score their fitness.

A frame is an opening, a role and a closing, and at most one attack of the table round it. Sentences are exchanged whole, as AutoDAN's
paragraph-level crossover does; no model writes new ones, so every attack of a run can be made again from its name.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from trueline.evals.redteam.attack import Attack
from trueline.evals.redteam.attacks import PLUS, attack_named
from trueline.evals.redteam.drawn import CLOSINGS, OPENINGS, ROLES
from trueline.evals.redteam.searches.moves import Attempt, Moves, Setting, tried

POPULATION, ELITE = 6, 2
DRAWS = 200  # of children, before a generation goes on with those it has
MUTATES = 0.4  # probability that a gene of a child is drawn anew


@dataclass(frozen=True, slots=True)
class Genes:
    """Indices of the three sentences, and the name of an attack, or "" for none."""

    opening: int
    role: int
    closing: int
    attack: str

    @property
    def name(self) -> str:
        """The name of the attack that they are."""
        return f"frame={self.opening}.{self.role}.{self.closing}" + (PLUS + self.attack if self.attack else "")


def _drawn(setting: Setting) -> Genes:
    s = setting.source
    attack = s.choice(sorted(a for a in setting.attacks if a != "plain") or [""]) if s.random() < 0.5 else ""
    return Genes(s.randrange(len(OPENINGS)), s.randrange(len(ROLES)), s.randrange(len(CLOSINGS)), attack)


def _child(a: Genes, b: Genes, setting: Setting) -> Genes:
    s, new = setting.source, _drawn(setting)
    names = ("opening", "role", "closing", "attack")
    picked = {n: getattr(new if s.random() < MUTATES else s.choice((a, b)), n) for n in names}
    return replace(new, **picked)


def _attack(genes: Genes, setting: Setting) -> Attack:
    return attack_named(genes.name, setting.attacks)


def evolution(setting: Setting) -> Moves:
    """Generations of six; the two best of all so far live on and are not asked again."""
    known: dict[Genes, float] = {}
    while True:
        best = sorted(known, key=lambda g: (-known[g], g.name))[:ELITE]
        young: list[Genes] = []
        for _ in range(DRAWS):
            new = _child(setting.source.choice(best), setting.source.choice(best), setting) if best else _drawn(setting)
            if new not in known and new not in young:
                young.append(new)
            if len(young) == POPULATION - len(best):
                break
        if not young:  # every frame that can be reached was asked
            return
        found = yield from tried(*(Attempt(_attack(g, setting).apply(setting.request.messages), g.name) for g in young))
        known |= {g: seen.score for g, seen in zip(young, found, strict=False)}
