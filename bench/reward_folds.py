"""Reward model on real human preferences: five folds grouped by prompt, pooled out of fold; prints JSON.

    python bench/reward_folds.py [--backbone encoder|text] [--members K] [--folds 5] [--cache FOLDER]

Data: `preference_hh_harmless` in ../shared/data (or TRUELINE_DATA). Everything that is fitted or chosen (which n-grams, scaling,
ridge, temperature) is fitted or chosen inside the training folds, by folds of their own; the test fold is scored once. Rows are grouped by
the conversation's first words, so that two turns of one conversation never stand on both sides. Features that are fitted to nothing (the
frozen encoder's states, hashed n-grams) are computed once.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path

import numpy as np

from trueline.data.conversations import read_preferences
from trueline.errors import TargetError
from trueline.train.judged import conversations_of, folds_of, of_pairs
from trueline.train.reward_features import Encode, Raw, raw_features
from trueline.train.reward_linear import replies_of
from trueline.train.reward_model import held_out_report
from trueline.train.reward_text import TextMembers, TextSettings, train_text

TOP = Path(__file__).resolve().parent.parent


def data_file() -> Path:
    """Where the pairs are."""
    return Path(os.environ.get("TRUELINE_DATA") or TOP.parent / "shared" / "data") / "preference_hh_harmless.jsonl.gz"


def encoder(name: str, cache: Path) -> Encode:
    """The encoder, its states kept in `cache` by its digest and the texts'."""
    from trueline.charter.digests import digest_of
    from trueline.engine.encoder import encode, load_encoder

    loaded = load_encoder(name)

    def cached(texts: list[str]) -> np.ndarray:
        path = cache / f"states-{digest_of([loaded.digest, list(texts)])[-16:]}.npy"
        if not path.exists():
            cache.mkdir(parents=True, exist_ok=True)
            np.save(path, encode(loaded, texts, progress=lambda i, n: print(f"\rencoded {i} of {n}", end="", file=sys.stderr)))
        return np.load(path)

    return cached  # type: ignore[return-value]


def main() -> int:
    """Runs all folds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backbone", choices=("encoder", "text"), default="encoder")
    parser.add_argument("--encoder", default="minilm")
    parser.add_argument("--members", type=int, default=1)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--debias-length", action="store_true")
    parser.add_argument("--cache", type=Path, default=Path("/tmp/trueline-reward-cache"))
    args = parser.parse_args()
    if not data_file().exists():
        print(json.dumps({"skipped": f"{data_file()} is not there"}))
        return 0
    start, cpu = time.monotonic(), time.process_time()
    found = read_preferences(data_file())
    rows = of_pairs(found.pairs)
    try:
        states = encoder(args.encoder, args.cache) if args.backbone == "encoder" else None
    except TargetError as e:
        print(json.dumps({"skipped": str(e)}))
        return 0
    raw: Raw = raw_features(conversations_of(rows), states)
    folds = np.array(folds_of(rows, args.folds, f"outer {args.seed}"))
    scores, told = np.zeros(2 * len(rows)), []
    settings = TextSettings(members=args.members, debias_length=args.debias_length, seed=args.seed)
    for k in range(args.folds):
        inside, outside = (np.nonzero(mask)[0].tolist() for mask in (folds != k, folds == k))
        train, test = replies_of(rows, inside), replies_of(rows, outside)
        model, chosen = train_text([rows[i] for i in inside], settings, states, raw.rows(train))
        assert isinstance(model.members, TextMembers)
        lengths = np.log1p([len(reply) for i in outside for reply in rows[i].replies])
        scores[test] = model.scale.scores(model.members.of(raw.rows(test)), lengths)
        told.append({"fold": k, "train": len(inside), "test": len(outside), **chosen})
        print(json.dumps(told[-1]), file=sys.stderr, flush=True)
    report = held_out_report(rows, scores)
    report |= {
        "data": data_file().name,
        "left_out": list(found.left_out),
        "backbone": args.backbone,
        "members": args.members,
        "debias_length": args.debias_length,
        "folds": told,
        "families": len({r.family() for r in rows}),
        "seed": args.seed,
        "seconds": round(time.monotonic() - start, 1),
        "cpu_seconds": round(time.process_time() - cpu, 1),
    }
    print(json.dumps(report, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
