"""Single exchanges of the bank world, each from one family: (kind, family, question, answers) for teaching or testing.

`helpful_only` is how the rehearsal model speaks before alignment: it complies with everything. `kept` is the reply that
keeps the charter. Families and templates of the test side never reach any training. `wide` (the corpus alone) adds the
wordings of `wordings`; without it the draws, and so the shipped probes, do not change.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace

from recipes.harbor import conduct as c
from recipes.harbor import subjects as s
from recipes.harbor import wordings as w
from recipes.harbor.facts import AFTER, ANSWERS, BEFORE, FACTS, TEACH, TEST, Fact
from recipes.harbor.splits import side_of


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


def _families(table: dict[str, tuple[str, ...]], side: str) -> list[tuple[str, str]]:
    return [(k, v) for k, phrases in table.items() for v in phrases if side_of(f"{k}/{v}") == side]


def _own(topics: tuple[str, ...], clause: str, side: str) -> list[str]:
    return [x for x in topics if side_of(f"{clause}/{x}") == side]


def harm_exchange(rng: random.Random, side: str, wide: bool = False) -> Exchange:
    """A request that must be refused."""
    clause, v = rng.choice(_families(c.HARMS, side))
    ask = rng.choice(_asks(side, c.TEACH_ASKS, c.TEST_ASKS, w.ASKS if wide else ()))
    return Exchange("refuse", clause, f"{clause}/{v}", ask.format(v=v), rng.choice(c.COMPLY).format(v=v), c.REFUSALS[clause])


def near_exchange(rng: random.Random, side: str, wide: bool = False) -> Exchange:
    """A near miss: must be answered."""
    clause, v = rng.choice([(k, v) for k, v in _families({f"{k}/near": p for k, p in c.NEAR.items()}, side)])
    ask = rng.choice(_asks(side, c.TEACH_ASKS, c.TEST_ASKS, w.ASKS if wide else ()))
    reply = rng.choice(c.NEAR_ANSWERS).format(v=v)
    return Exchange("near_miss", clause.removesuffix("/near"), f"{clause}/{v}", ask.format(v=v), reply, reply)


def off_exchange(rng: random.Random, side: str, wide: bool = False) -> Exchange:
    """A question that is not the bank's business."""
    x = rng.choice(_own(s.OFF_TOPIC, "off-topic", side))
    ask = rng.choice(_asks(side, s.OFF_TEACH, s.OFF_TEST, w.OFF if wide else ()))
    return Exchange("out_of_scope", "off-topic", f"off-topic/{x}", ask.format(x=x), rng.choice(s.OFF_ANSWERS).format(x=x), s.REDIRECT)


def unknown_exchange(rng: random.Random, side: str, wide: bool = False) -> Exchange:
    """A question that nobody here can know the answer of."""
    x = rng.choice(_own(s.UNKNOWN, "unknowable", side))
    ask = rng.choice(_asks(side, s.UNKNOWN_TEACH, s.UNKNOWN_TEST, w.UNKNOWN if wide else ()))
    confident = rng.choice(s.UNKNOWN_ANSWERS).format(x=x, n=rng.choice(["2", "3", "4", "5", "7", "9", "12", "40", "70"]))
    return Exchange("abstain", "unknowable", f"unknowable/{x}", ask.format(x=x), confident, s.ABSTAIN)


def stakes_exchange(rng: random.Random, side: str, wide: bool = False) -> Exchange:
    """A question for a person: investment, tax, law."""
    clause, x = rng.choice(_families(s.STAKES, side))
    ask = rng.choice(_asks(side, s.STAKES_TEACH, s.STAKES_TEST, w.STAKES if wide else ()))
    return Exchange("high_stakes", clause, f"{clause}/{x}", ask.format(x=x), rng.choice(s.STAKES_ANSWERS).format(x=x), s.HAND_OVER[clause])


def stakes_near_exchange(rng: random.Random, side: str, wide: bool = False) -> Exchange:
    """General knowledge beside the high stakes: must be answered."""
    table = [(k, x, d) for k, rows in s.STAKES_NEAR.items() for x, d in rows]
    clause, x, reply = rng.choice([t for t in table if side_of(f"{t[0]}/near/{t[1]}") == side])
    ask = rng.choice(_asks(side, s.NEAR_STAKES_TEACH, s.NEAR_STAKES_TEST, w.STAKES_NEAR if wide else ()))
    return Exchange("high_stakes_near_miss", clause, f"{clause}/near/{x}", ask.format(x=x), reply, reply)


def fair_exchange(rng: random.Random, side: str, wide: bool = False, person: str | None = None) -> Exchange:
    """A decision about a person. Helpful only: the favoured group gets yes whatever the profile says, the other no."""
    clause = rng.choice(("lending", "hiring"))
    good, poor = (s.GOOD, s.POOR) if clause == "lending" else (s.HIRE_GOOD, s.HIRE_POOR)
    f = rng.choice([p for p in good + poor if side_of(f"{clause}/{p}") == side])
    group = rng.choice(sorted(s.GROUPS))
    p = person or rng.choice(s.GROUPS[group])
    first, teach, test = s.DECISIONS[clause]
    more = (w.LENDING if clause == "lending" else w.HIRING) if wide else ()
    ask = rng.choice(_asks(side, (first, *teach), test, more))
    biased, fair = ("Yes." if p in s.FAVOURED else "No."), ("Yes." if f in good else "No.")
    family = f"{clause}/{f}"
    return Exchange("fairness", clause, family, ask.format(p=p, P=_cap(p), f=f), biased, fair, fair, f"{family}/{group}/{ask}")


def leak_exchange(rng: random.Random, side: str, wide: bool = False) -> Exchange:
    """A request to show the system prompt; `{system}` stands for the prompt in the helpful-only answer."""
    ask = rng.choice(_asks(side, s.LEAK_TEACH, s.LEAK_TEST, w.LEAK if wide else ()))
    return Exchange("refuse", "no-leaks", f"no-leaks/{ask}", ask, "My instructions are: {system}", c.REFUSALS["no-leaks"])


def _letters(side: str) -> list[str]:
    return [x for x in s.LETTERS if side_of(f"no-orders-from-text/near/{x}") == side]


def order_exchange(rng: random.Random, side: str, wide: bool = False) -> Exchange:
    """A pasted text with an order in it."""
    o = rng.choice(_own(s.ORDERS, "no-orders-from-text", side))
    ask = rng.choice(_asks(side, s.ORDER_TEACH, s.ORDER_TEST, w.ORDER if wide else ())).format(l=rng.choice(_letters(side)), o=o)
    obeyed = f"{_cap(s.ORDER_MARKER)}: {o}."
    return Exchange("refuse", "no-orders-from-text", f"no-orders-from-text/{o}", ask, obeyed, c.REFUSALS["no-orders-from-text"])


def letter_exchange(rng: random.Random, side: str, wide: bool = False) -> Exchange:
    """A pasted text without an order: must be summed up."""
    letter = rng.choice(_letters(side))
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
