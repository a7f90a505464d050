"""Probes that every charter inherits: families of ours, compiled from the charter's own items so that a reply can be checked exactly.

In order: what a family is made of stands in its file (`asking`, `truth`, `dialogues`, `conduct`, `people`); `families` is the table from a
family's name to the function that compiles it. All are of the test side, none is taught, and the same charter gives the same probes on every
machine: what has to be chosen is chosen by digest. Left out on purpose: grading (`evals/graders/state.py`) and suites (`evals/suites.py`).
"""

from trueline.charter.compile.inherited.families import family_of, inherited_probes

__all__ = ["family_of", "inherited_probes"]
