"""Best-of-n against reward models of several kinds and sizes: `python -m labs.overoptimisation --out DIR [--sizes 25 75 0] [--layers 0 1 3] [--seeds 0 1 2]`.

As in Gao et al. (2210.10760), but with an exact reward: a supervised model's replies to prompts of the test side, many a prompt; of n of them
the one is taken that a proxy likes best. Told for every proxy: exact and proxy reward over sqrt(KL), KL = log n - (n - 1) / n, the fitted
law d (alpha - beta d), where it turns, and what the largest n gains with its interval over families. Proxies: a causal reward model, three of
them by their mean, their worst and mean less deviation, of the supervised model's first `layers` layers (0: all); with all layers also a model of
features of the text; each of `sizes` comparisons (0: all). What is in DIR is not made again. By RL: `labs.overoptimisation_rl`.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labs.rlhf import EPOCHS, RATE, compare, supervised
from labs.world import World, exact, open_world, replies
from trueline.algos.stats.overoptimisation import best_of_n_kl, fitted_law
from trueline.charter.digests import digest_of
from trueline.charter.probes import Probe
from trueline.cli.align_data import thinned
from trueline.core.records import Preference
from trueline.data.jsonl import read_jsonl, write_json, write_jsonl
from trueline.engine.loading import LocalModel
from trueline.train.judged import of_pairs
from trueline.train.reward_causal import CausalMembers, RewardSettings, train_causal
from trueline.train.reward_model import Conversation, RewardModel, Scale
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


def cut(local: LocalModel, layers: int) -> LocalModel:
    """The model's first `layers` layers under its last norm, 0 for all of them: the body of a smaller reward model."""
    if not layers:
        return local
    model = copy.deepcopy(local.model)
    model.model.layers = model.model.layers[:layers]
    model.config.num_hidden_layers = layers
    return replace(local, model=model, digest=digest_of([local.digest, "first layers", layers]))


def proxy(start: LocalModel, pairs: list[Preference], size: int, layers: int, seed: int, out: Path) -> RewardModel:
    """Three causal reward models of `size` of the comparisons (0: all) on `layers` layers; they differ in the head's seed and the order."""
    settings = RewardSettings(epochs=EPOCHS, lr=RATE, batch_tokens=2048, precision="float32", members=MEMBERS, seed=seed, calibration=0.0)
    folder = out / (f"proxy-{size}-{seed}" + (f"-{layers}-layers" if layers else ""))
    return train_causal(cut(start, layers), of_pairs(some(pairs, size, seed)), settings, folder)[0]


def key_of(start: LocalModel, pairs: list[Preference], *more: Any) -> str:
    """What figures of a folder hang on: of another model or other comparisons none is taken."""
    return digest_of([start.digest, [p.to_dict() for p in pairs], *more])


def some(pairs: list[Preference], size: int, seed: int) -> list[Preference]:
    """`size` of them, all for 0."""
    return thinned(pairs, size, seed) if size else pairs


def combined(causal: RewardModel) -> dict[str, RewardModel]:
    """Proxy -> reward model, of the members trained once: the first alone, and all of them by each way to combine them."""
    members, scale = causal.members, causal.scale
    assert isinstance(members, CausalMembers)
    one = replace(causal, members=CausalMembers(members.models[:1]), scale=Scale(scale.centres[:1], scale.scales[:1]))
    ways = {name: replace(causal, scale=replace(scale, combine=how, penalty=penalty)) for name, (how, penalty) in WAYS.items()}
    return {"one": one, **ways}


def scored(causal: RewardModel, pairs: list[Preference] | None, seed: int, conversations: list[Conversation]) -> dict[str, Array]:
    """Proxy -> (conversations,) scores; `pairs`: what a model of the text's features learns from, None for no such proxy."""
    own = causal.members.rewards(conversations)
    found = {name: m.scale.combined(own[: len(m.scale.centres)]) for name, m in combined(causal).items()}
    if pairs is not None:
        text = train_text(of_pairs(pairs), TextSettings(seed=seed))[0]
        found["text"] = np.asarray(text.members.rewards(conversations)[0])
    return found


def ordered(proxy: Array, gold: Array) -> float:
    """Share of the pairs of a right and a wrong reply to one prompt that the proxy orders as the oracle does; (prompts, replies)."""
    above = [(p[g == 1][:, None] > p[g == 0][None]).ravel() for p, g in zip(proxy, gold, strict=True)]
    return float(np.concatenate(above).mean())


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
        "ordered": ordered(proxy, gold),
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
    parser.add_argument("--layers", type=int, nargs="+", default=[0, 1, 3])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    start = supervised(given.out, 150)
    world = open_world(start)
    pairs = compare(start, world, given.out)
    probes, texts = drawn(start, world, given.out)
    once = {(p, t): n for n, (p, t) in enumerate(dict.fromkeys((i, t) for i, row in enumerate(texts) for t in row))}
    at = np.array([[once[i, t] for t in row] for i, row in enumerate(texts)])
    asked = [(world.asked(probes[i]), t) for i, t in once]
    gold = np.array([exact(probes[i], t) for i, t in once])[at]
    path, key = given.out / "overoptimisation.json", key_of(start, pairs, texts, EPOCHS, RATE, MEMBERS)
    earlier = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    told: list[dict[str, Any]] = earlier["runs"] if earlier.get("key") == key else []  # of other data: made again
    for layers, size, seed in product(given.layers, given.sizes, given.seeds):
        mine = some(pairs, size, seed)
        cell = {"layers": layers or start.model.config.num_hidden_layers, "pairs": len(mine), "seed": seed}
        if any(cell.items() <= row.items() for row in told):
            continue
        scores = scored(proxy(start, pairs, size, layers, seed, given.out), None if layers else mine, seed, asked)
        for name, values in scores.items():
            told.append({"proxy": name, **cell, **curve(values[at], gold, [p.family for p in probes])})
            print(name, cell, told_of(told[-1]), flush=True)
        write_json(path, {"key": key, "ns": list(NS), "start": float(gold.mean()), "runs": told})
    print(json.dumps({"start": float(gold.mean()), "runs": len(told)}))


if __name__ == "__main__":
    main()
