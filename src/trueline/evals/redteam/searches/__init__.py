"""Searches: each looks for an attack that breaks one request, under a budget of queries that all searches share."""

from trueline.evals.redteam.searches.catalogue import SEARCHES, Search, searches_named
from trueline.evals.redteam.searches.moves import Attempt, Consult, Gradient, Moves, Seen, Setting

__all__ = ["SEARCHES", "Attempt", "Consult", "Gradient", "Moves", "Search", "Seen", "Setting", "searches_named"]
