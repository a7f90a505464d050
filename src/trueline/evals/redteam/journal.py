"""The journal of a hunt: every move in `attempts.jsonl` as soon as it is answered, so that a run killed with -9 asks nothing twice."""

from __future__ import annotations

import json
from pathlib import Path

from trueline.evals.redteam.attempts import Attempted, read_attempts


class Journal:
    """Moves by (search, request, step). `key`: digest of all that decides the run; a file of another run is begun anew."""

    def __init__(self, path: Path, key: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path, self.fresh = path, True
        self._known: dict[tuple[str, str, int], Attempted] = {}
        head = json.dumps({"key": key}) + "\n"
        if path.exists():
            # what stands behind the last line end was cut off in writing
            whole = path.read_bytes().rpartition(b"\n")[0] + b"\n"
            if whole.startswith(head.encode()):
                path.write_bytes(whole)
                self._known = {(a.search, a.request, a.step): a for a in read_attempts(path)}
                self.fresh = False
        self._out = path.open("w" if self.fresh else "a", encoding="utf-8")
        if self.fresh:
            self._out.write(head)
            self._out.flush()

    def __len__(self) -> int:
        return len(self._known)

    def known(self, search: str, request: str, step: int, digest: str) -> Attempted | None:
        """What came of this move before; None where it was not made, or was another."""
        found = self._known.get((search, request, step))
        return found if found is not None and found.digest == digest else None

    def add(self, move: Attempted) -> None:
        """Writes one move."""
        self._known[move.search, move.request, move.step] = move
        self._out.write(json.dumps(move.to_dict(), ensure_ascii=False) + "\n")
        self._out.flush()

    def close(self) -> None:
        """Closes the file."""
        self._out.close()
