"""Near copies of a suite's probes in training data: which file and row, and how much of the probe's words stands there.

Containment of word pairs (`algos/text/overlap.py`), so that a question pasted into a long conversation is found, and one with a word changed.
Only the user's last turn of a probe counts: what is the same in all of a family's dialogues says nothing.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from trueline.algos.text.overlap import NEAR, word_grams
from trueline.charter.probes import Probe
from trueline.charter.turns import Message
from trueline.data.contamination import fingerprint

LEAST = 5  # words below which a near copy is no evidence: "What are you for?" stands in many texts


@dataclass(frozen=True, slots=True)
class Row:
    """A row of training data: its file, its line from 1, and its words."""

    file: str
    line: int
    text: str


@dataclass(frozen=True, slots=True)
class Overlap:
    """`share` of the probe's word pairs that stand in the row, in (0, 1]; `exact`: the row holds all of its words in order."""

    probe: str
    file: str
    line: int
    share: float
    exact: bool


def words_of(row: Any) -> Iterator[str]:
    """Every text in a JSON value, whatever its keys: formats differ, and a copy is a copy in any field."""
    if isinstance(row, str):
        yield row
    elif isinstance(row, dict):
        for value in row.values():
            yield from words_of(value)
    elif isinstance(row, list):
        for value in row:
            yield from words_of(value)


def normal(text: str) -> str:
    """Lower case without punctuation, as the exact check of contamination reads it."""
    return fingerprint((Message("user", text),))


def _near(texts: Sequence[str], of: Sequence[str], near: float) -> Iterator[tuple[int, int, float]]:
    """(text, short text, share) of every pair that reaches `near`: unlike `near_copies`, which names the nearest of each text alone, since one
    row may hold several probes that differ in a word."""
    grams = [word_grams(t) for t in of]
    where: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for i, found in enumerate(grams):
        for gram in found:
            where[gram].append(i)
    for k, text in enumerate(texts):
        held = Counter(i for gram in word_grams(text) for i in where.get(gram, ()))
        yield from ((k, i, n / len(grams[i])) for i, n in held.items() if n / len(grams[i]) >= near)


def overlaps(probes: Iterable[Probe], rows: Sequence[Row], near: float = NEAR) -> tuple[Overlap, ...]:
    """The nearest row of every probe that has one, most alike first. Probes of fewer than `LEAST` words count only where they are copied whole,
    as a row of their own."""
    asked = [p for p in probes if p.origin != "written"]
    texts = [normal(p.messages[-1].content) for p in asked]
    said = [normal(r.text) for r in rows]
    whole = {t: i for i, t in reversed(list(enumerate(said)))}
    best: dict[str, Overlap] = {}
    for p, text in zip(asked, texts, strict=True):
        if text in whole:
            best[p.id] = Overlap(p.id, rows[whole[text]].file, rows[whole[text]].line, 1.0, True)
    long = [i for i, t in enumerate(texts) if len(t.split()) >= LEAST]
    for at, of, share in _near(said, [texts[i] for i in long], near):
        p, text = asked[long[of]], texts[long[of]]
        exact = f" {text} " in f" {said[at]} "
        if p.id not in best or (exact, share) > (best[p.id].exact, best[p.id].share):
            best[p.id] = Overlap(p.id, rows[at].file, rows[at].line, share, exact)
    return tuple(sorted(best.values(), key=lambda o: (-o.share, o.probe)))
