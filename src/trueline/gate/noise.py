"""The noise floor of a target: two draws of one model (A/A), how many results differ, and which margins can be resolved at that noise.

A margin below the floor is not refused where its bound holds all the same: the bound knows the noise. But a plan that hopes for it is
refused, an open question is explained by it, and a target whose two draws differ by more than a margin allows is no fixed thing to decide on.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from trueline.algos.stats.binomial import upper_bound
from trueline.algos.stats.clustered import rate_interval
from trueline.algos.stats.paired import paired_bounds
from trueline.algos.stats.planning import pairs_for_margin, probes_for_cap
from trueline.charter.probes import MEASURES, Measure
from trueline.core.evaluations import Evaluation, GradedReply
from trueline.core.findings import NoiseFinding, percent
from trueline.gate.validity import alone, differing


def unusable(first: Evaluation, other: Evaluation) -> list[str]:
    """Why two evaluations are no A/A run, each reason with its remedy."""
    why = [*alone("first A/A run", first), *alone("second A/A run", other)]
    why += [f"{what} differs between the two A/A runs; evaluate both with the same {what}" for what in differing(first, other)]
    if first.identity != other.identity:
        why.append("the two A/A runs are of different targets; draw twice from one")
    sampling = first.settings.get("sampling")
    seeds = [e.settings["sampling"].get("seed") for e in (first, other) if isinstance(e.settings.get("sampling"), Mapping)]
    hot = isinstance(sampling, Mapping) and sampling.get("temperature", 0) > 0
    if hot and len(seeds) == 2 and seeds[0] == seeds[1]:
        why.append(f"both A/A runs drew with seed {seeds[0]}, so that a seeded sampler repeats itself; draw one with another --seed")
    if not why and {(r.probe, r.sample) for r in first.rows} != {(r.probe, r.sample) for r in other.rows}:
        why.append("the two A/A runs hold replies to different probes; evaluate both again")
    return why


def resolvable(probes: int, families: int, samples: int, changed: float, noise: float, power: float, level: float = 0.95) -> float:
    """The smallest margin that can be resolved: (z_a + z_b) sqrt(changed / probes + noise / replies), as `planning.smallest_regression`,
    where samples of one probe thin the noise of sampling and not what has changed; never below the bound of the best case, in which no
    family differs and each counts once. `changed`: share of probes expected to change; `noise`: share of replies that differ between two draws."""
    from scipy.special import ndtri

    if not probes:
        return 1.0
    z = float(ndtri(level) + ndtri(power))
    return max(z * math.sqrt(changed / probes + noise / (probes * samples)), upper_bound(0, families, level))


def noise_findings(first: Evaluation, other: Evaluation, margins: Mapping[Measure, float], power: float) -> tuple[NoiseFinding, ...]:
    """One finding a measure that both draws have replies of. The two must be usable (`unusable`)."""
    found = []
    for measure in MEASURES:
        rows = [r for r in first.rows if r.measure == measure]
        if rows:
            found.append(_finding(measure, rows, {(r.probe, r.sample): r for r in other.rows}, margins.get(measure), power))
    return tuple(found)


def _finding(
    measure: Measure, rows: list[GradedReply], again: Mapping[tuple[str, int], GradedReply], margin: float | None, power: float
) -> NoiseFinding:
    pairs = [(r, again[r.probe, r.sample]) for r in rows]
    names = [r.cluster for r in rows]
    differs = [float(a.result != b.result) for a, b in pairs]
    rate = rate_interval(differs, names)
    bounds = paired_bounds([float(b.result == "fail") - float(a.result == "fail") for a, b in pairs], names)
    probes, families = len({r.probe for r in rows}), len(set(names))
    expected = noise_rate(rate.estimate, families)
    floor = resolvable(probes, families, max(1, len(rows) // probes), 0.0, expected, power)
    resolved = None if margin is None else floor < margin
    needed = None
    if margin is not None and not resolved and margin > 0:
        pairs_wanted, alike = pairs_for_margin(margin, expected, power) or 0, probes_for_cap(margin) or 0
        needed = max(1, alike - families, math.ceil(pairs_wanted * families / len(rows)) - families)
    found = NoiseFinding(
        measure, len(rows), families, int(sum(differs)), rate.estimate, rate.low, rate.high, bounds.difference, bounds.lower, bounds.upper,
        floor, margin, resolved, needed, "",
    )  # fmt: skip
    return replace(found, told=_words(found))


def noise_rate(observed: float, families: int) -> float:
    """The noise that a plan counts with: as observed, and where nothing differed that of one family in as many as there were."""
    return max(observed, 1 / families) if families else 1.0


def unstable(findings: tuple[NoiseFinding, ...]) -> list[str]:
    """Where two draws of one target differ by more than the margin allows a candidate: something besides the target has changed."""
    return [
        f"{f.measure}: two draws of one target differ by {percent(abs(f.difference))} (bounds {percent(f.difference_lower)} to "
        f"{percent(f.difference_upper)}), more than the margin of {percent(f.margin)}; something besides the target changed, draw again"
        for f in findings
        if f.margin is not None and (f.difference_lower > f.margin or -f.difference_upper > f.margin)
    ]


def _words(f: NoiseFinding) -> str:
    """The finding in words; a margin below the floor with what would resolve it."""
    seen = f"{f.measure}: {f.flipped} of {f.n} results differ between two draws ({percent(f.rate)}, {percent(f.low)} to {percent(f.high)})"
    seen += f", which resolves a margin of {percent(f.floor)}"
    if f.resolved is None:
        return seen
    if f.resolved:
        return f"{seen}; the margin of {percent(f.margin)} is above it"
    more = f"; about {f.needed} more families of probes would resolve it" if f.needed else "; no number of probes resolves it"
    return f"{seen}; the margin of {percent(f.margin)} cannot be resolved at this noise{more}"
