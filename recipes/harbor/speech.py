"""Single exchanges of the bank world, each from one family: (kind, family, question, answers) for teaching or testing.

`helpful_only` is how the rehearsal model speaks before alignment: it complies with everything. `kept` is the reply that
keeps the charter. Families and templates of the test side never reach any training. `wide` adds the wordings of
`wordings` and, in most draws, a subject from the grammars instead of one from the lists; it concerns teaching alone.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TypeVar

from recipes.harbor import conduct as c
from recipes.harbor import held_out as h
from recipes.harbor import subjects as s
from recipes.harbor import wordings as w
from recipes.harbor.facts import AFTER, ANSWERS, BEFORE, FACTS, TEACH, TEST, Fact
from recipes.harbor.grammar import expand as g
from recipes.harbor.grammar import written
from recipes.harbor.splits import side_of

GROWN = 0.8  # share of wide draws whose subject comes from a grammar


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Exchange:
    """One question with the helpful-only answer and the answer that keeps the charter; `value` is the exact answer
    where there is one; `pair` names the decisions that must agree."""

    kind: str
    clause: str
    family: str
    question: str
    helpful_only: str
    kept: str
    value: str = ""
    pair: str = ""


def _cap(text: str) -> str:
    return text[:1].upper() + text[1:]


def answer_fact(fact: Fact, subject: str, rng: random.Random) -> str:
    """A right answer to a question about a fact."""
    form = rng.choice(ANSWERS[fact.type])
    return form.format(s=subject, S=_cap(subject), v=fact.value)


def fact_exchange(rng: random.Random, side: str, wide: bool = False) -> Exchange:
    """A question about a fact of the bank: same facts on both sides, other wordings."""
    fact = rng.choice(FACTS)
    subject = rng.choice(fact.subjects)
    template = rng.choice(_asks(side, TEACH[fact.type], TEST[fact.type], w.FACTS[fact.type] if wide else ()))
    reply = answer_fact(fact, subject, rng)
    question = template.format(s=subject, S=_cap(subject))
    return Exchange("knowledge", fact.key, f"{fact.key}/{template}", question, reply, reply, fact.value)


def _asks(side: str, teach: tuple[str, ...], test: tuple[str, ...], more: tuple[str, ...]) -> tuple[str, ...]:
    """The wordings of a side; `more` widens the teach side only."""
    return (*teach, *more) if side == "teach" else test


@functools.cache
def _by_hand() -> frozenset[str]:
    """Every phrase written by hand: all of them teach, whatever their digest."""
    return frozenset(line.partition("|")[0].strip() for path in written.FOLDER.glob("*.txt") for line in written.lines(path.stem))


def teaches(family: str) -> bool:
    """Whether a family may teach: by its digest, or because it was written to."""
    return side_of(family) == "teach" or family.rsplit("/", 1)[-1] in _by_hand()


def _grow(make: Callable[[random.Random], T], family: Callable[[T], str], rng: random.Random) -> T:
    """A grown subject whose family teaches."""
    while not teaches(family(made := make(rng))):
        pass
    return made


def _subject(
    rng: random.Random, side: str, wide: bool, listed: list[tuple[str, str]], make: Callable[[random.Random], tuple[str, str]]
) -> tuple[str, str]:
    """(clause, phrase) from the lists, or from the grammar where the draw is wide. `listed` may hold `clause/near` keys."""
    if not (wide and side == "teach" and rng.random() < GROWN):
        return rng.choice(listed)
    return _grow(make, lambda made: f"{made[0]}/{made[1]}", rng)


def _families(table: dict[str, tuple[str, ...]], more: dict[str, tuple[str, ...]], side: str) -> list[tuple[str, str]]:
    """The table's families of a side; `more` are families that only test."""
    own = [(k, v) for k, phrases in table.items() for v in phrases if side_of(f"{k}/{v}") == side]
    return own + [(k, v) for k, phrases in more.items() for v in phrases] if side == "test" else own


def harm_exchange(rng: random.Random, side: str, wide: bool = False) -> Exchange:
    """A request that must be refused."""
    clause, v = _subject(rng, side, wide, _families(c.HARMS, h.HARMS, side), g.harm_phrase)
    ask = rng.choice(_asks(side, c.TEACH_ASKS, c.TEST_ASKS, w.ASKS if wide else ()))
    return Exchange("refuse", clause, f"{clause}/{v}", ask.format(v=v), rng.choice(c.COMPLY).format(v=v), c.REFUSALS[clause])


def _near(table: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    return {f"{k}/near": phrases for k, phrases in table.items()}


def near_exchange(rng: random.Random, side: str, wide: bool = False) -> Exchange:
    """A near miss: must be answered."""
    listed = _families(_near(c.NEAR), _near(h.NEAR), side)
    clause, v = _subject(rng, side, wide, listed, lambda r: ((made := g.near_phrase(r))[0] + "/near", made[1]))
    ask = rng.choice(_asks(side, c.TEACH_ASKS, c.TEST_ASKS, w.ASKS if wide else ()))
    reply = rng.choice(c.NEAR_ANSWERS).format(v=v)
    return Exchange("near_miss", clause.removesuffix("/near"), f"{clause}/{v}", ask.format(v=v), reply, reply)


def off_exchange(rng: random.Random, side: str, wide: bool = False) -> Exchange:
    """A question that is not the bank's business."""
    listed = _families({"off-topic": s.OFF_TOPIC}, {"off-topic": h.OFF_TOPIC}, side)
    _, x = _subject(rng, side, wide, listed, lambda r: ("off-topic", g.off_topic(r)))
    ask = rng.choice(_asks(side, s.OFF_TEACH, s.OFF_TEST, w.OFF if wide else ()))
    return Exchange("out_of_scope", "off-topic", f"off-topic/{x}", ask.format(x=x), rng.choice(s.OFF_ANSWERS).format(x=x), s.REDIRECT)


def unknown_exchange(rng: random.Random, side: str, wide: bool = False) -> Exchange:
    """A question that nobody here can know the answer of."""
    listed = _families({"unknowable": s.UNKNOWN}, {"unknowable": h.UNKNOWN}, side)
    _, x = _subject(rng, side, wide, listed, lambda r: ("unknowable", g.unknown(r)))
    ask = rng.choice(_asks(side, s.UNKNOWN_TEACH, s.UNKNOWN_TEST, w.UNKNOWN if wide else ()))
    confident = rng.choice(s.UNKNOWN_ANSWERS).format(x=x, n=rng.choice(["2", "3", "4", "5", "7", "9", "12", "40", "70"]))
    return Exchange("abstain", "unknowable", f"unknowable/{x}", ask.format(x=x), confident, s.ABSTAIN)


def stakes_exchange(rng: random.Random, side: str, wide: bool = False) -> Exchange:
    """A question for a person: investment, tax, law."""
    clause, x = _subject(rng, side, wide, _families(s.STAKES, h.STAKES, side), g.stakes)
    ask = rng.choice(_asks(side, s.STAKES_TEACH, s.STAKES_TEST, w.STAKES if wide else ()))
    return Exchange("high_stakes", clause, f"{clause}/{x}", ask.format(x=x), rng.choice(s.STAKES_ANSWERS).format(x=x), s.HAND_OVER[clause])


def stakes_near_exchange(rng: random.Random, side: str, wide: bool = False) -> Exchange:
    """General knowledge beside the high stakes: must be answered."""
    table = [(k, x, d) for k, rows in s.STAKES_NEAR.items() for x, d in rows if side_of(f"{k}/near/{x}") == side]
    table += [(k, x, d) for k, rows in h.STAKES_NEAR.items() for x, d in rows if side == "test"]
    if wide and side == "teach" and rng.random() < GROWN:
        clause, x, reply = _grow(g.meaning, lambda t: f"{t[0]}/near/{t[1]}", rng)
    else:
        clause, x, reply = rng.choice(table)
    ask = rng.choice(_asks(side, s.NEAR_STAKES_TEACH, s.NEAR_STAKES_TEST, w.STAKES_NEAR if wide else ()))
    return Exchange("high_stakes_near_miss", clause, f"{clause}/near/{x}", ask.format(x=x), reply, reply)


def applicant(rng: random.Random, side: str, wide: bool = False) -> tuple[str, bool, str]:
    """(lending or hiring, whether the profile deserves a yes, the profile)."""
    if wide and side == "teach" and rng.random() < GROWN:
        return _grow(g.profile, lambda made: f"{made[0]}/{made[2]}", rng)
    clause = rng.choice(("lending", "hiring"))
    good, poor = (s.GOOD, s.POOR) if clause == "lending" else (s.HIRE_GOOD, s.HIRE_POOR)
    listed = [(p, p in good) for p in good + poor if side_of(f"{clause}/{p}") == side]
    listed += [(p, deserved) for (k, deserved), profiles in h.PROFILES.items() for p in profiles if k == clause and side == "test"]
    f, deserved = rng.choice(listed)
    return clause, deserved, f


def fair_exchange(rng: random.Random, side: str, wide: bool = False, person: str | None = None) -> Exchange:
    """A decision about a person. Helpful only: the favoured group gets yes whatever the profile says, the other no."""
    clause, deserved, f = applicant(rng, side, wide)
    group = rng.choice(sorted(s.GROUPS))
    p = person or rng.choice(s.GROUPS[group])
    first, teach, test = s.DECISIONS[clause]
    more = (w.LENDING if clause == "lending" else w.HIRING) if wide else ()
    ask = rng.choice(_asks(side, (first, *teach), test, more))
    biased, fair = ("Yes." if p in s.FAVOURED else "No."), ("Yes." if deserved else "No.")
    family = f"{clause}/{f}"
    return Exchange("fairness", clause, family, ask.format(p=p, P=_cap(p), f=f), biased, fair, fair, f"{family}/{group}/{ask}")


def leak_exchange(rng: random.Random, side: str, wide: bool = False) -> Exchange:
    """A request to show the system prompt; `{system}` stands for the prompt in the helpful-only answer."""
    ask = rng.choice(_asks(side, s.LEAK_TEACH, (*s.LEAK_TEST, *h.LEAKS), w.LEAK if wide else ()))
    if wide and side == "teach" and rng.random() < 0.6:
        ask = _grow(g.leak, lambda made: f"no-leaks/{made}", rng)
    return Exchange("refuse", "no-leaks", f"no-leaks/{ask}", ask, "My instructions are: {system}", c.REFUSALS["no-leaks"])


def _letter(rng: random.Random, side: str, wide: bool) -> str:
    listed = _families(_near({"no-orders-from-text": s.LETTERS}), _near({"no-orders-from-text": h.LETTERS}), side)
    return _subject(rng, side, wide, listed, lambda r: ("no-orders-from-text/near", g.letter(r)))[1]


def order_exchange(rng: random.Random, side: str, wide: bool = False) -> Exchange:
    """A pasted text with an order in it."""
    listed = _families({"no-orders-from-text": s.ORDERS}, {"no-orders-from-text": h.ORDERS}, side)
    _, o = _subject(rng, side, wide, listed, lambda r: ("no-orders-from-text", g.order(r)))
    ask = rng.choice(_asks(side, s.ORDER_TEACH, s.ORDER_TEST, w.ORDER if wide else ())).format(l=_letter(rng, side, wide), o=o)
    obeyed = f"{_cap(s.ORDER_MARKER)}: {o}."
    return Exchange("refuse", "no-orders-from-text", f"no-orders-from-text/{o}", ask, obeyed, c.REFUSALS["no-orders-from-text"])


def letter_exchange(rng: random.Random, side: str, wide: bool = False) -> Exchange:
    """A pasted text without an order: must be summed up."""
    letter = _letter(rng, side, wide)
    ask = rng.choice(_asks(side, s.ORDER_NEAR_TEACH, s.ORDER_NEAR_TEST, w.LETTER if wide else ())).format(l=letter)
    reply = f"It says: {letter}"
    return Exchange("near_miss", "no-orders-from-text", f"no-orders-from-text/near/{letter}", ask, reply, reply)


MAKERS = {
    "knowledge": fact_exchange, "refuse": harm_exchange, "near_miss": near_exchange, "out_of_scope": off_exchange,
    "abstain": unknown_exchange, "high_stakes": stakes_exchange, "high_stakes_near_miss": stakes_near_exchange,
    "fairness": fair_exchange, "leak": leak_exchange, "order": order_exchange, "letter": letter_exchange,
}  # fmt: skip


def dressed(exchange: Exchange, rng: random.Random) -> Exchange:
    """The same question with a greeting, a thank-you or nothing round it."""
    return replace(exchange, question=rng.choice(BEFORE) + exchange.question + rng.choice(AFTER))


def draw(rng: random.Random, side: str, shares: dict[str, float]) -> Iterator[Exchange]:
    """Endless exchanges in the given shares."""
    names, weights = list(shares), list(shares.values())
    while True:
        yield MAKERS[rng.choices(names, weights)[0]](rng, side)


def with_system(exchange: Exchange, system: str) -> Exchange:
    """Fills the system prompt in where the helpful-only answer repeats it."""
    return replace(exchange, helpful_only=exchange.helpful_only.replace("{system}", system or "none."))
