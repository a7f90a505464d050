"""The weights of rule-based rewards: R = R_rm + sum of w_i phi_i, fitted so that preferred replies are ahead by a margin (2411.01111).

The paper's hinge loss, with a ridge that makes the optimum unique; a quadratic program, solved to its optimum with a proof.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trueline.errors import TrainingError

Array = NDArray[np.float64]

RIDGE = 0.01  # hinge per square of a weight: with it the weights' norm is at most sqrt(2 x hinge before / RIDGE)
GAP = 1e-10  # relative distance to the optimum at which the fit ends
MOST_STEPS = 200  # 15 to 40 are usual


@dataclass(frozen=True, slots=True)
class Fit:
    """weights: (k,), in the base reward's unit per unit of phi. accuracy: weighted share of the pairs whose preferred reply is strictly
    ahead, in [0, 1]; hinge: weighted mean of max(0, margin - how far ahead), without the ridge; each before (weights 0) and after, on the
    pairs that were fitted, so `after` is kind to itself. gap: the objective is at most this far above its minimum. n: pairs."""

    weights: tuple[float, ...]
    accuracy_before: float
    accuracy_after: float
    hinge_before: float
    hinge_after: float
    gap: float
    n: int


def fitted_weights(
    base: NDArray[np.floating],
    phi: NDArray[np.floating],
    margin: float = 1.0,
    ridge: float = RIDGE,
    weights: NDArray[np.floating] | None = None,
) -> Fit:
    """The w that minimises sum_n v_n max(0, margin - (d_n + x_n w)) + ridge/2 |w|^2, the hinge of 2411.01111 ("Fitting an RBR").

    base: (pairs, 2) rewards of the preferred and the other reply; phi: (pairs, 2, k) propositions of both; d and x are the differences;
    weights: (pairs,) at least 0 (default 1), v their shares. margin: in the base reward's unit, above 0; ridge: above 0.
    Raises `TrainingError` for no pairs, shapes that do not fit, numbers that are not finite and a margin or ridge of 0 or less."""
    b, p = np.asarray(base, dtype=np.float64), np.asarray(phi, dtype=np.float64)
    v = np.ones(len(b)) if weights is None else np.asarray(weights, dtype=np.float64)
    _check(b, p, v, margin, ridge)
    share = v / v.sum()
    d, x = b[:, 0] - b[:, 1], p[:, 0] - p[:, 1]
    counts = share > 0
    # in units of the margin, so that the accuracy of the fit does not depend on the reward's scale
    w, gap = _minimum(1 - d[counts] / margin, x[counts], share[counts], ridge * margin)
    w, gap = w * margin, gap * margin
    ahead = d + x @ w
    return Fit(
        tuple(w.tolist()),
        float(v[d > 0].sum() / v.sum()),
        float(v[ahead > 0].sum() / v.sum()),
        float(share @ np.maximum(0.0, margin - d)),
        float(share @ np.maximum(0.0, margin - ahead)),
        gap,
        len(d),
    )


def _check(base: Array, phi: Array, weights: Array, margin: float, ridge: float) -> None:
    n = len(base)
    if n == 0:
        raise TrainingError("no pairs to fit the weights of rules on", remedy="give at least one pair")
    if base.shape != (n, 2) or phi.ndim != 3 or phi.shape[:2] != (n, 2) or phi.shape[2] == 0 or weights.shape != (n,):
        shapes = f"base {base.shape}, phi {phi.shape} and weights {weights.shape}"
        raise TrainingError(f"the shapes do not fit: {shapes}", remedy="give (pairs, 2), (pairs, 2, k) with k at least 1, and (pairs,)")
    for name, values in (("base", base), ("phi", phi), ("weights", weights)):
        bad = np.nonzero(~np.isfinite(values.reshape(n, -1)).all(axis=1))[0]
        if len(bad):
            raise TrainingError(f"{name} of pair {bad[0] + 1} is not finite", remedy="leave the pair out")
    if weights.min() < 0 or weights.sum() <= 0:
        raise TrainingError(f"weights from {weights.min():g} with sum {weights.sum():g}", remedy="give weights of at least 0, one above")
    for name, value in (("margin", margin), ("ridge", ridge)):
        if not 0 < value < float("inf"):
            raise TrainingError(f"{name} must be a finite number above 0, got {value}", remedy=f"give one, e.g. {name} 1")


def _minimum(e: Array, x: Array, c: Array, ridge: float) -> tuple[Array, float]:
    """(w, duality gap) of min over w of c . max(0, e - x w) + ridge/2 |w|^2; e, c: (n,), c above 0; x: (n, k).

    The dual has one a_n in [0, c_n] a pair, and w = x^T a / ridge. With s, t >= 0 the parts of x w - e above and below 0, an optimum
    has a s = 0 and (c - a) t = 0. Newton's method on a s = (c - a) t = mu with mu -> 0, all strictly inside (an interior-point method;
    Ferris and Munson 2002 for this shape): k x k systems whatever the number of pairs. Every point is feasible for both problems, so that
    a . s + (c - a) . t is exactly what the primal lies above the dual."""
    a, b = c / 2, c / 2  # b is c - a, kept by itself: the difference would round to 0
    w = x.T @ a / ridge
    slack = x @ w - e
    s, t = np.maximum(slack, 0) + 1, np.maximum(-slack, 0) + 1
    for _ in range(MOST_STEPS):
        gap = float(a @ s + b @ t)
        if gap <= GAP * (1 + float(c @ np.abs(e))):
            break
        mu = 0.1 * gap / (2 * len(a))
        u, v = mu / a - s, mu / b - t
        inverse = 1 / (s / a + t / b)
        step_w = np.linalg.solve(ridge * np.eye(len(w)) + (x.T * inverse) @ x, x.T @ (inverse * (u - v)))
        step_a = inverse * (u - v - x @ step_w)
        step_s, step_t = u - s / a * step_a, v + t / b * step_a
        inside = ((a, step_a), (b, -step_a), (s, step_s), (t, step_t))
        length = min(1.0, *(0.99 * float(np.min(-at[d < 0] / d[d < 0], initial=np.inf)) for at, d in inside))
        w, a, b = w + length * step_w, a + length * step_a, b - length * step_a
        s, t = s + length * step_s, t + length * step_t
    dual = float(a @ e) - float(w @ w) * ridge / 2
    primal = float(c @ np.maximum(0.0, e - x @ w)) + float(w @ w) * ridge / 2
    return w, max(0.0, primal - dual)
