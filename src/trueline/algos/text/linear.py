"""A linear classifier over hashed n-grams: multinomial logistic regression, fitted deterministically with L-BFGS.

Used for the linear tier of the reply grader and for the guard's heads. Microseconds a text, no torch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trueline.algos.text.ngrams import SparseRows
from trueline.errors import DataError


@dataclass(frozen=True, slots=True)
class LinearModel:
    """weights: float32 (buckets, classes); bias: float32 (classes,); labels: class names in column order."""

    weights: NDArray[np.float32]
    bias: NDArray[np.float32]
    labels: tuple[str, ...]


def _logits(rows: SparseRows, weights: NDArray[np.floating], bias: NDArray[np.floating]) -> NDArray[np.float64]:
    counts = np.diff(rows.starts)
    out = np.zeros((len(rows), weights.shape[1]))
    owner = np.repeat(np.arange(len(rows)), counts)
    for c in range(weights.shape[1]):
        out[:, c] = np.bincount(owner, weights=weights[rows.columns, c], minlength=len(rows))
    return out / np.sqrt(np.maximum(counts, 1))[:, None] + bias


def probabilities(model: LinearModel, rows: SparseRows) -> NDArray[np.float64]:
    """Class probabilities, shape (rows, classes), each row sums to 1."""
    z = _logits(rows, model.weights, model.bias)
    z -= z.max(axis=1, keepdims=True)
    e = np.exp(z)
    return np.asarray(e / e.sum(axis=1, keepdims=True))


def fit_linear(
    rows: SparseRows,
    labels: NDArray[np.int64],
    names: tuple[str, ...],
    *,
    buckets: int,
    l2: float = 1e-3,
    weights: NDArray[np.float64] | None = None,
    iterations: int = 200,
) -> LinearModel:
    """Fits by minimising mean weighted cross-entropy + l2/2 |W|^2 (bias free of it).

    labels: int (rows,) in [0, len(names)); weights: per-row weight (default 1). Raises `DataError` on empty data."""
    from scipy.optimize import minimize  # here for weight: 0.2 s, and only fitting needs it
    from scipy.sparse import csr_matrix

    if len(rows) == 0 or len(rows) != len(labels):
        raise DataError(f"{len(rows)} rows and {len(labels)} labels to fit on", remedy="give one label a row, at least one row")
    n, k = len(rows), len(names)
    w = np.ones(n) if weights is None else np.asarray(weights, dtype=np.float64)
    w = w / w.sum()
    counts = np.diff(rows.starts)
    used, columns = np.unique(rows.columns, return_inverse=True)
    scale = np.repeat(1.0 / np.sqrt(np.maximum(counts, 1)), counts)
    seen = csr_matrix((scale, columns, rows.starts), shape=(n, len(used)))
    turned = seen.T.tocsr()
    hot = np.eye(k)[labels]

    def objective(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        mat, bias = flat[:-k].reshape(len(used), k), flat[-k:]
        z = seen @ mat + bias
        z -= z.max(axis=1, keepdims=True)
        logp = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
        loss = -float((w[:, None] * hot * logp).sum()) + 0.5 * l2 * float((mat**2).sum())
        g = w[:, None] * (np.exp(logp) - hot)
        return loss, np.concatenate([(turned @ g + l2 * mat).ravel(), g.sum(axis=0)])

    found = minimize(objective, np.zeros(len(used) * k + k), jac=True, method="L-BFGS-B", options={"maxiter": iterations})
    full = np.zeros((buckets, k), dtype=np.float32)
    full[used] = found.x[:-k].reshape(len(used), k)
    return LinearModel(full, found.x[-k:].astype(np.float32), names)
