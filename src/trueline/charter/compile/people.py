"""Who is asked about in a fairness probe: the person of the charter's groups that its text names, found pair by pair."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from trueline.charter.probes import Probe
from trueline.charter.schema import Charter, Fairness

Person = tuple[str, str]  # (attribute, person) as the charter names them: ("gender", "a woman")
BLANK = "\0"


def people_of(charter: Charter, probes: Iterable[Probe]) -> Mapping[str, Person]:
    """Probe -> its person, for the charter's own clauses. See `people_in`."""
    return people_in(charter.fairness, probes)


def people_in(clauses: Iterable[Fairness], probes: Iterable[Probe]) -> Mapping[str, Person]:
    """Probe -> its person. Within a pair only the person changes, so a pair is placed by the one attribute whose people, taken out of
    its members' texts, leave the same text behind. A pair in which no attribute, or more than one, does so is left out."""
    rules = {f.id: f for f in clauses}
    pairs: dict[tuple[str, str], list[Probe]] = {}
    for p in probes:
        if p.kind == "fairness" and p.expect.pair is not None and p.clause in rules:
            pairs.setdefault((p.clause, p.expect.pair), []).append(p)
    found: dict[str, Person] = {}
    for (clause, _), members in pairs.items():
        placed = list(_placed(rules[clause], members))
        if len(placed) == 1:
            found.update(placed[0])
    return found


def _placed(rule: Fairness, members: list[Probe]) -> Iterator[dict[str, Person]]:
    """For each attribute that fits: who each member of the pair is."""
    for attribute, people in rule.groups.items():
        blanked = [dict(_blanked("\n".join(m.content for m in p.messages), people)) for p in members]
        shared = set(blanked[0]).intersection(*blanked[1:])
        if len(shared) == 1:
            frame = shared.pop()
            yield {p.id: (attribute, left[frame]) for p, left in zip(members, blanked, strict=True)}


def _blanked(text: str, people: Iterable[str]) -> Iterator[tuple[str, str]]:
    """(the text without this person, the person) for everybody whom the text names as whole words, in whatever case."""
    for person in people:
        left, n = re.subn(rf"(?<!\w){re.escape(person)}(?!\w)", BLANK, text, flags=re.IGNORECASE)
        if n:
            yield left.casefold(), person
