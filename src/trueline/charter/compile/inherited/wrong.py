"""Wrong answers to the charter's own questions: what a mistaken user believes. Near the truth, never one of the accepted answers."""

from __future__ import annotations

import re
from collections.abc import Sequence

from trueline.charter.compile.inherited.building import Fact, known, number, ranked
from trueline.charter.schema import Charter, Knowledge

_FIGURE = re.compile(r"\d+(?:[.,]\d+)*")
# a time of day, or the first of two; "2 to 4 weeks" and "100 to 200 euros" are none
_HOUR = re.compile(
    r"(?<![\d.,])(\d{1,2})(?=:\d\d| to \d{1,2}(?![\d.,]\d|\d| *%| (?:\w+ )?(?:minutes?|hours?|days?|weeks?|months?|years?|euros?|percent)\b))"
)
_RANGE = re.compile(r"^\D*[1-9][\d.,]*(?: to | ?- ?| ?\u2013 ?| and )[1-9][\d.,]*\b\D*$")
FACTORS = (2, 3, 4)  # a wrong figure is this many times the right one: nobody rounds his way from one to the other


def _times(figure: str, factor: int) -> str:
    """The figure times a factor, written as it was: "2,000" -> "4,000", "4.2" -> "8.4", "0800" keeps its width."""
    digits = re.sub(r"[.,]", "", figure)
    more = str(int(digits) * factor)
    if not int(digits):
        return "1" + digits[1:]
    decimals = re.search(r"[.,](\d{1,2})$", figure)
    if decimals:
        cut = len(decimals.group(1))
        more = more.rjust(cut + 1, "0")
        return more[:-cut] + decimals.group()[0] + more[-cut:]
    if "," in figure:
        return f"{int(more):,}"
    return more[-len(digits) :] if digits.startswith("0") else more


def wrong_answers(charter: Charter, item: Knowledge) -> tuple[str, ...]:
    """Other figures in the same words, or other items' places, best first; none where the charter has nothing to confuse it with."""
    right = item.expected[0]
    figures = list(_FIGURE.finditer(right))
    if hour := _HOUR.search(right):
        h = int(hour.group(1))
        made = [right[: hour.start()] + str(h + by if h + by < 24 else h - by) + right[hour.end() :] for by in (2, 3, 1)]
    elif _RANGE.match(right):
        turn = number(f"{item.id}|{right}", len(FACTORS))
        made = [_FIGURE.sub(lambda m, f=f: _times(m.group(), f), right) for f in (*FACTORS[turn:], *FACTORS[:turn])]  # type: ignore[misc]
    elif figures:
        last = figures[-1] if figures[0].group().startswith("0") else figures[0]  # of a telephone number, its end
        turn = number(f"{item.id}|{right}", len(FACTORS))
        made = [right[: last.start()] + _times(last.group(), f) + right[last.end() :] for f in (*FACTORS[turn:], *FACTORS[:turn])]
    else:
        # a place for a place, a paper for a paper: what begins to ask alike is answered alike
        asks = item.ask[0].split()[0].lower()
        alike = [k for k in known(charter) if k.id != item.id and k.ask[0].split()[0].lower() == asks]
        made = ranked({k.expected[0] for k in alike if not _FIGURE.search(k.expected[0])}, item.id)
    return tuple(dict.fromkeys(m for m in made if _differs(m, item.expected)))


def _differs(made: str, expected: Sequence[str]) -> bool:
    low = made.lower()
    return all(e.lower() not in low and low not in e.lower() for e in expected)


def facts(charter: Charter) -> tuple[Fact, ...]:
    """Every knowledge item with a wrong answer to it."""
    out = []
    for item in known(charter):
        wrong = next(iter(wrong_answers(charter, item)), None)
        if wrong is not None:
            said = item.reply or f"{item.expected[0][:1].upper()}{item.expected[0][1:]}."
            out.append(Fact(item.id, item.ask[0], item.expected, said, wrong))
    return tuple(out)
