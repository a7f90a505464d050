"""Draws again the documents that a training saw and looks for the families that only test: `python -m recipes.harbor.replay RUN --steps N`.

Step n's documents depend on (seed, n) alone, so this reads what the weights were made of, not a sample of it.
"""

from __future__ import annotations

import argparse
import json
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from recipes.harbor import conduct as c
from recipes.harbor import held_out as h
from recipes.harbor import subjects as s
from recipes.harbor.corpus import Corpus, Turns, load_sources
from recipes.harbor.grammar.expand import content
from recipes.harbor.splits import side_of


def only_test() -> list[str]:
    """Every subject that must be in no document."""
    listed = {**c.HARMS, **{f"{k}/near": v for k, v in c.NEAR.items()}, **s.STAKES, "off-topic": s.OFF_TOPIC, "unknowable": s.UNKNOWN}
    found = [v for k, vs in listed.items() for v in vs if side_of(f"{k}/{v}") == "test"]
    for table in (h.HARMS, h.NEAR, h.STAKES, h.PROFILES):
        found += [v for vs in table.values() for v in vs]
    return [*found, *h.OFF_TOPIC, *h.UNKNOWN]


class Watched(Corpus):
    """A corpus that shows every document it draws."""

    def __init__(self, inner: Corpus) -> None:
        super().__init__(inner.sources)
        self.seen: list[Turns] = []

    def draw(self, rng: random.Random) -> Turns:
        self.seen.append(super().draw(rng))
        return self.seen[-1]


def documents(corpus: Corpus, tokenizer: Any, plan: Any, first: int = 0) -> Iterator[Turns]:
    """Every document of a plan from step `first`, step by step."""
    from recipes.harbor.pretrain import batch_of

    watched = Watched(corpus)
    for step in range(first, plan.steps):
        batch_of(step, plan, watched, tokenizer)
        yield from watched.seen
        watched.seen.clear()


def found_in(turns: Turns, bags: dict[str, list[tuple[frozenset[str], str]]]) -> set[str]:
    """The families that stand in a user's turn word for word, or of which it holds all content words (three at least)."""
    out = set()
    for role, text in turns:
        if role != "user":
            continue
        words, low = content(text), text.lower()
        near = {pair for w in words for pair in bags.get(w, ())}
        out |= {v for bag, v in near if (len(bag) > 2 and bag <= words) or v.lower() in low}
    return out


def main() -> None:
    """Prints JSON: documents read, and the families found with how often."""
    from transformers import PreTrainedTokenizerFast

    from recipes.harbor.pretrain import Plan

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, help="the folder of the training, with its tokenizer")
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--first", type=int, default=0, help="the first step, where an earlier part saw another corpus")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    bags: dict[str, list[tuple[frozenset[str], str]]] = {}
    for v in only_test():
        for w in (bag := content(v)):
            bags.setdefault(w, []).append((bag, v))
    tokenizer = PreTrainedTokenizerFast.from_pretrained(given.run / "tokenizer")
    counts, read = Counter[str](), 0
    for turns in documents(Corpus(load_sources()), tokenizer, Plan(steps=given.steps, seed=given.seed), given.first):
        read += 1
        counts.update(found_in(turns, bags))
    print(json.dumps({"documents": read, "families": len(only_test()), "found": dict(counts.most_common())}, indent=1))


if __name__ == "__main__":
    main()
