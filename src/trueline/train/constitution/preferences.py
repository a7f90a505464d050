"""Soft labels as preferences that every trainer reads: two weighted rows a pair.

The loss that a soft label asks for is the cross-entropy -p log s(z) - (1 - p) log s(-z), z the difference of rewards. It is exactly the
weighted sum of two rows, (one over two) with weight p and (two over one) with weight 1 - p, and it is least at z = logit p. One row
weighted |2p - 1| has the same gradient at z = 0 and no such minimum: it drives every difference to infinity, a pair of p = 0.55 as well
as one of 0.99. So training reads two rows. Agreement is measured on one row a pair, the likelier reply first: of two opposite rows
every model is right on exactly one.

A pair whose two orders contradict each other has a label near one half by averaging, not by knowledge: its two rows pull against each other
and teach noise. Pairs with |2p - 1| below `least` are left out, and counted by who calls (`undecided`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from trueline.charter.turns import behind
from trueline.core.records import Preference
from trueline.train.constitution.records import Label

SOURCE = "ai label"


def undecided(label: Label, least: float) -> bool:
    """Whether a scored label prefers neither reply by as much as `least`, in |2p - 1|."""
    return label.p is not None and abs(2 * label.p - 1) < least


def soft_rows(labels: Sequence[Label], system: str = "", least: float = 0.0) -> Iterator[tuple[Preference, float]]:
    """(preference, probability that its chosen reply is the better) of all scored labels with |2p - 1| of at least `least`: the
    likelier first, then its opposite; weights of a pair sum to 1. A row of weight 0 is left out."""
    for label in labels:
        if label.p is None or undecided(label, least):
            continue
        sides = ((label.p, label.pair.one, label.pair.two), (1.0 - label.p, label.pair.two, label.pair.one))
        for p, chosen, rejected in sorted(sides, key=lambda x: -x[0]):
            if p > 0:
                yield Preference(behind(system, label.pair.prompt.messages), chosen, rejected, 0.0, p, label.principle, SOURCE), p


def likelier_rows(labels: Sequence[Label], system: str = "", least: float = 0.0) -> list[Preference]:
    """One preference a label, the likelier reply chosen, weight |2p - 1|; ties left out. To measure agreement on."""
    likelier = (pair for pair in soft_rows(labels, system, least) if pair[1] > 0.5)
    return [Preference(p.prompt, p.chosen, p.rejected, 0.0, 2 * share - 1, p.clause, SOURCE) for p, share in likelier]


def written(rows: Sequence[tuple[Preference, float]]) -> Iterator[dict[str, Any]]:
    """The rows of `preferences.jsonl`: standard preferences with their soft `label`."""
    for p, share in rows:
        yield {**p.to_dict(), "label": share}
