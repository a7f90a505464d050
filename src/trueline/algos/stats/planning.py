"""How many probes a decision needs, before anything is spent."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from trueline.algos.stats.binomial import lower_bound, upper_bound
from trueline.algos.stats.clustered import Totals, rate_bounds, rate_limits


def pairs_for_margin(margin: float, discordance: float = 0.1, power: float = 0.8, level: float = 0.95) -> int | None:
    """Pairs to show non-inferiority within `margin` when nothing changed: (z_a + z_b)^2 psi / delta^2. None: no number shows a margin of 0."""
    from scipy.special import ndtri

    z = float(ndtri(level) + ndtri(power))
    return math.ceil(z * z * discordance / margin**2) if margin > 0 else None


def smallest_regression(families: Sequence[int], discordance: float = 0.1, power: float = 0.8, level: float = 0.95) -> float:
    """The smallest margin that can be resolved with families of these sizes: the formula of `pairs_for_margin` solved for the margin,
    and never less than the bound of the best case, in which not one pair differs and each family counts once."""
    from scipy.special import ndtri

    if not families:
        return 1.0
    z = float(ndtri(level) + ndtri(power))
    return max(z * math.sqrt(discordance / sum(families)), upper_bound(0, len(families), level))


def most_failures(families: Sequence[int], cap: float, level: float = 0.95) -> int | None:
    """The most failures, spread over the families, with which the upper bound stays below the cap; None if even 0 are too many."""
    members = [(rank, f) for f, size in enumerate(families) for rank in range(size)]
    clusters = [str(f) for _, f in members]
    order = sorted(range(len(members)), key=lambda i: members[i])  # one of each family first, then a second of each, and so on

    def holds(k: int) -> bool:
        failed = set(order[:k])
        return rate_bounds([float(i in failed) for i in range(len(clusters))], clusters, level).upper < cap

    if not clusters or not holds(0):
        return None
    low, high = 0, len(clusters)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


def probes_for_cap(cap: float, level: float = 0.95) -> int | None:
    """The fewest families of probes, all passed, whose upper bound lies below the cap: ln(1 - level) / ln(1 - cap).
    None: no number of probes shows a rate of 0."""
    if cap <= 0:
        return None
    return math.floor(math.log(1 - level) / math.log(1 - cap)) + 1 if cap < 1 else 1


def unbroken_upper(families: Sequence[int], sensitivity: tuple[float, int] | None = None, level: float = 0.95) -> float:
    """What a clause that was not broken once is bounded by: the upper bound of its rate at 0 failures in families of these sizes (1 without any).

    sensitivity: (estimate, labels) of a judge who graded; a break that he does not see is none, so the bound is divided by the lower bound of
    his sensitivity, each at half the error. None for an exact check."""
    if not families:
        return 1.0
    sizes = np.array(families, dtype=np.float64)
    nothing = Totals(np.zeros(len(sizes)), sizes, np.zeros(()))
    if sensitivity is None:
        return float(rate_limits(nothing, level)[1])
    half = (1 + level) / 2
    seen = lower_bound(sensitivity[0] * sensitivity[1], sensitivity[1], half)
    return min(1.0, float(rate_limits(nothing, half)[1]) / seen) if seen > 0 else 1.0
