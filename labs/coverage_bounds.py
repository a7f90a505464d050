"""Cells of the coverage table, part one: rates, paired differences, judges and the gate's decision. Each cell returns a `Measured`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labs.coverage_worlds import by_family, differences, judged, names, sizes_of, uniform
from trueline.algos.stats.binomial import lower_bound, upper_bound
from trueline.algos.stats.clustered import Array, Totals, rate_limits
from trueline.algos.stats.impact import impact_ratio
from trueline.algos.stats.judge import corrected_interval, worsening_behind
from trueline.algos.stats.paired import paired_limits
from trueline.charter.schema import GateRule
from trueline.core.evaluations import Evaluation, GradedReply
from trueline.gate.decide import decide

LEVEL = 0.95


@dataclass(frozen=True)
class Measured:
    """wrong: by name, the share of runs in which a one-sided bound missed, or a test passed at its margin: at most `allowed`. shown: widths, power.
    runs: 0 where the chance was added up exactly and nothing simulated."""

    wrong: dict[str, float]
    shown: dict[str, float]
    runs: int
    allowed: float = 0.05


@dataclass(frozen=True)
class Cell:
    """group: the statistic; what: the setting in words; measure: (generator, runs) -> Measured; runs at least; sources: modules it tests."""

    group: str
    what: str
    measure: Callable[[np.random.Generator, int], Measured]
    runs: int
    sources: tuple[str, ...]


def pieces(runs: int, numbers: int) -> Iterator[int]:
    """Runs in pieces of at most 4 million draws."""
    most = max(1, 4_000_000 // max(numbers, 1))
    while runs > 0:
        yield min(most, runs)
        runs -= most


def exact_binomial(n: int, _rng: np.random.Generator, _runs: int) -> Measured:
    """Worst chance over a grid of rates, added up over all k."""
    from scipy.stats import binom

    k = np.arange(n + 1)
    bounds = np.array([(lower_bound(int(x), n), upper_bound(int(x), n)) for x in k])
    wrong = {"below": 0.0, "above": 0.0}
    for p in np.concatenate([np.linspace(0.001, 0.999, 999), [0.01, 0.05, 0.3]]):
        pmf = binom.pmf(k, n, p)
        wrong["above"] = max(wrong["above"], float(pmf[bounds[:, 1] < p].sum()))
        wrong["below"] = max(wrong["below"], float(pmf[bounds[:, 0] > p].sum()))
    return Measured(wrong, {"upper bound at 0 failures": float(bounds[0, 1])}, 0)


def rate(n: int, family: str, p: float, together: float, rng: np.random.Generator, runs: int) -> Measured:
    """Families of probes that all fail with chance p."""
    sizes, missed, upper = sizes_of(family, n), np.zeros(2), 0.0
    for r in pieces(runs, n):
        t = by_family((uniform(rng, r, sizes, together) < p).astype(np.float64), sizes)
        low, high, _ = rate_limits(t, LEVEL)
        missed += (low > p + 1e-12).sum(), (high < p - 1e-12).sum()
        upper += high.sum()
    return Measured({"below": float(missed[0] / runs), "above": float(missed[1] / runs)}, {"mean upper bound": float(upper / runs)}, runs)


def informative(n: int, rng: np.random.Generator, runs: int) -> Measured:
    """Families drawn with their sizes: large ones fail more. Truth: the mean over probes of what is drawn."""
    choices, missed, upper = np.array([1, 2, 5, 20]), np.zeros(2), 0.0
    rates = np.array([0.02, 0.04, 0.06, 0.10])
    truth = float((choices * rates).sum() / choices.sum())
    count = int(n / choices.mean())
    for _ in range(runs):
        which = rng.integers(0, 4, count)
        sizes = choices[which]
        family_rate = rng.beta(rates[which], 1 - rates[which])  # correlation 0.5 within a family
        sums = rng.binomial(sizes, family_rate).astype(np.float64)
        low, high, _ = rate_limits(Totals(sums, sizes.astype(np.float64), sums.sum()), LEVEL)
        missed += low > truth, high < truth
        upper += float(high)
    return Measured(
        {"below": float(missed[0] / runs), "above": float(missed[1] / runs)},
        {"mean upper bound": float(upper / runs), "truth": truth},
        runs,
    )


def exact_pairs(n: int, margin: float, _rng: np.random.Generator, _runs: int) -> Measured:
    """Single pairs: the chance to pass at the margin, added up over all tables, its worst over the discordance; and the power where nothing changed."""
    from scipy.special import gammaln, xlogy

    grid = np.arange(n + 1)
    inside = np.add.outer(grid, grid) <= n
    worse, better = (x[inside].astype(np.float64) for x in np.meshgrid(grid, grid, indexing="ij"))
    passes = _passes(worse, better, n, margin)
    tied = n - worse - better
    ways = gammaln(n + 1) - gammaln(worse + 1) - gammaln(better + 1) - gammaln(tied + 1)

    def chance(up: float, down: float) -> float:
        return float(np.exp(ways + xlogy(worse, up) + xlogy(better, down) + xlogy(tied, max(1 - up - down, 0.0)))[passes].sum())

    size = max((chance((psi + margin) / 2, (psi - margin) / 2), psi) for psi in np.linspace(margin, min(1.0, margin + 0.6), 121))
    power = {f"power at {100 * psi:.0f} % discordance": chance(psi / 2, psi / 2) for psi in (0.02, 0.1)}
    return Measured({"PASS at the margin": size[0]}, {"worst at discordance": float(size[1]), **power}, 0)


def _passes(worse: Array, better: Array, n: int, margin: float) -> NDArray[np.bool_]:
    out = np.zeros(len(worse), dtype=bool)
    near = np.nonzero((worse - better) / n < margin)[0]  # a bound is never below its estimate
    for part in np.array_split(near, max(1, len(near) * n // 2_000_000)):
        w, b = worse[part], better[part]
        at = np.arange(n)[None, :]
        d = np.where(at < w[:, None], 1.0, np.where(at < (w + b)[:, None], -1.0, 0.0))
        out[part] = paired_limits(Totals(d, np.ones(n), w + b), w, b, LEVEL).upper < margin
    return out


def pairs(n: int, family: str, psi: float, delta: float, together: float, rng: np.random.Generator, runs: int) -> Measured:
    """True worsening delta at discordance psi; pass at margin delta is the error. psi = delta: nothing gets better. delta 0 and psi 0: all tied."""
    sizes, missed, upper, passed = sizes_of(family, n), np.zeros(2), 0.0, 0
    up, down = (psi + delta) / 2, (psi - delta) / 2
    for r in pieces(runs, n):
        d = differences(uniform(rng, r, sizes, together), up, down)
        found = paired_limits(by_family(d, sizes), (d > 0).sum(-1).astype(np.float64), (d < 0).sum(-1).astype(np.float64), LEVEL)
        missed += (found.lower > delta + 1e-12).sum(), (found.upper < delta - 1e-12).sum()
        upper, passed = upper + found.upper.sum(), passed + int((found.upper < 0.05).sum())
    shown = {"mean upper bound": float(upper / runs), **({"passes 5 points": passed / runs} if not delta else {})}
    return Measured({"below": float(missed[0] / runs), "above": float(missed[1] / runs)}, shown, runs)


def samples(probes: int, asked: int, rng: np.random.Generator, runs: int) -> Measured:
    """Repeated samples: each probe has its own chance to fail on each side; the mean worsening over probes is 5 points."""
    sizes, missed, upper = np.full(probes, asked), np.zeros(2), 0.0
    for r in pieces(runs, probes * asked):
        base = rng.beta(0.2, 1.8, (r, probes))
        cand = base + 0.05 / 0.9 * (1 - base)  # mean of base 0.1
        d = (rng.random((r, probes, asked)) < cand[..., None]).astype(np.float64) - (rng.random((r, probes, asked)) < base[..., None])
        d = d.reshape(r, -1)
        found = paired_limits(by_family(d, sizes), (d > 0).sum(-1).astype(np.float64), (d < 0).sum(-1).astype(np.float64), LEVEL)
        missed += (found.lower > 0.05).sum(), (found.upper < 0.05).sum()
        upper += found.upper.sum()
    return Measured({"below": float(missed[0] / runs), "above": float(missed[1] / runs)}, {"mean upper bound": float(upper / runs)}, runs)


def behind_judge(n: int, p: float, se: float, sp: float, labels: int, rng: np.random.Generator, runs: int) -> Measured:
    """A rate behind a judge whose error was estimated from as many labels of each kind."""
    missed, upper = [0, 0], 0.0
    for _ in range(runs):
        seen = rng.binomial(n, p * se + (1 - p) * (1 - sp))
        found = corrected_interval(
            float(seen), n, (rng.binomial(labels, se) / labels, labels), (rng.binomial(labels, sp) / labels, labels), 0.90
        )
        missed[0] += found.low > p + 1e-12
        missed[1] += found.high < p - 1e-12
        upper += found.high
    return Measured({"below": float(missed[0] / runs), "above": float(missed[1] / runs)}, {"mean upper bound": float(upper / runs)}, runs)


def stretched_margin(n: int, family: str, p: float, se: float, sp: float, labels: int, rng: np.random.Generator, runs: int) -> Measured:
    """Both sides graded by one judge; the truth is a worsening of 5 points from a rate of p; the bound behind the judge passes below 5 points."""
    sizes, margin, passed, upper = sizes_of(family, n), 0.05, 0, 0.0
    together = 0.0 if family == "1" else 0.5
    for r in pieces(runs, n):
        draws = uniform(rng, r, sizes, together)
        base, cand = judged(rng, draws < p, se, sp), judged(rng, draws < p + margin, se, sp)
        d = cand.astype(np.float64) - base
        found = paired_limits(by_family(d, sizes), (d > 0).sum(-1).astype(np.float64), (d < 0).sum(-1).astype(np.float64), LEVEL)
        for mean, high in zip(d.mean(-1).tolist(), found.upper.tolist(), strict=True):
            known = (rng.binomial(labels, se) / labels, labels), (rng.binomial(labels, sp) / labels, labels)
            behind = worsening_behind(mean, high, *known)
            passed, upper = passed + (behind < margin), upper + behind
    return Measured({"PASS at the margin": passed / runs}, {"mean upper bound": float(upper / runs)}, runs)


def half_judged(n: int, change: tuple[float, float], se: float, sp: float, labels: int, rng: np.random.Generator, runs: int) -> Measured:
    """Half of the pairs graded by a judge, half exactly, single families; `change`: the true worsening of (the judged, the exact) half from a rate
    of 35 %, 5 points in the mean. What `gate.judged.stretched` does: the exact half on the judge's scale, and the whole stretched."""
    sizes, passed, upper, half = np.ones(n, dtype=np.int64), 0, 0.0, n // 2
    truth = sum(change) / 2
    for r in pieces(runs, 2 * n):
        base, cand = (rng.random((r, n)) < np.repeat([0.35 + c for c in side], half) for side in ((0.0, 0.0), change))
        base[:, :half], cand[:, :half] = judged(rng, base[:, :half], se, sp), judged(rng, cand[:, :half], se, sp)
        d = cand.astype(np.float64) - base
        plain = paired_limits(by_family(d, sizes), (d > 0).sum(-1).astype(np.float64), (d < 0).sum(-1).astype(np.float64), LEVEL).upper
        known = [((rng.binomial(labels, se) / labels, labels), (rng.binomial(labels, sp) / labels, labels)) for _ in range(r)]
        strength = np.array([a[0] + b[0] - 1 for a, b in known])
        d[:, half:] *= strength[:, None]
        worse, better = np.clip(d, 0, None).sum(-1), -np.clip(d, None, 0).sum(-1)
        found = paired_limits(by_family(d, sizes), worse, better, LEVEL)
        for mean, high, graded, (a, b) in zip(d.mean(-1).tolist(), found.upper.tolist(), plain.tolist(), known, strict=True):
            behind = max(graded, worsening_behind(mean, high, a, b))
            passed, upper = passed + (behind < truth), upper + behind
    return Measured({"PASS at the margin": passed / runs}, {"mean upper bound": float(upper / runs)}, runs)


def impact(families: int, size: int, p: float, ratio: float, together: float, rng: np.random.Generator, runs: int) -> Measured:
    """Matched pairs; the favoured group gets a yes with chance p, the other with p x ratio, of which a tenth on other pairs."""
    sizes, missed, low = np.full(families, size), [0, 0], 0.0
    other = p * ratio
    reverse = min(other * 0.1, 1 - p)
    edges = np.cumsum([other - reverse, reverse, p - other + reverse])
    clusters = names(sizes)
    for draw in uniform(rng, runs, sizes, together):
        kind = np.searchsorted(edges, draw, side="right")
        a, b = (kind <= 1).astype(float).tolist(), ((kind == 0) | (kind == 2)).astype(float).tolist()
        there = list(zip(a, b, clusters, strict=True))
        found = impact_ratio(
            {("a", "b"): there, ("b", "a"): [(y, x, c) for x, y, c in there]}, {"a": float(np.mean(a)), "b": float(np.mean(b))}
        )
        missed[0] += found.lower > ratio + 1e-12
        missed[1] += found.upper < ratio - 1e-12
        low += found.lower
    return Measured({"below": float(missed[0] / runs), "above": float(missed[1] / runs)}, {"mean lower bound": low / runs}, runs)


def _evaluation(failed: np.ndarray, clusters: list[str], error: dict[str, Any] | None) -> Evaluation:
    grader = "exact" if error is None else "judge"
    rows = tuple(
        GradedReply(f"p{i}", "c", "refuse", "harm", c, "grown", 0, "", "fail" if f else "pass", grader=grader)
        for i, (f, c) in enumerate(zip(failed.tolist(), clusters, strict=True))
    )
    graders = {} if error is None else {"judge": {"sensitivity": error["se"], "specificity": error["sp"], "positive": "failed"}}
    return Evaluation("t", {}, "c" * 64, "s" * 64, {}, graders, rows, "2026-01-01", 1.0)


def _measured_error(rng: np.random.Generator, rate: float, labels: int) -> dict[str, Any]:
    k = int(rng.binomial(labels, rate))
    return {"estimate": k / labels, "low": lower_bound(k, labels, 0.975), "high": upper_bound(k, labels, 0.975), "n": labels}


def decision(
    n: int, family: str, cap: float, margin: float | None, judge: tuple[float, float, int] | None, rng: np.random.Generator, runs: int
) -> Measured:
    """`gate.decide` itself, the true rate at the cap, or (with a margin and no cap) the true worsening at the margin: a PASS or FAIL is an error."""
    rule = GateRule(caps={"harm": cap} if margin is None else {}, margins={} if margin is None else {"harm": margin})
    sizes = sizes_of(family, n)
    clusters, said = names(sizes), {"PASS": 0, "FAIL": 0, "INCONCLUSIVE": 0, "INVALID": 0}
    together = 0.0 if family == "1" else 0.5
    for draw in uniform(rng, runs, sizes, together):
        error = None if judge is None else {"se": _measured_error(rng, judge[0], judge[2]), "sp": _measured_error(rng, judge[1], judge[2])}
        sides = [draw < cap + (margin or 0.0), draw < cap]
        if judge is not None:
            sides = [judged(rng, s, judge[0], judge[1]) for s in sides]
        candidate, baseline = (_evaluation(s, clusters, error) for s in sides)
        said[decide(rule, "c" * 64, candidate, None if margin is None else replace(baseline, target="b")).outcome] += 1
    return Measured({"PASS": said["PASS"] / runs, "FAIL": said["FAIL"] / runs}, {"INVALID": said["INVALID"] / runs}, runs)


def cells() -> list[Cell]:
    """Every cell of this part."""
    base = ("binomial", "clustered", "paired")
    out = [Cell("exact bound of a rate", f"n {n}, worst rate", partial(exact_binomial, n), 0, ("binomial",)) for n in (10, 60, 300, 2000)]
    shapes = [(n, f, t) for n, f in ((10, "1"), (60, "1"), (300, "1"), (2000, "1")) for t in (0.0,)]
    shapes += [
        (n, f, t)
        for n, f in ((60, "5"), (300, "5"), (300, "30"), (2000, "5"), (2000, "30"), (300, "mixed"), (2000, "mixed"), (800, "skewed"))
        for t in (0.0, 0.5, 1.0)
    ]
    for p in (0.0, 0.01, 0.05, 0.1, 0.3):
        for n, f, t in shapes:
            out.append(
                Cell(
                    "rate in families", f"n {n}, families of {f}, correlation {t:g}, rate {p:g}", partial(rate, n, f, p, t), 4000, base[:2]
                )
            )
    out.append(
        Cell("rate in families", "n 300, large families fail more, correlation 0.5, rate 0.08", partial(informative, 300), 4000, base[:2])
    )
    out += [Cell("paired difference", f"n {n}, margin {m:g}, worst discordance", partial(exact_pairs, n, m), 0, base)
            for n, m in ((10, 0.05), (30, 0.05), (60, 0.05), (60, 0.02), (90, 0.01), (100, 0.1), (135, 0.02), (180, 0.02), (248, 0.05), (300, 0.02))]  # fmt: skip
    for n, f, t in shapes:
        for psi, delta in ((0.0, 0.0), (0.05, 0.05), (0.1, 0.05), (0.3, 0.02), (0.1, 0.0)):
            if psi or t in (0.0, 1.0):
                out.append(Cell("paired difference", f"n {n}, families of {f}, correlation {t:g}, discordance {psi:g}, worsening {delta:g}",
                                partial(pairs, n, f, psi, delta, t), 4000, base))  # fmt: skip
    out += [Cell("paired difference", f"{k} probes, {a} samples each, worsening 0.05", partial(samples, k, a), 4000, base)
            for k, a in ((20, 5), (60, 3), (200, 5))]  # fmt: skip
    for n, p in ((50, 0.05), (300, 0.0), (300, 0.01), (300, 0.05), (300, 0.3), (2000, 0.05)):
        for se, sp, m in ((0.85, 0.9, 40), (0.98, 0.98, 40), (0.9, 0.95, 100), (0.98, 0.98, 300), (0.85, 0.85, 300)):
            out.append(
                Cell(
                    "rate behind a judge",
                    f"n {n}, rate {p:g}, Se {se:g}, Sp {sp:g}, {m} labels each",
                    partial(behind_judge, n, p, se, sp, m),
                    4000,
                    ("judge",),
                )
            )
    for n, f in ((60, "1"), (300, "1"), (2000, "1"), (300, "5")):
        for p in (0.05, 0.3):
            for se, sp, m in ((0.85, 0.9, 40), (0.98, 0.98, 40), (0.9, 0.95, 300)):
                out.append(Cell("worsening behind a judge", f"n {n}, families of {f}, rate {p:g}, Se {se:g}, Sp {sp:g}, {m} labels each",
                                partial(stretched_margin, n, f, p, se, sp, m), 4000, (*base, "judge", "../../gate/judged")))  # fmt: skip
    for both in ((0.1, 0.0), (0.2, -0.1), (0.4, -0.3), (0.0, 0.1)):
        told = f"n 600, half judged (worse by {both[0]:g}), half exact ({both[1]:g}), Se 0.85, Sp 0.85, 300 labels each"
        measure = partial(half_judged, 600, both, 0.85, 0.85, 300)
        out.append(Cell("worsening behind a judge", told, measure, 4000, (*base, "judge", "../../gate/judged")))
    for families, size, p, ratio, t in (
        (16, 1, 0.6, 0.8, 0.0),
        (60, 1, 0.9, 0.8, 0.0),
        (60, 1, 0.6, 0.5, 0.0),
        (40, 3, 0.6, 0.8, 0.5),
        (40, 3, 0.6, 1.0, 1.0),
    ):
        out.append(Cell("impact ratio", f"{families} families of {size}, correlation {t:g}, yes {p:g}, ratio {ratio:g}",
                        partial(impact, families, size, p, ratio, t), 2000, (*base, "impact")))  # fmt: skip
    gate = (*base, "judge", "../../gate/decide", "../../gate/judged")
    for n, f, cap, margin, judge in (
        (100, "1", 0.05, None, None),
        (100, "5", 0.1, 0.05, None),
        (150, "1", 0.08, None, (0.9, 0.95, 100)),
        (150, "1", 0.1, 0.05, (0.9, 0.95, 100)),
    ):
        graded = "exact checks" if judge is None else f"judge {judge[0]:g}/{judge[1]:g} of {judge[2]} labels"
        at = f"true rate at the cap of {cap:g}" if margin is None else f"rate {cap:g}, true worsening at the margin of {margin:g}"
        out.append(
            Cell("the gate's decision", f"n {n}, families of {f}, {graded}, {at}", partial(decision, n, f, cap, margin, judge), 2000, gate)
        )
    return out
