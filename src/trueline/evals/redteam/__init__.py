"""Attacks: transformations and searches that try to make a target break a clause."""

from trueline.evals.redteam.attacked import AttackGrader, attack_of, attacked_suite, chosen, control_suite
from trueline.evals.redteam.attacks import ATTACKS, Attack
from trueline.evals.redteam.success import AttackSuccess, attack_success, fell, legibility

__all__ = [
    "ATTACKS",
    "Attack",
    "AttackGrader",
    "AttackSuccess",
    "attack_of",
    "attack_success",
    "attacked_suite",
    "chosen",
    "control_suite",
    "fell",
    "legibility",
]
