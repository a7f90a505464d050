"""Near copies by word n-grams: how much of a short text stands in a longer one (containment, Broder 1997, "On the resemblance and
containment of documents").

Containment and not resemblance: a question that was pasted into a long conversation is a copy, however much stands round it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

WORDS = 2  # a gram; with three, one changed word takes three of the eight grams of a question of ten words
NEAR = 0.75  # share of a text's grams that makes a near copy: one changed word in a text of nine or more


@dataclass(frozen=True, slots=True)
class Match:
    """`text` and `of`: positions of the long and of the short text; share of the short one's grams that stand in the long one, in (0, 1]."""

    text: int
    of: int
    share: float


def word_grams(text: str, n: int = WORDS) -> frozenset[tuple[str, ...]]:
    """The runs of `n` words; of a text of fewer words, the text itself; of an empty one, nothing."""
    words = text.split()
    if len(words) < n:
        return frozenset([tuple(words)] if words else ())
    return frozenset(tuple(words[i : i + n]) for i in range(len(words) - n + 1))


def near_copies(texts: Sequence[str], of: Sequence[str], near: float = NEAR, n: int = WORDS) -> list[Match]:
    """Every text that holds at least `near` of the grams of one of `of`, with the one it holds most of (the first of equals). Linear in the
    words of all texts, but for grams that many short texts share."""
    grams = [word_grams(t, n) for t in of]
    where: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for i, found in enumerate(grams):
        for gram in found:
            where[gram].append(i)
    out = []
    for k, text in enumerate(texts):
        held = Counter(i for gram in word_grams(text, n) for i in where.get(gram, ()))
        best = max(held, key=lambda i: (held[i] / len(grams[i]), -i), default=None)
        if best is not None and held[best] / len(grams[best]) >= near:
            out.append(Match(k, best, held[best] / len(grams[best])))
    return out
