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
    """Interval of the corrected rate (Lang & Reiczigel 2014, 10.1016/j.prevetmed.2013.09.015); (estimate, n) of sensitivity and specificity
    as measured.

    Each of the three rates is drawn towards the middle before the delta method is applied, so that a rate of 0, or a judge without a
    mistake on a few labels, is not known for sure; the plain delta method misses in up to 12 % of runs what this misses in 5 to 7 %."""
    from scipy.special import ndtri

    z = float(ndtri((1 + level) / 2))
    rate = corrected_rate(failures / n, sensitivity[0], specificity[0])
    (se, n_se), (sp, n_sp) = (((estimate * m + 1) / (m + 2), m + 2) for estimate, m in (sensitivity, specificity))
    seen, strength = (failures + z * z / 2) / (n + z * z), se + sp - 1
    if strength <= 0:
        return Interval(rate, 0.0, 1.0, round(n), level)
    p, v_se, v_sp = (seen + sp - 1) / strength, se * (1 - se) / n_se, sp * (1 - sp) / n_sp
    middle = p + 2 * z * z * (p * v_se - (1 - p) * v_sp)
    half = z * math.sqrt(seen * (1 - seen) / (n + z * z) + (1 - p) ** 2 * v_sp + p**2 * v_se) / strength
    return Interval(rate, min(rate, max(0.0, middle - half)), max(rate, min(1.0, middle + half)), round(n), level)


def worsening_behind(
    difference: float, upper: float, sensitivity: tuple[float, int], specificity: tuple[float, int], share: float = 1.0, level: float = 0.95
) -> float:
    """Upper bound of a true worsening whose sides were graded by one judge: he shows Se + Sp - 1 of it, and that is an estimate too.

    difference, upper: as graded, with its bound at `level`; sensitivity, specificity: (estimate, labels); share: of the replies, that hang on
    him. By Fieller (1954), with the distance from `difference` to `upper` in the place of z times its error, and the judge's rates drawn
    towards the middle as in `corrected_interval`. A bound at or below 0 stays as it is. He is taken to err alike on both sides (`differential`).
    1 where so few labels cannot tell him from chance."""
    from scipy.special import ndtri

    if upper <= 0:
        return upper
    z = float(ndtri(level))
    (se, n_se), (sp, n_sp) = (((estimate * m + 1) / (m + 2), m + 2) for estimate, m in (sensitivity, specificity))
    strength = 1 - share + share * (sensitivity[0] + specificity[0] - 1)
    error = (z * share) ** 2 * (se * (1 - se) / n_se + sp * (1 - sp) / n_sp)
    square = strength**2 - error
    if strength <= 0 or square <= 0:
        return 1.0
    inside = (difference * strength) ** 2 - square * (difference**2 - (upper - difference) ** 2)
    return min(1.0, max(upper, (difference * strength + math.sqrt(max(inside, 0.0))) / square))
