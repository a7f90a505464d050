"""Personal numbers: payment cards (Luhn) and IBANs (mod 97)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

_CARD = re.compile(r"(?<![0-9A-Za-z])(?:[0-9][ -]?){12,18}[0-9](?![0-9A-Za-z])")
_IBAN = re.compile(r"(?<![0-9A-Za-z])[A-Z]{2}[0-9]{2}(?:[ ]?[0-9A-Z]){11,30}(?![0-9A-Za-z])")
_TAIL = re.compile(r"(?:[A-Z]{0,2}[0-9][0-9A-Z -]{0,64}|[A-Z]{1,2})$")


@dataclass(frozen=True, slots=True)
class NumberFound:
    """A number at [start, end)."""

    kind: Literal["card", "iban"]
    start: int
    end: int


def luhn(digits: str) -> bool:
    """Luhn's check (ISO/IEC 7812-1): doubled every second digit from the right, the sum divisible by ten."""
    total = 0
    for i, c in enumerate(reversed(digits)):
        d = int(c) * (2 if i % 2 else 1)
        total += d - 9 if d > 9 else d
    return total % 10 == 0


def iban(text: str) -> bool:
    """ISO 13616: the first four characters moved to the end, letters as 10..35, remainder 1 by 97."""
    moved = text[4:] + text[:4]
    return int("".join(str(int(c, 36)) for c in moved)) % 97 == 1


def find_numbers(text: str) -> tuple[NumberFound, ...]:
    """All card numbers and IBANs, in order."""
    out = []
    for m in _CARD.finditer(text):
        digits = re.sub(r"[ -]", "", m.group())
        if luhn(digits) and len(set(digits)) > 1:
            out.append(NumberFound("card", m.start(), m.end()))
    for m in _IBAN.finditer(text):
        if iban(m.group().replace(" ", "")):
            out.append(NumberFound("iban", m.start(), m.end()))
    return tuple(sorted(out, key=lambda f: f.start))


def number_tail(text: str) -> int:
    """Length of the suffix that could still become a number."""
    m = _TAIL.search(text)
    return len(m.group()) if m else 0
