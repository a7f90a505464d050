"""How far a gradient search is, as a value and as a file that is whole or not there."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from trueline.engine.suffix_frame import Ids
from trueline.errors import DataError


@dataclass(frozen=True, slots=True)
class Searched:
    """hand: the suffix from which the next step starts; best, best_loss, greedy: the likeliest so far, its loss (nats) and whether the model
    would open greedily with the target; tokens: run so far; losses: of the suffix in hand, at the start and after each step; asked: the
    suffix that `done` was last asked about; broke: whether it said yes."""

    hand: Ids
    best: Ids
    best_loss: float
    greedy: bool
    steps: int
    tokens: int
    losses: tuple[float, ...]
    asked: Ids | None
    broke: bool

    def after_step(self, hand: Ids, loss: float, greedy: bool, tokens: int) -> Searched:
        """One step further, at `hand`, which cost `tokens`."""
        on = replace(self, hand=hand, steps=self.steps + 1, tokens=self.tokens + tokens, losses=(*self.losses, loss))
        return replace(on, best=hand, best_loss=loss, greedy=greedy) if loss < self.best_loss else on

    def after_asking(self, *, broke: bool) -> Searched:
        """With the answer about the best suffix."""
        return replace(self, asked=self.best, broke=broke)


def write_state(path: Path, key: str, found: Searched) -> None:
    """Writes beside, then renames."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".part")
    with beside.open("w", encoding="utf-8") as f:
        json.dump({"search": key, **asdict(found)}, f)
        f.flush()
        os.fsync(f.fileno())
    os.replace(beside, path)


def read_state(path: Path | None, key: str) -> Searched | None:
    """What `write_state` wrote; None where there is no file. Raises `DataError` where it is of another search, or damaged."""
    if path is None or not path.exists():
        return None
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        if raw.pop("search") != key:
            what = "this is the state of another search (model, conversation, target, seed or settings differ)"
            raise DataError(what, remedy="remove the file, or name another", file=path)
        given = {f.name: raw[f.name] for f in fields(Searched)}
        given.update({name: tuple(given[name]) for name in ("hand", "best", "losses", "asked") if given[name] is not None})
        return Searched(**given)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as e:
        if isinstance(e, DataError):
            raise
        raise DataError(f"this is no state of a gradient search ({type(e).__name__})", remedy="remove it", file=path) from None
