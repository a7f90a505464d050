"""Trueline keeps a language model true to a written charter.

Rooms: `charter` says what is forbidden, `algos` holds the formulas, `core` the records, `gate` the release decision,
`guard` the run-time defence, `review` the people. Nothing is imported here: the package must stay light.
"""

__version__ = "0.1.0"
