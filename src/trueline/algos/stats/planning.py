"""How many probes a decision needs, before anything is spent."""

from __future__ import annotations

import math

from trueline.algos.stats.binomial import upper_bound


def pairs_for_margin(margin: float, discordance: float = 0.1, power: float = 0.8, level: float = 0.95) -> int:
    """Pairs to show non-inferiority within `margin` when nothing changed: (z_a + z_b)^2 psi / delta^2."""
    from scipy.special import ndtri

    z = float(ndtri(level) + ndtri(power))
    return math.ceil(z * z * discordance / margin**2)


def smallest_regression(n: int, discordance: float = 0.1, power: float = 0.8, level: float = 0.95) -> float:
    """The smallest margin that n pairs can resolve with this power; the same formula, solved for the margin."""
    from scipy.special import ndtri

    return float((ndtri(level) + ndtri(power)) * math.sqrt(discordance / n)) if n else 1.0


def most_failures(n: int, cap: float, level: float = 0.95) -> int | None:
    """The most failures among n probes with which the upper bound stays below the cap; None if even 0 are too many."""
    if n == 0 or upper_bound(0, n, level) >= cap:
        return None
    k = 0
    while k < n and upper_bound(k + 1, n, level) < cap:
        k += 1
    return k


def probes_for_cap(cap: float, level: float = 0.95) -> int:
    """The fewest probes, all passed, whose upper bound lies below the cap: ln(1 - level) / ln(1 - cap)."""
    return math.floor(math.log(1 - level) / math.log(1 - cap)) + 1 if 0 < cap < 1 else 1
