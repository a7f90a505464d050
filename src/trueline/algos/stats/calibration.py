"""Whether a stated probability is the frequency: expected calibration error, and one temperature that mends a sharp or flat scale."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trueline.errors import DataError

BINS = 15
HOTTEST = 1e3  # a temperature that flattens everything; above it the rewards carry no order


@dataclass(frozen=True, slots=True)
class Calibration:
    """`ece` in [0, 1] over `bins` bins of equal mass; `confidence`, `accuracy`: mean stated and found in each bin; n counted."""

    ece: float
    bins: int
    confidence: tuple[float, ...]
    accuracy: tuple[float, ...]
    n: int


def expected_calibration_error(probability: NDArray[np.floating], happened: NDArray[np.bool_], bins: int = BINS) -> Calibration:
    """sum over bins of (share of the data) x |accuracy - confidence| (Naeini 2015; Guo et al., 1706.04599, eq. 3).

    probability, happened: (n,). Bins of equal mass in the order of the probability, ties in the order given: as many bins as said, or n
    where there are fewer data. With B bins of n/B a perfectly calibrated predictor still shows about
    sqrt(2 B p (1 - p) / (pi n)). Raises `DataError` on no data."""
    n = len(probability)
    if n == 0 or n != len(happened):
        raise DataError(f"{n} probabilities and {len(happened)} outcomes: insufficient evidence", remedy="give one outcome a probability")
    order = np.argsort(probability, kind="stable")
    parts = [p for p in np.array_split(order, min(bins, n)) if len(p)]
    confidence = [float(probability[p].mean()) for p in parts]
    accuracy = [float(happened[p].mean()) for p in parts]
    gaps = (len(p) / n * abs(a - c) for p, a, c in zip(parts, accuracy, confidence, strict=True))
    return Calibration(float(sum(gaps)), len(parts), tuple(confidence), tuple(accuracy), n)


def ece_of_differences(difference: NDArray[np.floating], bins: int = BINS) -> Calibration:
    """Calibration of preferences: difference (pairs,) = reward of the chosen minus reward of the rejected, in logits.

    Confidence is that of the side the model prefers, sigmoid(|difference|) in [1/2, 1]; it happened where that side was the chosen one. The
    label's own side would let every pair be "1" and hide nothing or everything; the preferred side has no such freedom. A difference
    of 0 prefers neither: half right."""
    if len(difference) == 0:
        raise DataError("no pairs: insufficient evidence", remedy="hold out at least one pair")
    right = np.where(difference == 0, 0.5, difference > 0)
    return expected_calibration_error(1 / (1 + np.exp(-np.abs(difference))), right, bins)


def fitted_temperature(difference: NDArray[np.floating], weights: NDArray[np.floating] | None = None) -> float:
    """The T > 0 that minimises the mean of log(1 + exp(-difference / T)) (1706.04599, section 4.2), by bisection on 1 / T.

    Convex in 1 / T. Where every pair is ordered rightly no finite scale is best: the differences are left as they are (T = 1), for
    evidence of that kind says nothing of the scale; where they are ordered no better than by chance, T is `HOTTEST`."""
    d = np.asarray(difference, dtype=np.float64)
    w = np.ones(len(d)) if weights is None else np.asarray(weights, dtype=np.float64)
    if len(d) == 0 or w.sum() <= 0:
        raise DataError("no pairs to fit a temperature on", remedy="give at least one pair")
    if (d[w > 0] >= 0).all():
        return 1.0 if d[w > 0].any() else HOTTEST

    def slope(scale: float) -> float:
        with np.errstate(over="ignore"):
            return float((w * d / (1 + np.exp(scale * d))).sum())

    low, high = 1 / HOTTEST, 1.0
    if slope(low) <= 0:
        return HOTTEST
    while slope(high) > 0:
        low, high = high, high * 2
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if slope(middle) > 0 else (low, middle)
    return 1 / ((low + high) / 2)
