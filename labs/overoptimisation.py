"""Best-of-n against reward models of several kinds and data sizes: `python -m labs.overoptimisation --out DIR [--sizes 25 75 0] [--seeds 0 1 2]`.

As in Gao et al. (2210.10760), but with an exact reward: a supervised model's replies to prompts of the test side, many a prompt; of n of them
the one is taken that a proxy likes best. Told for every proxy: exact and proxy reward over sqrt(KL), KL = log n - (n - 1) / n, the fitted
law d (alpha - beta d), where it turns, and what the largest n gains with its interval over families. Proxies: a causal reward model, three of
them by their mean, their worst and mean less deviation, and a model of features of the text; of `sizes` comparisons (0: all).
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from labs.rlhf import EPOCHS, RATE, compare, supervised
from labs.world import World, exact, open_world, replies
from trueline.algos.losses.ensemble import combine, standardised
from trueline.algos.stats.overoptimisation import best_of_n_kl, fitted_law
from trueline.charter.probes import Probe
from trueline.cli.align_data import thinned
from trueline.core.records import Preference
from trueline.data.jsonl import read_jsonl, write_json, write_jsonl
from trueline.engine.loading import LocalModel
from trueline.train.judged import of_pairs
from trueline.train.reward_causal import RewardSettings, train_causal
from trueline.train.reward_text import TextSettings, train_text

PROMPTS, REPLIES, MEMBERS = 120, 64, 3
NS = (1, 2, 4, 8, 16, 32, 64)
WAYS: dict[str, tuple[str, float | None]] = {
    "three, mean": ("mean", None),
    "three, worst": ("min", None),
    "three, mean - 1 sd": ("mean-std", 1.0),
}

Array = NDArray[np.float64]


def drawn(start: LocalModel, world: World, out: Path) -> tuple[list[Probe], list[list[str]]]:
    """Probes of the test side and `REPLIES` replies to each at temperature 1."""
    probes, path = thinned(world.test, PROMPTS, 7), out / "drawn.jsonl"
    if not path.exists():
        write_jsonl(path, ({"probe": p.id, "replies": r} for p, r in zip(probes, replies(start, world, probes, REPLIES, 11), strict=True)))
    return probes, [row["replies"] for _, row in read_jsonl(path)]


def best_of(proxy: Array, values: Array, n: int) -> Array:
    """(prompts,) expected value of the reply of highest proxy among n of a prompt's replies, over all choices of n without repetition
    (2112.09332, appendix I; of equal proxies the first). proxy, values: (prompts, replies)."""
    total = proxy.shape[1]
    order = np.argsort(proxy, axis=1, kind="stable")
    weights = np.array([math.comb(i, n - 1) for i in range(total)], dtype=np.float64) / math.comb(total, n)
    return np.asarray(np.take_along_axis(values, order, axis=1) @ weights)


def proxies(
    start: LocalModel, world: World, pairs: list[Preference], asked: list[tuple[Probe, str]], seed: int, out: Path
) -> dict[str, Array]:
    """Proxy -> (asked,) scores; the causal members are trained once for all their combinations."""
    rows = of_pairs(pairs)
    settings = RewardSettings(epochs=EPOCHS, lr=RATE, batch_tokens=2048, precision="float32", members=MEMBERS, seed=seed, calibration=0.0)
    causal = train_causal(start, rows, settings, out)[0]
    conversations = [(world.asked(p), text) for p, text in asked]
    own = torch.tensor(causal.members.rewards(conversations))
    taught = torch.tensor(causal.members.rewards([(r.prompt, reply) for r in rows for reply in r.replies]))
    even = standardised(own, taught.mean(dim=1), taught.std(dim=1, correction=0))
    found = {"one": own[0].numpy(), **{name: combine(*way)(even).numpy() for name, way in WAYS.items()}}
    text = train_text(rows, TextSettings(seed=seed))[0]
    return {**found, "text": np.asarray(text.members.rewards(conversations)[0])}


def interval(values: Array, families: Sequence[str]) -> dict[str, float]:
    """Mean with a 95 % interval (normal), families as clusters."""
    sums: dict[str, float] = {}
    for f, x in zip(families, values - values.mean(), strict=True):
        sums[f] = sums.get(f, 0.0) + float(x)
    c = len(sums)
    error = (sum(x * x for x in sums.values()) * c / (c - 1)) ** 0.5 / len(values)
    return {"mean": float(values.mean()), "low": float(values.mean() - 1.96 * error), "high": float(values.mean() + 1.96 * error)}


def curve(proxy: Array, gold: Array, families: Sequence[str]) -> dict[str, Any]:
    """Gains of best-of-n over one reply, by the exact reward and by the proxy (in its standard deviations), and the law."""
    scaled = (proxy - proxy.mean()) / (proxy.std() or 1.0)
    kl = [best_of_n_kl(n) for n in NS]
    golds, likes = ([best_of(scaled, values, n) for n in NS] for values in (gold, scaled))
    gains = [float((g - golds[0]).mean()) for g in golds]
    law = fitted_law("best_of_n", [k**0.5 for k in kl], gains)
    return {
        "gold": gains,
        "liked": [float((x - likes[0]).mean()) for x in likes],
        "law": None if law is None else {"alpha": law.alpha, "beta": law.beta, "r2": law.r2, "peak": law.peak},
        "last": interval(golds[-1] - golds[0], families),
        "fall_from_best": interval(golds[-1] - golds[int(np.argmax(gains))], families),
    }


def told_of(told: Mapping[str, Any]) -> str:
    """One line."""
    gains = ", ".join(f"{100 * g:.1f}" for g in told["gold"])
    law = told["law"]
    return f"gold {gains} points at n {NS}" + (f"; alpha {law['alpha']:.3f} beta {law['beta']:.3f} peak {law['peak']}" if law else "")


def main() -> None:
    """All sizes and seeds; overoptimisation.json grows with each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="of labs.rlhf, or a new one")
    parser.add_argument("--sizes", type=int, nargs="+", default=[25, 75, 0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    start = supervised(given.out, 150)
    world = open_world(start)
    pairs = compare(start, world, given.out)
    probes, texts = drawn(start, world, given.out)
    once = {(p, t): n for n, (p, t) in enumerate(dict.fromkeys((i, t) for i, row in enumerate(texts) for t in row))}
    at = np.array([[once[i, t] for t in row] for i, row in enumerate(texts)])
    asked = [(probes[i], t) for i, t in once]
    gold = np.array([exact(p, t) for p, t in asked])[at]
    told: list[dict[str, Any]] = []
    for size in given.sizes:
        for seed in given.seeds:
            some = pairs if not size else thinned(pairs, size, seed)
            scores = proxies(start, world, some, asked, seed, given.out / f"proxy-{size}-{seed}")
            for name, values in scores.items():
                told.append({"proxy": name, "pairs": len(some), "seed": seed, **curve(values[at], gold, [p.family for p in probes])})
                print(name, len(some), seed, told_of(told[-1]), flush=True)
            write_json(given.out / "overoptimisation.json", {"ns": list(NS), "start": float(gold.mean()), "runs": told})
    print(json.dumps({"start": float(gold.mean()), "runs": len(told)}))


if __name__ == "__main__":
    main()
