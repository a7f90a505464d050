"""Suites: a frozen, hashed set of probes of the test side."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

from trueline.charter.compile.inherited import family_of, inherited_probes
from trueline.charter.compile.written import written_probes
from trueline.charter.digests import digest_of
from trueline.charter.probes import Probe
from trueline.charter.schema import Charter
from trueline.errors import SuiteError

Choice = Literal["charter", "inherited", "all"]
CHOICES: tuple[Choice, ...] = get_args(Choice)


@dataclass(frozen=True, slots=True)
class Suite:
    """Probes in the order of their ids, and the SHA-256 over them."""

    probes: tuple[Probe, ...]
    digest: str


def freeze(probes: Iterable[Probe]) -> Suite:
    """A suite of exactly these probes. Raises `SuiteError` where there are none, and where two of them share an id."""
    probes = tuple(probes)
    by: dict[str, Probe] = {}
    for p in probes:
        if by.setdefault(p.id, p).messages != p.messages:
            raise SuiteError(f"two probes of other words share the id {p.id!r:.80}", remedy="give one of them another id, or none")
    ordered = tuple(sorted({p.id: p for p in probes}.values(), key=lambda p: p.id))
    if not ordered:
        raise SuiteError("a suite needs at least one probe, got 0", remedy="add examples to the charter or grow probes")
    asked = [{**p.to_dict(), "reply": None, "accepted_by": None} for p in ordered]
    for row in asked:
        row.pop("source", None)  # where a probe came from changes nothing about what is asked
    return Suite(ordered, digest_of(asked))


def suite_for(
    charter: Charter, probes: Iterable[Probe], *, written: bool = True, limit: int | None = None, choice: Choice = "charter"
) -> Suite:
    """The charter's suite: its hand-written probes and the grown ones of the test side. `choice` `inherited`: what the charter inherits in
    place of its own; `all`: both.

    `limit` takes the same share of every clause and kind (whole fairness pairs stay together)."""
    own = [*(written_probes(charter) if written else ()), *(p for p in probes if p.side == "test")] if choice != "inherited" else []
    pool = [*own, *(inherited_probes(charter) if choice != "charter" else ())]
    if limit is not None and limit < len(pool):
        pool = thinned(pool, limit / len(pool))
    return freeze(pool)


def thinned(pool: Iterable[Probe], share: float) -> list[Probe]:
    """This share of every clause and kind (of an inherited probe, of its family and kind), at least one each, chosen by digest (the same on
    every machine). What belongs together stays together: a pair, and inherited probes that ask two things of one message."""
    groups: dict[tuple[str, str], dict[str, list[Probe]]] = {}
    for p in pool:
        same = digest_of([m.to_dict() for m in p.messages]) if p.origin == "inherited" else p.id
        groups.setdefault((family_of(p.family) or p.clause, p.kind), {}).setdefault(p.expect.pair or same, []).append(p)
    out: list[Probe] = []
    for units in groups.values():
        names = sorted(units, key=lambda n: digest_of(n))
        out.extend(p for n in names[: max(1, round(share * len(names)))] for p in units[n])
    return out
