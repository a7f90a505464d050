"""Which training rows hold a probe of a suite: copies, and near copies by word pairs. Such a probe would measure memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from trueline.algos.text.overlap import near_copies
from trueline.charter.probes import Probe
from trueline.charter.turns import Message
from trueline.data.contamination import fingerprint, taught

NAMED = 5  # rows and families that a message names
BEGINS = 40  # characters of a row, by which it is found in its file


@dataclass(frozen=True, slots=True)
class Hit:
    """row: number of the training row, from 1 (rows that were left out or held out before do not count), begins: with what words; probe and family: the probe whose words stand in it; share of the probe's word pairs that
    do; exact: whether the row asks the very same words."""

    row: int
    probe: str
    family: str
    share: float
    exact: bool
    begins: str = ""


@dataclass(frozen=True, slots=True)
class Overlap:
    """asked: grown probes of the test side that were looked for; hits: the rows that hold one; taught: hand-written probes among the rows
    (they teach by design, and are no held-out evidence afterwards)."""

    asked: int
    hits: tuple[Hit, ...]
    taught: int

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)

    def words(self) -> str:
        """One line for a person."""
        also = f"; {self.taught} hand-written examples are taught, so they are no held-out evidence" if self.taught else ""
        if not self.hits:
            return f"overlap with suites: none of {self.asked} probes{also}"
        exact = sum(h.exact for h in self.hits)
        rows = ", ".join(f"{h.row} ({h.begins!r})" for h in self.hits[:NAMED]) + (", ..." if len(self.hits) > NAMED else "")
        families = list(dict.fromkeys(h.family for h in self.hits))
        named = ", ".join(repr(f) for f in families[:NAMED]) + (", ..." if len(families) > NAMED else "")
        return (
            f"overlap with suites: {len(self.hits)} rows ({exact} the same words, {len(self.hits) - exact} nearly) hold probes of "
            f"{len(families)} families; rows {rows}; families {named}{also}"
        )


def overlap(probes: Sequence[Probe], prompts: Sequence[Sequence[Message]]) -> Overlap:
    """Looks for the grown probes of the test side in the users' words of every row. One hit a row, the probe it holds most of."""
    grown = [p for p in probes if p.origin == "grown" and p.side == "test"]
    texts, asked = [fingerprint(m) for m in prompts], [fingerprint(p.messages) for p in grown]
    same = {text: i for i, text in reversed(list(enumerate(asked)))}
    hits = []
    for m in near_copies(texts, asked):
        exact = texts[m.text] in same
        found = grown[same[texts[m.text]] if exact else m.of]
        begins = next((t.content for t in prompts[m.text] if t.role == "user"), "")[:BEGINS]
        hits.append(Hit(m.text + 1, found.id, found.family, m.share, exact, begins))
    return Overlap(len(grown), tuple(hits), len(taught(probes, [tuple(m) for m in prompts])))
