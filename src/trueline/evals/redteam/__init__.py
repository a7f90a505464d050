"""Attacks: transformations and searches that try to make a target break a clause."""

from trueline.evals.redteam.attack import Attack
from trueline.evals.redteam.attacked import AttackGrader, attack_of, attacked_suite, control_suite, near_miss_suite, origins, requests_of
from trueline.evals.redteam.attacks import ATTACKS, FAMILIES, attack_named, chosen, pairs, table
from trueline.evals.redteam.attempts import ATTEMPTS, Attempted, attempts_of, read_attempts
from trueline.evals.redteam.hunt import Hunted, Means, hunt
from trueline.evals.redteam.searches import SEARCHES, searches_named
from trueline.evals.redteam.success import AttackSuccess, attack_success, fell, legibility

__all__ = [
    "ATTACKS",
    "ATTEMPTS",
    "FAMILIES",
    "SEARCHES",
    "Attack",
    "AttackGrader",
    "AttackSuccess",
    "Attempted",
    "Hunted",
    "Means",
    "attack_named",
    "attack_of",
    "attack_success",
    "attacked_suite",
    "attempts_of",
    "chosen",
    "control_suite",
    "fell",
    "hunt",
    "legibility",
    "near_miss_suite",
    "origins",
    "pairs",
    "read_attempts",
    "requests_of",
    "searches_named",
    "table",
]
