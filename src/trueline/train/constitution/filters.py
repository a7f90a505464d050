"""Which revisions are fit to learn from: the known failures of self-revision, each dropped under its own reason and counted.

In order: a chain that did not finish; an empty, cut, unchanged, echoed or malformed revision; one that the grader fails or cannot tell;
last, over all that are left, boilerplate. Pure: the grades come in.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

from trueline.charter.digests import digest_of
from trueline.core.records import Grade
from trueline.train.constitution.records import Chain

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")
_COMPLIANCE = re.compile(
    r"\W*(sure|of course|certainly|absolutely|gladly|happy to|no problem|here is how|here's how|okay|ok)\b", re.IGNORECASE
)
# an answer does not name the parts of the request, nor pass judgement on "the reply"
_OTHER_FORM = re.compile(
    r"\W*((critique|revision|revised reply|reply|rule|user|assistant|system)\s*:|\([ab]\)|(yes|no), the (reply|response) )", re.IGNORECASE
)
ECHO = 0.8  # share of a revision's word 4-grams that stand in what was asked


@dataclass(frozen=True, slots=True)
class Boilerplate:
    """words: length of a phrase; cap: the largest share of the revisions, each to another prompt, that may hold the same phrase;
    least: revisions below which no share is measured."""

    words: int = 8
    cap: float = 0.2
    least: int = 20


@dataclass(frozen=True, slots=True)
class Sifted:
    """reasons: of each chain why it was dropped, "" where it is kept; phrases: (phrase, share of the revisions that held it before
    any was dropped for it), the commonest first, those that the charter prescribes left out."""

    reasons: tuple[str, ...]
    phrases: tuple[tuple[str, float], ...]

    def counts(self) -> dict[str, int]:
        """How many were dropped, by reason."""
        return dict(sorted(Counter(r for r in self.reasons if r).items()))

    def to_dict(self) -> dict[str, Any]:
        """Plain data: what `dropped.json` holds."""
        phrases = [{"phrase": p, "share": round(s, 4)} for p, s in self.phrases]
        kept = self.reasons.count("")
        return {
            "of": len(self.reasons),
            "kept": kept,
            "dropped": len(self.reasons) - kept,
            "reasons": self.counts(),
            "commonest_phrases": phrases,
        }


def words_of(text: str) -> tuple[str, ...]:
    """The words of a text in lower case, without punctuation: what two texts share that differ in dress."""
    return tuple(w.lower().replace("’", "'") for w in _WORD.findall(text))


def grams(words: Sequence[str], n: int) -> set[tuple[str, ...]]:
    """All runs of `n` words; of a shorter text the text itself."""
    return {tuple(words[i : i + n]) for i in range(max(1, len(words) - n + 1))} if words else set()


def echoes(text: str, source: str) -> bool:
    """Whether a text repeats another: at least `ECHO` of its word 4-grams stand there."""
    mine = words_of(text)
    n = min(4, len(mine))
    own = grams(mine, n)
    return bool(own) and len(own & grams(words_of(source), n)) >= ECHO * len(own)


def _unfinished(c: Chain) -> str:
    if c.stopped:
        return c.stopped.split(":")[0]
    if not words_of(c.revision):
        return "empty"
    return "cut off at its longest" if c.rounds[-1].cut else ""


def _malformed(c: Chain) -> str:
    if words_of(c.revision) == words_of(c.reply):
        return "did not change"
    if _OTHER_FORM.match(c.revision):
        return "not an answer"
    if echoes(c.revision, c.rounds[-1].critique):
        return "repeats the critique"
    asked = next((m.content for m in reversed(c.prompt.messages) if m.role == "user"), "")
    return "repeats the request" if echoes(c.revision, asked) else ""


def _violating(c: Chain, grade: Grade | None) -> str:
    if grade is None or grade.result == "pass":
        return ""
    if grade.result == "unscored":
        return "the grader cannot tell"
    return "opens with compliance and violates" if _COMPLIANCE.match(c.revision) else "still violates"


CHECKS: tuple[Callable[[Chain, Grade | None], str], ...] = (lambda c, _: _unfinished(c), lambda c, _: _malformed(c), _violating)


def boilerplate(texts: Sequence[str], prescribed: Collection[str], b: Boilerplate) -> tuple[set[int], tuple[tuple[str, float], ...]]:
    """(indices to drop, the five commonest phrases with their shares).

    A phrase is a run of `b.words` words. What stands in a `prescribed` sentence (the charter's own refusals) is no boilerplate: it is
    what the company wants said. Of the texts that hold a phrase above the cap, as many stay as the cap allows, chosen by digest."""
    allowed = set().union(*(grams(words_of(p), b.words) for p in prescribed)) if prescribed else set()
    held = [{g for g in grams(words_of(t), b.words) if len(g) == b.words} - allowed for t in texts]
    share = {g: k / len(texts) for g, k in Counter(g for gs in held for g in gs).items() if k > 1}
    commonest = tuple((" ".join(g), s) for g, s in sorted(share.items(), key=lambda x: (-x[1], x[0]))[:5])
    if len(texts) < b.least:
        return set(), commonest
    over = {g for g, s in share.items() if s > b.cap}
    room, drop = int(b.cap * len(texts)), set()
    taken: Counter[tuple[str, ...]] = Counter()
    for i in sorted(range(len(texts)), key=lambda i: digest_of([i, texts[i]])):
        mine = held[i] & over
        if any(taken[g] >= room for g in mine):
            drop.add(i)
        else:
            taken.update(mine)
    return drop, commonest


def sift(
    chains: Sequence[Chain], grades: Sequence[Grade | None], prescribed: Collection[str] = (), b: Boilerplate = Boilerplate()
) -> Sifted:
    """The reason of every chain. `grades`: of the last revisions, None where no grader was asked; a grade of `unscored` is not a pass."""
    reasons = [next((why for check in CHECKS if (why := check(c, g))), "") for c, g in zip(chains, grades, strict=True)]
    left = [i for i, r in enumerate(reasons) if not r]
    drop, phrases = boilerplate([chains[i].revision for i in left], prescribed, b)
    for k in drop:
        reasons[left[k]] = "boilerplate"
    return Sifted(tuple(reasons), phrases)
