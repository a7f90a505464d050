"""The share of wrong labels in preferences and labelled rows: a linear text classifier out of fold, then `algos.stats.label_noise`.

In order: n-grams and length of the replies (pairs: their differences), folds by the conversation's opening, the ridge of the least
out-of-fold loss, the rate from the scores. At most `MOST` rows are looked at, spread over the data. Seconds on a CPU, no model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trueline.algos.stats.label_noise import NoiseEstimate, flip_rate
from trueline.data.unpaired import Labelled
from trueline.train.judged import Judged, conversations_of, folds_of
from trueline.train.reward_features import fit_scaling, raw_features

MOST = 3000  # rows
FOLDS = 4
RIDGES = (0.01, 0.003, 0.001)  # each starts from the last; the rate is estimated on any scale of the scores, so no finer choice is needed


def _features(rows: Sequence[Judged]) -> Any:
    """CSR (replies, columns). Scaled on all replies: nothing here sees a label."""
    import scipy.sparse as sp

    raw = raw_features(conversations_of(rows), None)
    grams, dense = fit_scaling(raw).apply(raw)
    return sp.hstack([grams, sp.csr_matrix(dense)]).tocsr()


def _logistic(x: Any, y: NDArray[np.float64], ridge: float, constant: bool, at: NDArray[np.float64]) -> NDArray[np.float64]:
    """The weights (columns + 1,), the last one the constant, that minimise mean log(1 + exp(-y z)) + ridge / 2 |w|^2."""
    from scipy.optimize import minimize
    from scipy.special import expit

    turned = x.T.tocsr()

    def objective(w: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        z = y * (x @ w[:-1] + w[-1])
        g = -y * expit(-z) / len(y)
        loss = float(np.logaddexp(0, -z).mean()) + 0.5 * ridge * float(w[:-1] @ w[:-1])
        return loss, np.append(turned @ g + ridge * w[:-1], g.sum() if constant else 0.0)

    found = minimize(objective, at, jac=True, method="L-BFGS-B", options={"maxiter": 100, "ftol": 1e-6})
    return np.asarray(found.x)


def _out_of_fold(x: Any, y: NDArray[np.float64], folds: NDArray[np.int64], constant: bool) -> NDArray[np.float64]:
    """(rows,) log-odds from weights that the row's fold had no part in, at the best of `RIDGES`."""
    out = np.zeros((len(RIDGES), len(y)))
    for k in sorted(set(folds.tolist())):
        inside, outside = np.nonzero(folds != k)[0], np.nonzero(folds == k)[0]
        if not len(inside):
            continue
        part, w = x[inside], np.zeros(x.shape[1] + 1)
        for i, ridge in enumerate(RIDGES):
            w = _logistic(part, y[inside], ridge, constant, w)
            out[i, outside] = x[outside] @ w[:-1] + w[-1]
    return np.asarray(out[int(np.logaddexp(0, -y * out).mean(axis=1).argmin())])


def _estimate(rows: Sequence[Judged], x: Any, y: NDArray[np.float64], constant: bool, step: int) -> NoiseEstimate:
    folds = np.array(folds_of(rows, FOLDS, "label noise"))
    found = flip_rate(_out_of_fold(x, y, folds, constant), y, [r.family() for r in rows], shift=constant)
    return replace(found, suspects=tuple(step * i for i in found.suspects))


def _step(n: int) -> int:
    return -(-n // MOST)


def pair_noise(pairs: Sequence[Judged]) -> NoiseEstimate:
    """The share of pairs (`judged.of_pairs`) whose better reply is the other one. `suspects` are positions in `pairs`."""
    step = max(1, _step(len(pairs)))
    rows = pairs[::step]
    if not rows:
        return flip_rate(np.zeros(0), np.zeros(0), shift=False)
    x = _features(rows)
    # a pair is stored better first; every second one is turned round with its label, so that nothing can be learnt from the order
    sign = np.where(np.arange(len(rows)) % 2 == 0, 1.0, -1.0)
    return _estimate(rows, (x[0::2] - x[1::2]).multiply(sign[:, None]).tocsr(), sign, False, step)


def reply_noise(rows: Sequence[Labelled]) -> NoiseEstimate:
    """The share of labelled rows (desirable or not) whose label is the other one. `suspects` are positions in `rows`."""
    step = max(1, _step(len(rows)))
    kept = rows[::step]
    if not kept:
        return flip_rate(np.zeros(0), np.zeros(0), shift=True)
    judged = [Judged(r.prompt, (r.reply,), (1,)) for r in kept]
    return _estimate(judged, _features(judged), np.array([1.0 if r.desirable else -1.0 for r in kept]), True, step)
