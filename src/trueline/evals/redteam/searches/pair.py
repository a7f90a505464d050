"""PAIR: a model that attacks writes a message, reads the reply and its score, and writes a better one (Chao et al. 2310.08419).

Streams of `DEPTH` rounds one after another, each from a fresh start, until the budget ends. An answer without a message costs the attacker
a query and the target none; a stream that gives two of them in a row ends.
"""

from __future__ import annotations

from trueline.charter.turns import Message
from trueline.evals.redteam.searches.attacker import first_turn, put, told_back, written
from trueline.evals.redteam.searches.moves import Attempt, Consult, Moves, Setting, answered, tried

NAME, DEPTH = "pair", 3
EMPTY = 8  # answers without a message in a row, after which this attacker is given up


def pair(setting: Setting) -> Moves:
    """Stream after stream. The number of the stream stands in the first turn, so that a greedy attacker does not repeat itself."""
    stream = empty = 0
    while empty < EMPTY:
        stream += 1
        talk = first_turn(setting, f"Try number {stream}: choose another way than the obvious ones." if stream > 1 else "")
        for _ in range(DEPTH):
            said = yield from answered(Consult(talk, "attack"))
            message = written(said)
            if not message:
                empty += 1
                talk = (*talk, Message("assistant", said or "(nothing)"), Message("user", "Answer in the form asked for."))
                continue
            empty = 0
            (seen,) = yield from tried(Attempt(put(setting, message), NAME))
            talk = told_back(talk, said, seen)
