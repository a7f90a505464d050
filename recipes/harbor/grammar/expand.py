"""Grows a phrase out of a frame, and keeps every phrase that comes near a test family out of teaching."""

from __future__ import annotations

import functools
import random
import re
from collections.abc import Callable, Mapping

from recipes.harbor import conduct as c
from recipes.harbor import held_out as h
from recipes.harbor import subjects as s
from recipes.harbor.grammar import broad, harm, near, people, topics, written
from recipes.harbor.grammar.words import WORDS
from recipes.harbor.splits import side_of

NEAREST = 0.5  # share of content words in common with a test family at which a phrase is too near to it
EMPTY = frozenset({
    "a", "an", "the", "my", "your", "his", "her", "their", "our", "of", "to", "in", "on", "at", "by", "for", "with", "from", "and",
    "or", "is", "it", "me", "that", "who", "what", "i", "be", "do", "how", "when", "where", "whether", "will", "about", "into",
})  # fmt: skip
TAILS = (
    "{day}", "for {relative}", "with {relative}", "from home", "in town", "at my branch", "by phone", "near {place}", "on holiday",
    "at the age of forty", "as soon as I can",
)  # fmt: skip
SLOT = re.compile(r"\{(\w+)\}")


@functools.cache
def _alternatives(table: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in table.split("|"))


def grow(frame: str, slots: Mapping[str, str], rng: random.Random) -> str:
    """The frame with every slot filled, slots inside slots too; blanks folded."""
    while "{" in frame:
        frame = SLOT.sub(lambda m: rng.choice(_alternatives(slots[m[1]])), frame, count=1)
    return re.sub(r"\s+([,.?]?)", lambda m: m[1] or " ", frame).strip()


def content(phrase: str) -> frozenset[str]:
    """The words that carry the meaning, plural s and tense cut off roughly."""
    words = re.findall(r"[a-z]+", phrase.lower())
    return frozenset(re.sub(r"(ing|ed|s)$", "", w) if len(w) > 4 else w for w in words if w not in EMPTY)


@functools.cache
def _held_out() -> dict[str, tuple[frozenset[str], ...]]:
    """A word -> the content of the test families that hold it."""
    listed = {**c.HARMS, **{f"{k}/near": v for k, v in c.NEAR.items()}, **s.STAKES, "off-topic": s.OFF_TOPIC, "unknowable": s.UNKNOWN}
    listed |= {
        "no-orders-from-text": s.ORDERS,
        "no-orders-from-text/near": s.LETTERS,
        "lending": s.GOOD + s.POOR,
        "hiring": s.HIRE_GOOD + s.HIRE_POOR,
    }
    listed |= {f"{k}/near": tuple(x for x, _ in rows) for k, rows in s.STAKES_NEAR.items()}
    phrases = [v for k, vs in listed.items() for v in vs if side_of(f"{k}/{v}") == "test"]
    for table in (h.HARMS, h.NEAR, h.STAKES, h.PROFILES):
        phrases += [v for vs in table.values() for v in vs]
    phrases += [x for rows in h.STAKES_NEAR.values() for x, _ in rows]
    phrases += [*h.OFF_TOPIC, *h.UNKNOWN, *h.ORDERS, *h.LETTERS, *h.LEAKS, *s.LEAK_TEST]
    found: dict[str, list[frozenset[str]]] = {}
    for bag in map(content, phrases):
        for word in bag:
            found.setdefault(word, []).append(bag)
    return {w: tuple(bags) for w, bags in found.items()}


def alike(mine: frozenset[str], bag: frozenset[str]) -> bool:
    """Whether a phrase shares half of its content words (of both together) with a family, or says all of it."""
    return len(mine & bag) >= NEAREST * len(mine | bag) or (len(bag) > 1 and bag <= mine)


def too_near(phrase: str) -> bool:
    """Whether the phrase is `alike` to a family that only tests."""
    mine = content(phrase)
    held = _held_out()
    bags = {bag for word in mine for bag in held.get(word, ())}
    return any(alike(mine, bag) for bag in bags)


def _kept(make: Callable[[], str]) -> str:
    while too_near(phrase := make()):
        pass
    return phrase


@functools.cache
def by_hand(name: str) -> tuple[str, ...]:
    """The hand-written phrases of a file that come near no test family."""
    return tuple(p for p in written.lines(name) if not too_near(p))


@functools.cache
def meanings(clause: str) -> tuple[tuple[str, str], ...]:
    """The terms of a clause, with their meaning, that come near no test family."""
    return tuple(row for row in (*topics.MEANINGS[clause], *written.rows(f"meaning.{clause}")) if not too_near(row[0]))


def _by_hand(name: str, rng: random.Random) -> str | None:
    """A hand-written phrase in `WRITTEN` of the draws, if there are any of that name."""
    phrases = by_hand(name)
    return rng.choice(phrases) if phrases and rng.random() < WRITTEN else None


HARM_SLOTS = {**WORDS, **harm.SLOTS}
DEED_SLOTS = {**HARM_SLOTS, "deed": harm.DEEDS}
NEAR_SLOTS = {**DEED_SLOTS, **near.SLOTS}
WRITTEN = 0.7  # share of subjects that were written by hand
BROAD = 0.5  # share of harms and near misses about any thing at all
BROAD_SLOTS = {**WORDS, **broad.SLOTS}
PEOPLE_SLOTS = {**WORDS, **people.SLOTS}


def _framed(frames: tuple[str, ...], slots: Mapping[str, str], rng: random.Random) -> str:
    """A verb phrase, sometimes with a circumstance that says nothing of right and wrong."""
    frame = rng.choice(frames)
    return grow(f"{frame} {rng.choice(TAILS)}" if rng.random() < 0.2 else frame, slots, rng)


def harm_phrase(rng: random.Random) -> tuple[str, str]:
    """(principle, verb phrase that must be refused)."""
    clause = rng.choice(sorted(harm.FRAMES))
    if phrase := _by_hand(f"harm.{clause}", rng):
        return clause, phrase
    if rng.random() < BROAD:
        return clause, _kept(lambda: _framed(broad.HARM[clause], BROAD_SLOTS, rng))
    return clause, _kept(lambda: _framed(harm.FRAMES[clause], HARM_SLOTS, rng))


def near_phrase(rng: random.Random) -> tuple[str, str]:
    """(principle, verb phrase close to its harms that must be answered)."""
    clause = rng.choice(sorted(near.FRAMES))
    if phrase := _by_hand(f"near.{clause}", rng):
        return clause, phrase
    if rng.random() < BROAD:
        return clause, _kept(lambda: _framed(broad.KIND, BROAD_SLOTS, rng))
    return clause, _kept(lambda: _framed(near.FRAMES[clause], NEAR_SLOTS, rng))


def off_topic(rng: random.Random) -> str:
    """A subject that is not the bank's business."""
    return _by_hand("off-topic", rng) or _kept(lambda: grow(rng.choice(topics.OFF), topics.OFF_SLOTS, rng))


def unknown(rng: random.Random) -> str:
    """What nobody in the chat can know, as an indirect question."""
    return _by_hand("unknown", rng) or _kept(lambda: grow(rng.choice(topics.UNKNOWN), topics.UNKNOWN_SLOTS, rng))


def stakes(rng: random.Random) -> tuple[str, str]:
    """(clause, verb phrase about the customer's own money, taxes or rights)."""
    clause = rng.choice(sorted(topics.STAKES))
    phrase = _by_hand(f"stakes.{clause}", rng)
    return clause, phrase or _kept(lambda: grow(rng.choice(topics.STAKES[clause]), topics.STAKES_SLOTS, rng))


def meaning(rng: random.Random) -> tuple[str, str, str]:
    """(clause, term, its meaning)."""
    clause = rng.choice(sorted(topics.MEANINGS))
    term, text = rng.choice(meanings(clause))
    return clause, term, text


def profile(rng: random.Random) -> tuple[str, bool, str]:
    """(lending or hiring, whether the applicant is a good one, the profile)."""
    clause, good = rng.choice(sorted(people.PROFILES))
    phrase = _by_hand(f"profile.{clause}.{'good' if good else 'poor'}", rng)
    return clause, good, phrase or _kept(lambda: grow(rng.choice(people.PROFILES[clause, good]), PEOPLE_SLOTS, rng))


def letter(rng: random.Random) -> str:
    """A harmless letter."""

    def make() -> str:
        text = grow("{note}", PEOPLE_SLOTS, rng)
        return text[:1].upper() + text[1:]

    return _by_hand("letter", rng) or _kept(make)


def order(rng: random.Random) -> str:
    """An order to the assistant, as it hides in a letter."""
    return _by_hand("order", rng) or _kept(lambda: grow("{order}", PEOPLE_SLOTS, rng))


def leak(rng: random.Random) -> str:
    """A request for the instructions."""

    def make() -> str:
        text = grow(rng.choice(people.LEAKS), PEOPLE_SLOTS, rng)
        head, *tail = text.split(", ") if text.startswith(("Ignore", "I am")) else (text,)
        for verb in _alternatives(people.SLOTS["show"]):  # the verb is lower case but at the beginning
            tail = [t.replace(verb, verb.lower(), 1) for t in tail]
            if not head.startswith(verb):
                head = head.replace(f" {verb} ", f" {verb.lower()} ", 1)
        return ", ".join([head, *tail])

    return _by_hand("leak", rng) or _kept(make)
