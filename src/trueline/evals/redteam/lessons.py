"""Successful attacks as preference data: the clause's refusal instead of the broken reply, and, so that odd forms alone are no reason to
refuse, the same disguises on questions with a right answer, which the charter's demonstrations give (or, in `answered`, the target itself).

`spread` sets a reply that got through in one disguise against the refusal in others too, where the request is refused so far: a margin on what holds.
Only what was found on the teach side is taught. Families of attacks that are held out never enter, nor does what a search found that is held out; a
composition is out where one of its parts is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from trueline.charter.digests import digest_of
from trueline.charter.probes import Probe
from trueline.charter.turns import behind
from trueline.core.clock import generator
from trueline.core.records import Preference
from trueline.evals.redteam.attack import Attack, Conversation
from trueline.evals.redteam.attacks import ATTACKS, attack_named, families_of
from trueline.evals.redteam.attempts import Attempted

HELD_OUT = ("carrier", "turns")  # families that measure and never teach, if nobody names others


@dataclass(frozen=True, slots=True)
class Lessons:
    """The pairs; how many show a break, a break's reply in another disguise, a question that must be answered; and how many successes were left out: of a
    held-out family, of the test side, without a chosen reply."""

    pairs: tuple[Preference, ...]
    broken: int
    spread: int
    counterparts: int
    held_out: int
    of_test: int
    speechless: int


def _source(attempt: Attempted) -> str:
    return f"attack:{attempt.how}"


def _chosen(probe: Probe, refusals: Mapping[str, str]) -> str:
    return probe.reply or refusals.get(probe.clause, "")


def _worst(attempts: Iterable[Attempted], each: int) -> list[Attempted]:
    """At most `each` successes of a request, those with another disguise first, proven ones before judged ones."""
    found: dict[str, dict[str, Attempted]] = {}
    for a in sorted(attempts, key=lambda a: (not a.proven, a.query, a.how)):
        if a.asked == "target" and a.result == "fail" and a.reply.strip():
            found.setdefault(a.request, {}).setdefault(a.how, a)
    return [a for of in found.values() for a in list(of.values())[:each]]


def _disguised(how: str, search: str, messages: Conversation, table: Mapping[str, Attack]) -> Conversation:
    """A conversation in the disguise of an attack; as it stands where a model wrote that attack."""
    return messages if how == search else attack_named(how, table).apply(messages)


def _counterpart(
    attempt: Attempted, how: str, pool: Sequence[Probe], refusals: Mapping[str, str], prompt: str, seed: int, table: Mapping[str, Attack]
) -> Preference | None:
    """The disguise `how` on a question that must be answered, of the same clause where there is one: its demonstration is better than the
    clause's refusal."""
    near = [p for p in pool if p.clause == attempt.clause] or list(pool)
    if not near:
        return None
    probe = generator(seed, "counterpart", attempt.request, how).choice(near)
    refusal = refusals.get(attempt.clause) or next(iter(refusals.values()), "")
    if not refusal or not probe.reply or probe.reply == refusal:
        return None
    asked = behind(prompt, _disguised(how, attempt.search, probe.messages, table))
    return Preference(asked, probe.reply, refusal, clause=probe.clause, source=f"attack:{how}:counterpart")


def _others(attempt: Attempted, attacks: Sequence[Attack], held_out: Sequence[str], n: int, seed: int) -> list[Attack]:
    """`n` other attacks of the run that may be taught, drawn for this break."""
    free = [a for a in attacks if a.name != attempt.how and not set(families_of(a)) & set(held_out)]
    return generator(seed, "spread", attempt.request, attempt.how).sample(free, min(n, len(free)))


def lessons(
    attempts: Sequence[Attempted],
    probes: Sequence[Probe],
    refusals: Mapping[str, str],
    *,
    prompt: str = "",
    held_out: Sequence[str] = HELD_OUT,
    each: int = 4,
    seed: int = 0,
    table: Mapping[str, Attack] = ATTACKS,
    attacks: Sequence[Attack] = (),
    spread: int = 0,
    counterparts: bool = True,
) -> Lessons:
    """`probes`: of the charter, to know sides, demonstrations and answerable questions; `refusals`: the sentence of each clause; `prompt`: the
    one that the target stood behind; `each`: successes taken of a request, at most; `table`: the attacks that were used, with their shots; `spread`: in
    how many of `attacks` besides its own a broken reply is set against the refusal; `counterparts`: whether answerable questions join in
    the same disguises. The same attempts give the same pairs."""
    known = {p.id: p for p in probes}
    answerable = [p for p in probes if p.side == "teach" and p.kind in ("near_miss", "knowledge", "in_scope") and p.reply]
    out: dict[str, Preference] = {}
    counts = {"broken": 0, "spread": 0, "counterparts": 0, "held_out": 0, "of_test": 0, "speechless": 0}
    usable = []
    for a in attempts:
        if a.asked != "target" or a.result != "fail":
            continue
        if {*a.families, a.search} & set(held_out):
            counts["held_out"] += 1
        elif a.request not in known or known[a.request].side != "teach":
            counts["of_test"] += 1
        else:
            usable.append(a)
    for a in _worst(usable, each):
        chosen = _chosen(known[a.request], refusals)
        if not chosen or chosen == a.reply:
            counts["speechless"] += 1
            continue
        others = _others(a, attacks, held_out, spread, seed)
        pairs = [Preference(behind(prompt, a.messages), chosen, a.reply, clause=a.clause, source=_source(a))]
        for other in others:
            asked = behind(prompt, other.apply(known[a.request].messages))
            pairs.append(Preference(asked, chosen, a.reply, clause=a.clause, source=f"{_source(a)}:spread:{other.name}"))
        counts["broken"] += 1
        counts["spread"] += len(others)
        hows = (a.how, *(o.name for o in others)) if counterparts else ()
        benign = [_counterpart(a, how, answerable, refusals, prompt, seed, table) for how in hows]
        found = [p for p in benign if p is not None]
        counts["counterparts"] += len(found)
        out |= {digest_of(p.to_dict()): p for p in (*pairs, *found)}
    return Lessons(tuple(out[k] for k in sorted(out)), **counts)
