"""What the charter says at run time: the clauses' own sentences, and who must look at what."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from trueline.core.roles import jointly
from trueline.errors import GatewayError

if TYPE_CHECKING:
    from trueline.charter.compile.reviewing import ReviewRule
    from trueline.charter.schema import Charter

FALLBACK = "I cannot help with that."
MAIN_ROUTE = "chat"


@dataclass(frozen=True, slots=True)
class RunTimeRules:
    """`replies`: what a clause says instead; `rules`: who reviews, by clause."""

    replies: Mapping[str, str]
    rules: Mapping[str, ReviewRule]

    def reply_of(self, clause: str | None) -> str:
        """The sentence with which a clause answers."""
        return self.replies.get(clause or "", FALLBACK) or FALLBACK

    def routes(self) -> tuple[str, ...]:
        """The routes that rules name besides the main one: each is served under /{route}/v1/chat/completions."""
        named = {on.removeprefix("route:") for r in self.rules.values() for on in r.on if on.startswith("route:")}
        return tuple(sorted(named - {MAIN_ROUTE}))

    def always(self, route: str, key: str | None, tools: Iterable[str]) -> tuple[ReviewRule, ...]:
        """The rules that hold this whatever a detector says; a rule that names no place holds everything. Tools by their names as people
        read them: `Decide_Loan` and full-width letters do not lead round a rule on `decide_loan`."""
        here = {f"route:{route}", f"key:{key}", *(f"tool:{_read(t)}" for t in tools)}
        return tuple(r for r in self.rules.values() if r.always and (not r.on or here & {_place(on) for on in r.on}))

    def tool_rules(self) -> bool:
        """Whether some tool's calls are always held."""
        return any(r.always and any(on.startswith("tool:") for on in r.on) for r in self.rules.values())


def _read(name: str) -> str:
    return unicodedata.normalize("NFKC", name).strip().casefold()


def _place(on: str) -> str:
    return f"tool:{_read(on.removeprefix('tool:'))}" if on.startswith("tool:") else on


def jointly_held(rules: Sequence[ReviewRule]) -> ReviewRule:
    """One rule for several that all hold the same reply: who decides must be entitled by each, in the shortest time, and as many people
    as the most asks for. The clause and its sentence are those of the first."""
    if len(rules) == 1:
        return rules[0]
    most, soonest = max(r.approvals for r in rules), min(r.within_seconds for r in rules)
    return replace(rules[0], by=jointly([r.by for r in rules]), approvals=most, within_seconds=soonest)


def rules_for(charter: Charter) -> RunTimeRules:
    """The rules that a charter compiles to. Raises `GatewayError` for what cannot work."""
    # pydantic's models of the charter weigh 130 ms: only who compiles one needs them
    from trueline.charter.compile.guarding import guard_rules
    from trueline.charter.compile.reviewing import review_rules

    rules = {r.clause: r for r in review_rules(charter)}
    for r in rules.values():
        for on in r.on:
            if on.partition(":")[0] not in ("tool", "key", "route") or not on.partition(":")[2]:
                raise GatewayError(f"the clause {r.clause} is held on {on!r}", remedy="write tool:NAME, key:NAME or route:NAME")
    replies = {r.clause: r.reply for r in guard_rules(charter)} | {r.clause: r.reply for r in rules.values()}
    return RunTimeRules(replies, rules)
