"""A linear reward over `reward_features`, fitted by L-BFGS under any of the losses; its ridge is chosen by folds inside the training rows.

In order: features once, the ridge by inner folds grouped by the conversation's opening, out-of-fold rewards for calibration,
the members on bootstrapped families. Microseconds a reply without an encoder.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from trueline.algos.losses.reward import ordered_thresholds
from trueline.train.judged import LOSS_OF, Judged, folds_of
from trueline.train.reward_features import Raw, Scaling, fit_scaling

RIDGES = (0.03, 0.01, 0.003, 0.001, 0.0003)
"""Tried from strong to weak, each starting from the last."""
FOLDS = 4


@dataclass(frozen=True, slots=True)
class LinearReward:
    """r = grams . x + dense . y. `thresholds`: of ordinal, else empty."""

    scaling: Scaling
    grams: NDArray[np.float64]
    dense: NDArray[np.float64]
    thresholds: tuple[float, ...] = ()

    def rewards(self, raw: Raw) -> NDArray[np.float64]:
        """(replies,)."""
        sparse, dense = self.scaling.apply(raw)
        return np.asarray(sparse @ self.grams + dense @ self.dense)


@dataclass(frozen=True, slots=True)
class Fit:
    """What is minimised: `loss` by name, `margin` whether margins count, `levels` of ordinal (0 otherwise)."""

    loss: str
    margin: bool
    levels: int


def replies_of(rows: Sequence[Judged], index: Sequence[int]) -> NDArray[np.int64]:
    """Positions of the replies of these rows among the replies of all rows."""
    starts = np.concatenate([[0], np.cumsum([len(r.replies) for r in rows])])
    parts = [np.arange(starts[i], starts[i + 1]) for i in index]
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)


def fit_linear_reward(
    raw: Raw, rows: Sequence[Judged], weights: NDArray[np.float64], fit: Fit, ridges: Sequence[float]
) -> list[LinearReward]:
    """One model a ridge, each minimising sum(w loss) / sum(w) + ridge / 2 |weights|^2. `raw`: the replies of `rows` in order; weights:
    (rows,). The thresholds are free of the ridge."""
    from scipy.optimize import minimize

    scaling = fit_scaling(raw)
    sparse, dense = scaling.apply(raw)
    turned = sparse.T.tocsr()
    n_sparse, n_dense, n_raw = sparse.shape[1], dense.shape[1], max(0, fit.levels - 1)
    w = torch.tensor(weights / weights.sum())
    loss_of = LOSS_OF[fit.loss]

    def objective(flat: NDArray[np.float64], ridge: float) -> tuple[float, NDArray[np.float64]]:
        x, y, t = np.split(flat, [n_sparse, n_sparse + n_dense])
        r = torch.tensor(sparse @ x + dense @ y, requires_grad=True)
        free = torch.tensor(t, requires_grad=True)
        loss = (w * loss_of(r, rows, ordered_thresholds(free) if n_raw else None, fit.margin)).sum()
        torch.autograd.backward(loss)
        assert r.grad is not None
        g = r.grad.numpy()
        g_t = free.grad.numpy() if free.grad is not None else np.zeros(0)
        gradient = np.concatenate([turned @ g + ridge * x, dense.T @ g + ridge * y, g_t])
        return float(loss.detach()) + 0.5 * ridge * float(x @ x + y @ y), gradient

    at = np.concatenate([np.zeros(n_sparse + n_dense), np.linspace(-1, 0, n_raw)])
    out = []
    for ridge in ridges:
        options = {"maxiter": 200, "ftol": 1e-7}
        at = minimize(objective, at, args=(ridge,), jac=True, method="L-BFGS-B", options=options).x
        x, y, t = np.split(at, [n_sparse, n_sparse + n_dense])
        thresholds = ordered_thresholds(torch.tensor(t)).tolist() if n_raw else ()
        out.append(LinearReward(scaling, x.copy(), y.copy(), tuple(thresholds)))
    return out


def _losses(model: LinearReward, raw: Raw, rows: Sequence[Judged], fit: Fit) -> NDArray[np.float64]:
    thresholds = torch.tensor(model.thresholds) if model.thresholds else None
    return np.asarray(LOSS_OF[fit.loss](torch.tensor(model.rewards(raw)), rows, thresholds, fit.margin))


def _weights(rows: Sequence[Judged], seed: int | None) -> NDArray[np.float64]:
    """Weights of the rows; with a seed, times how often a bootstrap of the families drew theirs."""
    weights = np.array([r.weight for r in rows])
    if seed is None:
        return weights
    families = sorted({r.family() for r in rows})
    drawn = np.random.default_rng(seed).multinomial(len(families), np.full(len(families), 1 / len(families)))
    count = dict(zip(families, drawn, strict=True))
    found = weights * np.array([count[r.family()] for r in rows])
    return found if found.sum() > 0 else weights


def members_of(raw: Raw, rows: Sequence[Judged], fit: Fit, ridge: float, seeds: Sequence[int]) -> list[LinearReward]:
    """One member on all rows, or several that differ by the bootstrap of their families: the loss is convex, so that nothing else could
    make them differ."""
    each = [None] if len(seeds) == 1 else list(seeds)
    return [fit_linear_reward(raw, rows, _weights(rows, seed), fit, [ridge])[0] for seed in each]


def choose_ridge(raw: Raw, rows: Sequence[Judged], fit: Fit, seed: int) -> tuple[float, list[float]]:
    """(the ridge of the least out-of-fold loss, the losses of all `RIDGES`), by folds over the openings of `rows` alone."""
    folds = np.array(folds_of(rows, FOLDS, f"ridge {seed}"))
    weights = _weights(rows, None)
    total = np.zeros(len(RIDGES))
    for k in sorted(set(folds.tolist())):
        inside, outside = np.nonzero(folds != k)[0].tolist(), np.nonzero(folds == k)[0].tolist()
        if not inside or weights[inside].sum() <= 0:
            continue
        part, left = [rows[i] for i in inside], [rows[i] for i in outside]
        models = fit_linear_reward(raw.rows(replies_of(rows, inside)), part, weights[inside], fit, RIDGES)
        there = raw.rows(replies_of(rows, outside))
        total += [float((weights[outside] * _losses(m, there, left, fit)).sum()) for m in models]
    return RIDGES[int(np.argmin(total))], (total / weights.sum()).tolist()
