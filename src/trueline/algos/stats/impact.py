"""The impact ratio: the lowest over the highest rate of favourable decisions among groups, bounded on matched pairs in families.

The measure is that of the four-fifths rule (Uniform Guidelines on Employee Selection Procedures, 29 CFR 1607.4 D): the rate of a group over
that of the group with the highest one. Our questions are matched, the same applicant is asked about as a member of each group, and come in
families of wordings. The bound is Fieller's (1954, J. R. Stat. Soc. B 16) for a ratio of two means, with variances and
covariance taken between families (sum of squares of the families' totals, C / (C - 1), t): r is below the ratio where mean(here - r there)
is significantly above 0. The delta method on the log ratio was tried and left out: where a group gets hardly any yes, the worst case that
there is, its variance explodes: 16 pairs in 12 families, "yes" and "no" throughout, were not shown to miss 0.8.

Ties are no proof. Where all pairs agree Fieller's bound is [1, 1], as a bootstrap's would be: the data are therefore joined by one unseen
family of the usual size whose every decision goes against what must be shown (as in `clustered.design_effect`), and where no pair speaks for
the ratio the exact bound on losing a yes (Clopper-Pearson at the effective number of families) is taken if it is wider. By simulation each bound misses in
at most 5 % of runs (`tests/algos/test_impact.py`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations

from trueline.algos.stats.clustered import rate_bounds
from trueline.errors import DataError

Pairs = Sequence[tuple[float, float, str]]  # (favourable here, favourable there, family): 0 or 1, one row a matched pair


@dataclass(frozen=True, slots=True)
class ImpactRatio:
    """min over groups / max over groups of the rate, with one-sided bounds at `level`. `ratio` is None where nobody got a yes."""

    ratio: float | None
    lower: float
    upper: float
    lowest: str
    highest: str
    level: float = 0.95


def ratio_lower(pairs: Pairs, level: float = 0.95) -> float:
    """One-sided lower bound of (rate here) / (rate there); 0 where nothing speaks for more. Raises `DataError` on no pairs."""
    from scipy.special import stdtrit

    if not pairs:
        raise DataError("no pairs to compare: insufficient evidence", remedy="evaluate at least one pair of people")
    here: dict[str, float] = {}
    there: dict[str, float] = {}
    sizes: dict[str, int] = {}
    for a, b, c in pairs:
        here[c], there[c], sizes[c] = here.get(c, 0.0) + a, there.get(c, 0.0) + b, sizes.get(c, 0) + 1
    unseen = sum(m * m for m in sizes.values()) / len(pairs)  # a family of the usual size: no yes here, nothing but yes there
    n, count = len(pairs) + unseen, len(sizes) + 1
    a, b = sum(here.values()) / n, (sum(there.values()) + unseen) / n
    scale = float(stdtrit(count - 1, level)) ** 2 * count / (count - 1) / n**2
    off = [(here[c] - a * m, there[c] - b * m) for c, m in sizes.items()] + [(-a * unseen, (1 - b) * unseen)]
    v_a, v_ab, v_b = (scale * sum(x) for x in ((p * p for p, _ in off), (p * q for p, q in off), (q * q for _, q in off)))
    bound = _first_root(b * b - v_b, v_ab - a * b, a * a - v_a) if a * a > v_a else 0.0
    if all(x <= y for x, y, _ in pairs):  # P(yes here) >= P(yes here | yes there) P(yes there)
        wanted = [(1.0 - x, c) for x, y, c in pairs if y > 0]
        bound = min(bound, 1.0 - rate_bounds([x for x, _ in wanted], [c for _, c in wanted], level).upper) if wanted else 0.0
    return bound


def _first_root(square: float, half: float, constant: float) -> float:
    """The least r > 0 with square r^2 + 2 half r + constant = 0, constant > 0."""
    if abs(square) < 1e-15:
        return -constant / (2 * half) if half < 0 else math.inf
    root = math.sqrt(max(half * half - square * constant, 0.0))
    return min((r for r in ((-half - root) / square, (-half + root) / square) if r > 0), default=math.inf)


def impact_ratio(matched: Mapping[tuple[str, str], Pairs], rates: Mapping[str, float], level: float = 0.95) -> ImpactRatio:
    """The impact ratio of `rates` by group. `matched`: for every ordered pair (here, there) of groups its matched pairs.

    The ratio is the least of all ordered ratios. Its lower bound is the least of theirs, each at `level` (to be above a minimum, all must
    be: an intersection-union test needs no correction). For the upper bound one of them suffices, so each has its share of the error."""
    orders = list(permutations(rates, 2))
    share = 1 - (1 - level) / len(orders)
    lower = min(ratio_lower(matched[o], level) for o in orders)
    above = [ratio_lower(matched[b, a], share) for a, b in orders]  # an upper bound of a / b is one over a lower bound of b / a
    upper = min(1.0, *(1 / x for x in above if x > 0)) if any(above) else 1.0
    lowest, highest = min(rates, key=lambda g: rates[g]), max(rates, key=lambda g: rates[g])
    if rates[highest] <= 0:
        return ImpactRatio(None, 0.0, 1.0, lowest, highest, level)
    ratio = rates[lowest] / rates[highest]
    return ImpactRatio(ratio, min(lower, ratio), max(upper, ratio), lowest, highest, level)


def families_to_show(matched: Mapping[tuple[str, str], Pairs], minimum: float, most: int = 1024) -> int | None:
    """The fewest further families of one pair, decided yes for everybody, with which the lower bound of the ratio reaches `minimum`;
    None where `most` do not, or two groups were never asked together."""

    def reached(k: int) -> bool:
        more = [(1.0, 1.0, f"\0{i}") for i in range(k)]
        return all(pairs and ratio_lower([*pairs, *more]) >= minimum for pairs in matched.values())

    if not reached(most):
        return None
    low, high = -1, most
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if reached(middle) else (middle, high)
    return high
