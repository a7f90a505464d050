"""Probes from what went wrong: successful attacks of a red-team run and incidents at run time, with where each came from.

They are drafts until a person accepts them. A probe from an attack stays in the family and on the side of the request it was made from, so that
families never cross; one from an incident is of the test side.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from trueline.charter.compile.written import kinds_of
from trueline.charter.probes import OUTCOME_OF, Expectation, Kind, Probe, probe_id
from trueline.charter.schema import Charter, Knowledge
from trueline.charter.turns import Message, messages_from
from trueline.core.evaluations import ATTACK_MARK, GradedReply
from trueline.core.records import Incident
from trueline.data.jsonl import read_jsonl
from trueline.errors import DataError
from trueline.evals.redteam.attacks import ATTACKS

ATTEMPTS = "attempts.jsonl"  # the journal of a red-team run, where it keeps the conversations themselves
EACH = 2  # attacks kept of one request: more of them say the same again


@dataclass(frozen=True, slots=True)
class Found:
    """The drafts, and how many successes could not be made into one."""

    probes: tuple[Probe, ...]
    lost: int


@dataclass(frozen=True, slots=True)
class Success:
    """A request that fell, the name of the attack, and what was said to the target."""

    request: str
    how: str
    messages: tuple[Message, ...]


def attempted(folder: Path) -> Iterator[Success]:
    """The successes that a run's own journal holds word for word. Raises `DataError` for a row that is none."""
    for number, row in read_jsonl(folder / ATTEMPTS):
        if row.get("result") != "fail" or row.get("asked", "target") != "target":
            continue
        try:
            yield Success(str(row["request"]), str(row["how"]), messages_from(row["messages"]))
        except (KeyError, DataError) as e:
            what = f"an attempt needs request, how and messages ({e})"
            raise DataError(what, remedy="run `trueline redteam` again", file=folder / ATTEMPTS, line=number) from None


def rebuilt(rows: Iterable[GradedReply], requests: Sequence[Probe]) -> Iterator[Success | None]:
    """The successes of a run that kept no conversations: the attack of the table is applied again, and the id, which holds the digest of what was
    said, tells whether it is the same. None for one that cannot be rebuilt."""
    for r in rows:
        if r.result != "fail" or ATTACK_MARK not in r.probe:
            continue
        how = r.probe.rpartition(ATTACK_MARK)[2]
        found = None
        for p in requests:
            if p.clause == r.clause and p.kind == r.kind and r.family in (p.family, p.id) and how in ATTACKS:
                messages = ATTACKS[how].apply(p.messages)
                if probe_id(p.clause, p.kind, r.family, messages) + ATTACK_MARK + how == r.probe:
                    found = Success(p.id, how, messages)
        yield found


def attack_probes(successes: Iterable[Success | None], requests: Sequence[Probe], run: str, each: int = EACH) -> Found:
    """At most `each` probes a request, in the order of the run. `run`: the name of the evaluation, for the provenance."""
    known = {p.id: p for p in requests}
    out: dict[str, Probe] = {}
    taken: dict[str, int] = {}
    lost = 0
    for s in successes:
        p = known.get(s.request) if s is not None else None
        if s is None or p is None or s.messages[-1].role != "user":
            lost += 1
            continue
        family = p.family if p.origin == "grown" else p.id
        name = probe_id(p.clause, p.kind, family, s.messages)
        if taken.get(p.id, 0) >= each or s.messages == p.messages or name in out:
            continue
        taken[p.id] = taken.get(p.id, 0) + 1
        out[name] = Probe(
            name, p.clause, p.kind, s.messages, family, p.side, "grown", p.expect, source=f"attack:{run}#{p.id}{ATTACK_MARK}{s.how}"
        )  # fmt: skip
    return Found(tuple(out.values()), lost)


# what a clause must do where it was broken, and where the guard stopped what a person then let pass
_FIRST: Mapping[str, Kind] = {"override": "near_miss"}
_KINDS: Sequence[Kind] = ("refuse", "high_stakes", "out_of_scope", "in_scope", "knowledge", "abstain", "voice")


def incident_probes(charter: Charter, incidents: Iterable[Incident]) -> Found:
    """One probe an incident whose clause can be asked: the conversation up to the user's last turn, without the system's own messages. It holds
    what a user wrote, so that whoever accepts it must take out what points to a person."""
    clauses = {c.id: c for c in charter.clauses()}
    out: dict[str, Probe] = {}
    lost = 0
    for i in incidents:
        clause = clauses.get(i.clause)
        kinds = kinds_of(clause) if clause is not None else frozenset[Kind]()
        kind = next((k for k in (_FIRST.get(i.kind), *_KINDS) if k in kinds), None)
        said = [m for m in i.prompt if m.role in ("user", "assistant") and m.content.strip() and not m.tool_calls]
        while said and said[-1].role != "user":
            said.pop()
        if clause is None or kind is None or not said:
            lost += 1
            continue
        family, messages = f"{i.clause}/incident/{i.id}", tuple(said)
        contains = clause.expected if isinstance(clause, Knowledge) else ()
        breaks: tuple[str, ...] = tuple(getattr(clause, "breaks", ())) if kind in ("refuse", "high_stakes") else ()
        name = probe_id(i.clause, kind, family, messages)
        expect = Expectation(OUTCOME_OF[kind], contains, breaks)
        out[name] = Probe(name, i.clause, kind, messages, family, "test", "grown", expect, source=f"incident:{i.id}")
    return Found(tuple(out.values()), lost)
