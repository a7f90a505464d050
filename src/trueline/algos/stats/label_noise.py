"""How many labels are wrong, from the out-of-fold scores of a classifier that learnt from these very labels.

Confident learning (Northcutt et al. 2021, 1911.00068) counts the rows of which a classifier is sure and the label says otherwise. With a weak
classifier most of those are its own mistakes, and the count is far too high. So the same out-of-fold scores go into a likelihood that
knows both: the label-noise robust logistic model (Bootkrajang & Kaban 2012, eq. 2), in which a right label follows the score and any
label is then turned round with one rate. What says the rate is where the agreement of label and score stops rising with the score; a
classifier whose agreement never levels off leaves the rate open, and the interval is wide.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trueline.algos.stats.clustered import effective_size
from trueline.core.records import Interval
from trueline.errors import DataError

FEWEST = 100  # labels
SEPARATES = 20.0  # twice the gain in log-likelihood over a score that says nothing; below it estimates were seen to be luck
RATES = np.linspace(0.0, 0.49, 50)  # at 1/2 a label says nothing
STEEPEST = 6.0  # log of the slope on scores of median size 1


@dataclass(frozen=True, slots=True)
class NoiseEstimate:
    """rate: share of the labels that are turned round, in [0, 1/2), with its interval; None where it cannot be told, and `note` says why.
    separation: twice the gain in log-likelihood over a score that says nothing. suspects: rows whose label is likelier wrong than right,
    the likeliest first. n: labels."""

    rate: Interval | None
    separation: float
    suspects: tuple[int, ...]
    n: int
    note: str = ""

    def words(self) -> str:
        """One line for a person."""
        if self.rate is None:
            return self.note
        r = self.rate
        told = f"about {100 * r.estimate:.0f} % ({100 * r.low:.0f} to {100 * r.high:.0f} at {100 * r.level:.0f} %, n = {self.n})"
        return f"{told}; {self.note}" if self.note else told


def _channel(
    score: NDArray[np.float64], label: NDArray[np.float64], at: NDArray[np.float64], rate: float
) -> tuple[float, NDArray[np.float64]]:
    """(-log-likelihood, its gradient) of P(label | score) = rate + (1 - 2 rate) sigmoid(label (slope score + shift)); at: (log slope, shift)."""
    from scipy.special import expit

    slope = np.exp(at[0])
    right = expit(label * (slope * score + at[1]))
    p = np.maximum(rate + (1 - 2 * rate) * right, 1e-12)
    d = -(1 - 2 * rate) * right * (1 - right) / p * label
    return -float(np.log(p).sum()), np.array([float(d @ score) * slope, float(d.sum())])


def _profile(score: NDArray[np.float64], label: NDArray[np.float64], shift: bool) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(the least -log-likelihood at every one of `RATES`, the (log slope, shift) there)."""
    from scipy.optimize import minimize

    bounds = [(-STEEPEST, STEEPEST), (-20.0, 20.0) if shift else (0.0, 0.0)]
    worst, where, at = np.empty(len(RATES)), np.empty((len(RATES), 2)), np.zeros(2)
    for i, rate in enumerate(RATES):
        found = minimize(lambda x, r=rate: _channel(score, label, x, r), at, jac=True, method="L-BFGS-B", bounds=bounds)
        worst[i], where[i], at = found.fun, found.x, found.x
    return worst, where


def _interval(loss: NDArray[np.float64], worth: float, n: int, level: float) -> Interval:
    """The rates that a likelihood-ratio test at `level` does not refuse; `worth`: share of the rows that are independent."""
    from scipy.special import chdtri

    inside = np.nonzero((loss - loss.min()) * worth <= chdtri(1, 1 - level) / 2)[0]
    low, high = max(0, int(inside.min()) - 1), min(len(RATES) - 1, int(inside.max()) + 1)  # the bounds lie between two rates: outwards
    return Interval(float(RATES[loss.argmin()]), float(RATES[low]), float(RATES[high]), n, level)


def flip_rate(
    scores: NDArray[np.floating], labels: NDArray[np.floating], clusters: Sequence[str] | None = None, *, shift: bool, level: float = 0.95
) -> NoiseEstimate:
    """scores: (n,), out-of-fold log-odds of the label 1 up to scale (a score that its row's label was used for hides every mistake);
    labels: (n,), 1 or -1; clusters: (n,), rows that fall together. shift: whether the log-odds have a constant (labelled rows; a pair has no
    order, so none). Labels of both kinds are taken to be turned round equally often, and regardless of the text. Raises `DataError` for
    lengths that differ."""
    from scipy.special import expit

    score, label = np.asarray(scores, dtype=np.float64), np.asarray(labels, dtype=np.float64)
    n = len(label)
    if len(score) != n or (clusters is not None and len(clusters) != n):
        raise DataError(f"{len(score)} scores and {n} labels, expected as many", remedy="give one score a label")
    if n < FEWEST:
        return NoiseEstimate(None, 0.0, (), n, f"insufficient evidence: {n} labels, expected at least {FEWEST}")
    if shift and len(set(label.tolist())) < 2:
        return NoiseEstimate(None, 0.0, (), n, "insufficient evidence: all labels are the same")
    score = score / max(float(np.median(np.abs(score))), 1e-12)
    loss, where = _profile(score, label, shift)
    share = float((label > 0).mean()) if shift else 0.5
    nothing = -n * sum(p * np.log(p) for p in (share, 1 - share))
    worth = effective_size([float(x) for x in (score * label < 0)], clusters) / n if clusters is not None else 1.0
    separation = float(2 * (nothing - loss.min()) * worth)
    if separation < SEPARATES:
        why = f"not identifiable: from the text alone a classifier cannot tell these labels (separation {max(0.0, separation):.0f}, expected {SEPARATES:.0f})"
        return NoiseEstimate(None, separation, (), n, why)
    rate, best = _interval(loss, worth, n, level), int(loss.argmin())
    right = expit(label * (np.exp(where[best, 0]) * score + where[best, 1]))
    wrong = RATES[best] * (1 - right) / (RATES[best] + (1 - 2 * RATES[best]) * right + 1e-12)  # Bayes: turned round, given label and score
    suspects = tuple(int(i) for i in np.argsort(-wrong, kind="stable") if wrong[i] > 0.5)
    open_ended = "the data hardly say: the agreement of labels and text does not level off" if rate.high - rate.low > 0.25 else ""
    return NoiseEstimate(rate, separation, suspects, n, open_ended)
