"""Baseline and candidate under the same searches, seeds and budget, each attacked anew: by how much did attacks get more successful?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from trueline.algos.stats.paired import PairedBounds, paired_bounds
from trueline.errors import DataError
from trueline.evals.redteam.hunt import Hunted
from trueline.evals.redteam.hunted_evaluation import family_of


@dataclass(frozen=True, slots=True)
class Moved:
    """Success on the candidate minus success on the baseline, by request, for one search; `bounds` one-sided at 95 %, families as clusters.
    `newly`, `no_longer`: requests that only the one or the other breaks."""

    name: str
    candidate: float
    baseline: float
    bounds: PairedBounds
    newly: int
    no_longer: int

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return asdict(self)


def moved(name: str, candidate: Sequence[Hunted], baseline: Sequence[Hunted]) -> Moved:
    """The paired difference over the requests that were asked of both. Raises `DataError` where the two were not attacked on the same requests
    by the same searches, or none was asked of both."""
    of = {(h.search, h.request.id): h.broken_at is not None for h in baseline}
    mine = {(h.search, h.request.id): h.broken_at is not None for h in candidate}
    if set(of) != set(mine):
        raise DataError("the two targets were not attacked on the same requests", remedy="attack both with the same options")
    both = {(h.search, h.request.id) for h in baseline if h.attempts} & {(h.search, h.request.id) for h in candidate if h.attempts}
    if not both:
        raise DataError(f"{name} asked no request of both targets", remedy="take an attacker that writes messages")
    candidate = [h for h in candidate if (h.search, h.request.id) in both]
    of, mine = ({k: v for k, v in broken.items() if k in both} for broken in (of, mine))
    differences = [float(mine[h.search, h.request.id]) - float(of[h.search, h.request.id]) for h in candidate]
    bounds = paired_bounds(differences, [family_of(h.request) for h in candidate])
    n = len(differences)
    return Moved(name, sum(mine.values()) / n, sum(of.values()) / n, bounds, differences.count(1.0), differences.count(-1.0))


def all_moved(candidate: Sequence[Hunted], baseline: Sequence[Hunted]) -> tuple[Moved, ...]:
    """One row a search, in the order in which they ran."""
    names = dict.fromkeys(h.search for h in candidate)
    return tuple(moved(n, [h for h in candidate if h.search == n], [h for h in baseline if h.search == n]) for n in names)
