"""The journal of a hunt: every move in `attempts.jsonl` as soon as it is answered, so that a run killed with -9 asks nothing twice."""

from __future__ import annotations

from pathlib import Path

from trueline.errors import DataError
from trueline.evals.budget import Spent
from trueline.evals.journal import DAMAGED, Lines
from trueline.evals.redteam.attempts import Attempted, attempted_from


class Journal:
    """Moves by (search, request, step). `key`: digest of all that decides the run; a file of another run is begun anew."""

    def __init__(self, path: Path, key: str) -> None:
        self._lines = Lines(path, key)
        self.path, self.fresh = path, self._lines.fresh
        self._known: dict[tuple[str, str, int], Attempted] = {}
        for number, row in self._lines.read():
            try:
                a = attempted_from(row)
            except DataError as e:
                raise DataError(e.what, remedy=DAMAGED, file=path, line=number) from None
            self._known[a.search, a.request, a.step] = a

    def __len__(self) -> int:
        return len(self._known)

    def cost(self, attacker: bool = False) -> Spent:
        """What the queries of the target have cost that stand in it, and with `attacker` those of a served one: what is asked here costs nothing."""
        out = Spent()
        for a in self._known.values():
            if a.asked == "target" or (attacker and a.asked == "attacker"):
                out.add(1, a.input_tokens, a.output_tokens)
        return out

    def known(self, search: str, request: str, step: int, digest: str) -> Attempted | None:
        """What came of this move before; None where it was not made, or was another."""
        found = self._known.get((search, request, step))
        return found if found is not None and found.digest == digest else None

    def add(self, move: Attempted) -> None:
        """Writes one move."""
        self._known[move.search, move.request, move.step] = move
        self._lines.write([move.to_dict()])

    def close(self) -> None:
        """Closes the file."""
        self._lines.close()
