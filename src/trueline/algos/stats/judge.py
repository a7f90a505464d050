"""A rate seen through a judge that errs: the true rate behind it (Rogan & Gladen 1978), with the judge's own uncertainty."""

from __future__ import annotations

import math

from trueline.core.records import Interval
from trueline.errors import DataError


def corrected_rate(observed: float, sensitivity: float, specificity: float) -> float:
    """p = (p_obs + Sp - 1) / (Se + Sp - 1), cut to [0, 1]. Raises `DataError` for a judge no better than chance."""
    strength = sensitivity + specificity - 1
    if strength <= 0:
        raise DataError(f"a judge with Se + Sp = {sensitivity + specificity:.2f} tells nothing", remedy="use a judge with Se + Sp > 1")
    return min(1.0, max(0.0, (observed + specificity - 1) / strength))


def corrected_interval(
    failures: float, n: float, sensitivity: tuple[float, int], specificity: tuple[float, int], level: float = 0.95
) -> Interval:
    """Delta-method interval of the corrected rate; (estimate, n) of sensitivity and specificity as measured.

    Variances are those of (k + 1/2) / (n + 1): a rate of 0 or a judge without a mistake on a few labels are not known for sure."""
    from scipy.special import ndtri

    def variance(estimate: float, m: float) -> float:
        smooth = (estimate * m + 0.5) / (m + 1)
        return smooth * (1 - smooth) / m

    (se, n_se), (sp, n_sp) = sensitivity, specificity
    p = failures / n
    rate = corrected_rate(p, se, sp)
    spread = (variance(p, n) + rate**2 * variance(se, n_se) + (1 - rate) ** 2 * variance(sp, n_sp)) / (se + sp - 1) ** 2
    half = float(ndtri((1 + level) / 2)) * math.sqrt(spread)
    return Interval(rate, max(0.0, rate - half), min(1.0, rate + half), round(n), level)
