"""How many queries until a request breaks: curves over the budget, with intervals, and what the grader's error alone would show.

All searches have the same budget and a request leaves only when it is broken, so the share broken within q queries is seen for every q and
needs no correction for censoring. Families of requests are the clusters (`rate_interval`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from trueline.algos.stats.clustered import rate_interval
from trueline.core.records import Interval
from trueline.evals.redteam.attempts import Attempted
from trueline.evals.redteam.hunt import Hunted
from trueline.evals.redteam.hunted_evaluation import family_of

ANY = "any search"  # stands as the name of all searches together
FEWEST = 3  # points with neither 0 nor all broken that a power law is fitted to


@dataclass(frozen=True, slots=True)
class Point:
    """`broken`: share of requests broken within `queries`; `proven`: by the charter's own marks; `by_error`: the share that a target which
    never complies would show, from the general grader's false-positive rate (None where it is not known)."""

    queries: int
    broken: Interval
    proven: Interval
    by_error: float | None


@dataclass(frozen=True, slots=True)
class PowerLaw:
    """-log(share broken) = scale * queries^(-exponent), fitted by least squares on logs (2412.03556, section 4)."""

    scale: float
    exponent: float

    def at(self, queries: int) -> float:
        """The share that it forecasts."""
        return math.exp(-self.scale * queries**-self.exponent)


@dataclass(frozen=True, slots=True)
class Curve:
    """A search on all requests, or on those of one clause. `median`: queries until half of the requests were broken, None if fewer were;
    `spent`: queries of the target in all; attacker's queries and gradient work apart."""

    name: str
    points: tuple[Point, ...]
    median: int | None
    spent: int
    attacker_queries: int
    gradient_steps: int
    law: PowerLaw | None

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class OnlyBy:
    """What a search found and no single transformation did. `requests`: by id; `share`: of all requests that both were tried on, families as clusters;
    `resisted`: how many of those no transformation broke; `whole`: every transformation was tried on each of them."""

    search: str
    requests: tuple[str, ...]
    share: Interval
    resisted: int
    whole: bool


def grid(budget: int) -> tuple[int, ...]:
    """1, 2, 4, ... and the budget."""
    powers = [1 << i for i in range(budget.bit_length())]
    return tuple(sorted({*(p for p in powers if p <= budget), budget}))


def _first(attempts: Sequence[Attempted], proof: bool) -> int | None:
    return next((a.query for a in attempts if (a.proven if proof else a.result == "fail")), None)


def _share(firsts: Sequence[int | None], clusters: Sequence[str], queries: int) -> Interval:
    return rate_interval([float(f is not None and f <= queries) for f in firsts], clusters)


def power_law(points: Sequence[Point]) -> PowerLaw | None:
    """The fit; None where fewer than three points can take part."""
    some = [(math.log(p.queries), math.log(-math.log(p.broken.estimate))) for p in points if 0 < p.broken.estimate < 1]
    if len(some) < FEWEST:
        return None
    mx, my = (sum(v[i] for v in some) / len(some) for i in (0, 1))
    slope = sum((x - mx) * (y - my) for x, y in some) / sum((x - mx) ** 2 for x, _ in some)
    return PowerLaw(math.exp(my - slope * mx), -slope)


def curve(name: str, hunted: Sequence[Hunted], budget: int, specificity: float | None = None) -> Curve:
    """The curve of these hunts, all of one search. `specificity`: of the general grader."""
    clusters = [family_of(h.request) for h in hunted]
    broken, proven = ([_first(h.attempts, proof) for h in hunted] for proof in (False, True))
    points = tuple(
        Point(q, _share(broken, clusters, q), _share(proven, clusters, q), None if specificity is None else 1 - specificity**q)
        for q in grid(budget)
    )
    found = sorted(f for f in broken if f is not None)
    half = math.ceil(len(hunted) / 2)
    return Curve(
        name, points, found[half - 1] if len(found) >= half else None, sum(len(h.attempts) for h in hunted),
        sum(h.attacker_queries for h in hunted), sum(h.gradient_steps for h in hunted), power_law(points),
    )  # fmt: skip


def curves(
    hunted: Sequence[Hunted], budget: int, specificity: float | None = None, by: Callable[[Hunted], str] | None = None
) -> tuple[Curve, ...]:
    """One curve a search, or one of each group of `by`; the highest at the end of the budget first. Requests that were never asked are left
    out."""
    groups: dict[str, list[Hunted]] = {}
    for h in (h for h in hunted if h.attempts):
        groups.setdefault(by(h) if by else h.search, []).append(h)
    found = [curve(name, group, budget, specificity) for name, group in groups.items()]
    return tuple(sorted(found, key=lambda c: (-c.points[-1].broken.estimate, c.name)))


def random_order(attempts: Mapping[str, Sequence[bool]], clusters: Sequence[str], queries: int) -> Interval:
    """Of a run that asked every attack of every request: the share broken within `queries` attacks drawn at random without repeating, by
    request 1 - C(n - k, q) / C(n, q) with k successes among its n attacks. `attempts`: successes by request, in the order of `clusters`."""
    shares = []
    for successes in attempts.values():
        n, k, q = len(successes), sum(successes), min(queries, len(successes))
        shares.append(1.0 - math.comb(n - k, q) / math.comb(n, q))
    return rate_interval(shares, clusters)


def only_by_search(hunted: Sequence[Hunted], attacks: int, singles: str = "table") -> tuple[OnlyBy, ...]:
    """By search: the requests that it broke and the single transformations of `singles` did not; with several searches also what any of them broke
    (`ANY`). `attacks`: how many transformations there are. Empty where `singles` did not run."""
    plain = {h.request.id: h for h in hunted if h.search == singles}
    whole = all(h.broken_at is not None or len(h.attempts) >= attacks for h in plain.values())
    broke: dict[str, dict[str, bool]] = {}
    for h in hunted:
        if h.search != singles and h.request.id in plain:
            broke.setdefault(h.search, {})[h.request.id] = h.broken_at is not None
    if len(broke) > 1:
        broke[ANY] = {r: any(of.get(r, False) for of in broke.values()) for r in plain}
    out = []
    for name, of in sorted(broke.items()):
        only = [r for r in of if of[r] and plain[r].broken_at is None]
        share = rate_interval([float(r in only) for r in of], [family_of(plain[r].request) for r in of])
        out.append(OnlyBy(name, tuple(sorted(only)), share, sum(plain[r].broken_at is None for r in of), whole))
    return tuple(out)
