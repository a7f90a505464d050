"""Cells of the coverage table, part two: stopping early, labels beside a judge, differential error, the noise floor, agreement."""

from __future__ import annotations

import math
from functools import cache, partial
from typing import Literal

import numpy as np

from labs.coverage_bounds import LEVEL, Cell, Measured, pieces
from labs.coverage_worlds import by_family, differences, judged, names, sizes_of, uniform
from trueline.algos.agreement import agree, two_raters
from trueline.algos.stats.anytime import SHARES, Anytime, Kind, gains_for, log_wealth
from trueline.algos.stats.binomial import upper_bound
from trueline.algos.stats.clustered import Array, rate_limits
from trueline.algos.stats.differential import Label, differential_error
from trueline.algos.stats.noise import noise_of_pairs
from trueline.algos.stats.paired import paired_limits
from trueline.algos.stats.planning import unbroken_upper
from trueline.algos.stats.prediction_powered import PoweredBounds, powered_difference, powered_rate


def _first(means: Array, sizes: Array, limit: float, kind: Kind, wanted: Literal["PASS", "FAIL"]) -> Array:
    """(runs,) the family at which a bettor has 1 / 0.05, inf where never."""
    wealth = log_wealth(gains_for(means, sizes, float(sizes.max()), limit, kind, wanted))
    hit = wealth >= math.log(1 / (1 - LEVEL))
    return np.where(hit.any(-1), hit.argmax(-1) + 1.0, np.inf)


def stopping(
    n: int, family: str, kind: Kind, true: float, limit: float, psi: float, together: float, rng: np.random.Generator, runs: int
) -> Measured:
    """The game played after every family of n probes. At true = limit any decision is an error; else the share decided and the families it took,
    beside what one look at the end with all n probes decides."""
    sizes = sizes_of(family, n)
    order = rng.permutation(len(sizes))
    sizes = sizes[order]
    passed, failed, once = [], [], 0
    for r in pieces(runs, len(sizes) * 2 * len(SHARES)):
        draws = uniform(rng, r, sizes, together)
        values = (draws < true).astype(np.float64) if kind == "rate" else differences(draws, (psi + true) / 2, (psi - true) / 2)
        t = by_family(values, sizes)
        passed.append(_first(t.sums / t.sizes, t.sizes, limit, kind, "PASS"))
        failed.append(_first(t.sums / t.sizes, t.sizes, limit, kind, "FAIL"))
        if kind == "worsening":
            found = paired_limits(t, (values > 0).sum(-1).astype(np.float64), (values < 0).sum(-1).astype(np.float64), LEVEL)
            once += int((found.upper < limit).sum())
        else:
            once += int((rate_limits(t, LEVEL)[1] < limit).sum())
    at, done = np.concatenate(passed), runs
    shown = {"PASS": float(np.isfinite(at).mean()), "PASS by one look at the end": once / done}
    if np.isfinite(at).mean() >= 0.5:
        shown["median families to PASS"] = float(np.median(at))
    wrong = {"PASS at the limit": float(np.isfinite(at).mean()), "FAIL at the limit": float(np.isfinite(np.concatenate(failed)).mean())}
    return Measured(wrong if true == limit else {}, shown, done)


def always_valid(n: int, p: float, rng: np.random.Generator, runs: int) -> Measured:
    """The running bounds of a rate looked at after 10, 20, 40, ... families: a miss at any look is a miss."""
    missed, width = np.zeros(2), 0.0
    for _ in range(runs):
        values = (rng.random(n) < p).astype(float)
        low, high, k = 0.0, 1.0, 10
        while k <= n:
            found = _running(int(values[:k].sum()), k)
            low, high, k = max(low, found[0]), min(high, found[1]), 2 * k
        missed += low > p, high < p
        width += high
    return Measured(
        {"below": float(missed[0] / runs), "above": float(missed[1] / runs)},
        {"mean upper bound": float(width / runs), "exact, one look, at the mean": upper_bound(round(p * n), n)},
        runs,
    )


@cache
def _running(k: int, n: int) -> tuple[float, float]:
    found = Anytime(0.5, "rate", 1, LEVEL, seen=((1.0, 1),) * k + ((0.0, 1),) * (n - k)).result()
    return found.lower, found.upper


def powered(
    n: int, family: str, labels: int, p: float, delta: float | None, se: float, sp: float, rng: np.random.Generator, runs: int
) -> Measured:
    """All n replies judged, `labels` labelled by people at random (whole families); delta None: a rate of p; else a worsening of delta from p, the judge
    less sensitive on the candidate by 5 points: his own difference is wrong."""
    sizes, missed, width, alone = sizes_of(family, n), np.zeros(2), 0.0, 0.0
    clusters, together = names(sizes), 0.0 if family == "1" else 0.5
    ends = np.cumsum(sizes)
    known = ends[min(len(ends) - 1, int(np.searchsorted(ends, labels)))]  # families are exchangeable: the first are a random draw
    for draw in uniform(rng, runs, sizes, together):
        if delta is None:
            truth, y = p, (draw < p).astype(float)
            f = judged(rng, draw < p, se, sp).astype(float)
        else:
            truth = delta
            y = (draw < p + delta).astype(float) - (draw < p)
            f = judged(rng, draw < p + delta, se - 0.05, sp).astype(float) - judged(rng, draw < p, se, sp)
        given = [*y[:known].tolist(), *[None] * (n - int(known))]
        found: PoweredBounds = (powered_rate if delta is None else powered_difference)(f.tolist(), given, clusters, LEVEL)
        missed += found.lower > truth + 1e-12, found.upper < truth - 1e-12
        width += found.upper
        t = by_family(y[None, :known], sizes[: int(np.searchsorted(ends, known)) + 1])
        if delta is None:
            alone += float(rate_limits(t, LEVEL)[1][0])
        else:
            alone += float(
                paired_limits(t, (y[None, :known] > 0).sum(-1).astype(float), (y[None, :known] < 0).sum(-1).astype(float), LEVEL).upper[0]
            )
    return Measured({"below": float(missed[0] / runs), "above": float(missed[1] / runs)},
                    {"mean upper bound": float(width / runs), "by the labels alone": alone / runs}, runs)  # fmt: skip


def differential(
    labels: int, family: int, p: float, base: tuple[float, float], cand: tuple[float, float], rng: np.random.Generator, runs: int
) -> Measured:
    """People labelled `labels` replies of each model, in families of which the judge errs on all or none in half the cases."""
    found_any = hidden_missed = invented_missed = 0
    hidden = 0.0
    truth = p * (base[0] - cand[0]) + (1 - p) * (cand[1] - base[1])
    sizes = np.full(labels // family, family)
    clusters = names(sizes)
    for _ in range(runs):
        sides = []
        for se, sp in (base, cand):
            failed = np.repeat(rng.random(len(sizes)) < p, family) if family > 1 else rng.random(labels) < p
            draws = uniform(rng, 1, sizes, 0.5 if family > 1 else 0.0)[0]
            right = np.where(failed, draws < se, draws < sp)
            sides.append([Label(bool(r == f), bool(f), c) for r, f, c in zip(right, failed, clusters, strict=True)])
        got = differential_error(sides[0], sides[1], rates=(max(0.0, p - 0.05), p + 0.05), level=LEVEL)
        found_any += got.differs
        hidden_missed += got.hidden < truth - 1e-12
        invented_missed += got.invented < -truth - 1e-12
        hidden += got.hidden
    wrong = {"hidden exceeded": hidden_missed / runs, "invented exceeded": invented_missed / runs}
    if base == cand:
        wrong["difference found where none is"] = found_any / runs
    return Measured(wrong, {"mean bound on hidden": hidden / runs, **({} if base == cand else {"power": found_any / runs})}, runs)


def floor(n: int, family: str, own: float, rng: np.random.Generator, runs: int) -> Measured:
    """A/A runs of a target whose probes fail with chances drawn from a beta of mean 0.1; own: spread of it. The floor of one A/A run against the
    difference of the next two."""
    sizes = sizes_of(family, n)
    clusters, over, drift, width, missed = names(sizes), 0, 0, 0.0, np.zeros(2)
    for _ in range(runs):
        chance = np.repeat(rng.beta(0.1 * own, 0.9 * own, len(sizes)), sizes)
        truth = 2 * 0.1 * 0.9 * own / (own + 1)  # mean of 2 q (1 - q)
        a, b, c, d = (rng.random((4, n)) < chance).astype(float)
        found = noise_of_pairs(a.tolist(), b.tolist(), clusters, LEVEL)
        over += abs(float((c - d).mean())) > found.floor
        drift += (found.drift or 1.0) <= 0.05
        missed += found.flips.low > truth, found.flips.high < truth
        width += found.floor
    return Measured({"next A/A above the floor": over / runs, "drift found where none is": drift / runs, "flip rate below (2.5 %)": float(missed[0] / runs * 2), "flip rate above (2.5 %)": float(missed[1] / runs * 2)},
                    {"mean floor": width / runs}, runs)  # fmt: skip


def agreement(n: int, p: float, kappa: float, family: int, measure: str, rng: np.random.Generator, runs: int) -> Measured:
    """Two raters who say "yes" with chance p each and share a draw with chance kappa, which is their kappa. One-sided at 95 %."""
    missed, width = np.zeros(2), 0.0
    sizes = np.full(n // family, family)
    clusters = names(sizes)
    chance = 2 * p * (1 - p)
    seen = 1 - (1 - kappa) * chance
    truth = {"kappa": kappa, "AC1": (seen - chance) / (1 - chance), "alpha": kappa}[measure]
    for _ in range(runs):
        a = uniform(rng, 1, sizes, 0.5 if family > 1 else 0.0)[0] < p
        shared = uniform(rng, 1, sizes, 0.5 if family > 1 else 0.0)[0] < kappa
        b = np.where(shared, a, rng.random(n) < p)
        first, second = (np.where(x, "yes", "no").tolist() for x in (a, b))
        if measure == "alpha":
            alpha = agree(list(zip(first, second, strict=True)), seed=int(rng.integers(1 << 31)), rounds=200)
            low, high = alpha.low, alpha.high
        else:
            found = two_raters(first, second, clusters, 0.90)
            interval = found.ac1 if measure == "AC1" else found.kappa
            low, high = (-1.0, 1.0) if interval is None else (interval.low, interval.high)
        missed += low > truth + 1e-9, high < truth - 1e-9
        width += high - low
    share = 0.025 if measure == "alpha" else 0.05
    return Measured(
        {f"{measure} below": float(missed[0] / runs), f"{measure} above": float(missed[1] / runs)},
        {"mean width": width / runs},
        runs,
        share,
    )


def unbroken(n: int, family: str, p: float, se: float, labels: int, rng: np.random.Generator, runs: int) -> Measured:
    """A clause without a seen break, behind a judge of sensitivity se: the chance to see none and to bound the rate below the truth."""
    sizes, wrong = sizes_of(family, n), 0
    quiet = judged(rng, uniform(rng, runs, sizes, 0.0 if family == "1" else 0.5) < p, se, 1.0).sum(-1) == 0
    for _ in range(int(quiet.sum())):
        found = (int(rng.binomial(labels, se)) / labels, labels) if se < 1 else None
        wrong += unbroken_upper(sizes.tolist(), found, LEVEL) < p
    return Measured(
        {"bound below the rate": wrong / runs},
        {
            "runs without a seen break": float(quiet.mean()),
            "bound": unbroken_upper(sizes.tolist(), (se, labels) if se < 1 else None, LEVEL),
        },
        runs,
    )


GAMES: tuple[tuple[Kind, float, float, float], ...] = (  # true, limit, discordance
    ("rate", 0.05, 0.05, 0.0), ("rate", 0.3, 0.3, 0.0), ("worsening", 0.05, 0.05, 0.1), ("worsening", 0.05, 0.05, 0.05), ("worsening", 0.02, 0.02, 0.3),
    ("rate", 0.01, 0.05, 0.0), ("worsening", 0.0, 0.05, 0.1), ("worsening", 0.0, 0.05, 0.0),
)  # fmt: skip
POWERED = (  # replies, family, labels, rate, worsening (None: the rate itself), Se, Sp
    (300, "1", 20, 0.01, None, 0.9, 0.95), (300, "1", 20, 0.05, None, 0.9, 0.95), (300, "1", 30, 0.3, None, 0.9, 0.9), (500, "1", 50, 0.05, None, 0.85, 0.98),
    (1000, "1", 200, 0.3, None, 0.9, 0.9), (300, "1", 50, 0.1, None, 0.6, 0.6), (300, "5", 50, 0.05, None, 0.9, 0.95), (300, "5", 100, 0.3, None, 0.9, 0.9),
    (300, "1", 20, 0.01, 0.05, 0.9, 0.95), (300, "1", 50, 0.3, 0.05, 0.9, 0.9), (1000, "1", 200, 0.05, 0.05, 0.9, 0.98), (300, "5", 100, 0.1, 0.05, 0.9, 0.95),
)  # fmt: skip
DIFFERENTIAL = (  # labels, family, rate, (Se, Sp) of the baseline, of the candidate
    (40, 1, 0.3, (0.9, 0.9), (0.9, 0.9)), (200, 1, 0.3, (0.85, 0.98), (0.85, 0.98)), (200, 5, 0.3, (0.9, 0.9), (0.9, 0.9)),
    (100, 1, 0.3, (0.95, 0.95), (0.7, 0.95)), (200, 1, 0.3, (0.95, 0.95), (0.8, 0.95)), (200, 1, 0.1, (0.9, 0.9), (0.9, 0.97)),
)  # fmt: skip
RATERS = ((20, 0.5, 0.6), (50, 0.05, 0.0), (300, 0.05, 0.6), (100, 0.3, 1.0), (20, 0.3, 0.9))  # items, yes, kappa


def cells() -> list[Cell]:
    """Every cell of this part."""
    base, out = ("binomial", "clustered", "paired"), []
    for n, f, t in ((60, "1", 0.0), (400, "1", 0.0), (500, "5", 0.5), (2000, "30", 1.0), (1000, "mixed", 0.5)):
        for kind, true, limit, psi in GAMES:
            at = f"{kind} {true:g} against {limit:g}" + (f", discordance {psi:g}" if kind == "worsening" else "")
            what = f"n {n}, families of {f}, correlation {t:g}, {at}"
            out.append(Cell("anytime", what, partial(stopping, n, f, kind, true, limit, psi, t), 2000, (*base, "anytime")))
    out += [
        Cell("anytime", f"bounds after 10, 20, 40 ... of {n} probes, rate {p:g}", partial(always_valid, n, p), 2000, ("anytime",))
        for n, p in ((80, 0.05), (1280, 0.05), (640, 0.3))
    ]
    for n, f, labels, p, delta, se, sp in POWERED:
        what = f"a rate of {p:g}" if delta is None else f"a worsening of {delta:g} from {p:g}, the judge 5 points less sensitive to it"
        setting = f"n {n}, families of {f}, {labels} labels, Se {se:g}, Sp {sp:g}, {what}"
        out.append(
            Cell("prediction-powered", setting, partial(powered, n, f, labels, p, delta, se, sp), 2000, (*base, "prediction_powered"))
        )
    for m, size, p, b, c in DIFFERENTIAL:
        what = f"{m} labels each, families of {size}, rate {p:g}, Se {b[0]:g}/{c[0]:g}, Sp {b[1]:g}/{c[1]:g}"
        out.append(Cell("differential error", what, partial(differential, m, size, p, b, c), 2000, (*base, "differential")))
    out += [
        Cell("noise floor", f"n {n}, families of {f}, spread {own:g}", partial(floor, n, f, own), 2000, (*base, "noise"))
        for n, f, own in ((30, "1", 1.0), (200, "1", 0.2), (300, "5", 1.0), (300, "mixed", 1.0))
    ]
    for m in ("kappa", "AC1"):
        out += [
            Cell("agreement", f"{m}, {n} items, yes {p:g}, kappa {kappa:g}", partial(agreement, n, p, kappa, 1, m), 2000, ("../agreement",))
            for n, p, kappa in RATERS
        ]
        out.append(
            Cell(
                "agreement",
                f"{m}, 150 items in families of 5, yes 0.3, kappa 0.6",
                partial(agreement, 150, 0.3, 0.6, 5, m),
                2000,
                ("../agreement",),
            )
        )
    out += [
        Cell("agreement", f"alpha, {n} items, yes {p:g}, kappa {k:g}", partial(agreement, n, p, k, 1, "alpha"), 2000, ("../agreement",))
        for n, p, k in ((20, 0.3, 0.9), (50, 0.1, 0.6))
    ]
    unbroken_of = ((59, "1", 0.0497, 1.0, 0), (59, "1", 0.09, 0.85, 40), (300, "5", 0.075, 0.9, 100), (300, "30", 0.33, 0.98, 300))
    out += [
        Cell(
            "unbroken clause",
            f"n {n}, families of {f}, rate {p:g}, Se {se:g} of {m} labels",
            partial(unbroken, n, f, p, se, m),
            4000,
            ("binomial", "clustered", "planning"),
        )
        for n, f, p, se, m in unbroken_of
    ]
    return out
