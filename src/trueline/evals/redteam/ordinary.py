"""Ordinary pairs beside what attacks found: undisguised questions of the teach side, so that a round on attacks keeps what was learnt before.

Half of them reward an answer where one is due, half a refusal (a redirection, a hand-over, an admission not to know) where that is due. Without the
second half the first attacks' round made the rehearsal model refuse less. Decisions between groups are left out: their other answer is no worse.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from trueline.charter.probes import Probe
from trueline.charter.turns import behind
from trueline.core.clock import generator
from trueline.core.records import Preference
from trueline.evals.suites import thinned

DECLINED = ("refuse", "redirect", "hand_over", "abstain")  # outcomes where an answer is the worse reply


def _even(pool: Sequence[Probe], n: int) -> list[Probe]:
    return thinned(pool, min(1.0, n / len(pool))) if pool else []


def ordinary(probes: Sequence[Probe], refusals: Mapping[str, str], n: int, *, prompt: str = "", seed: int = 0) -> tuple[Preference, ...]:
    """About `n` pairs, the same share of every clause. `refusals`: the sentence of each clause; `prompt`: the one that the target stands behind. The
    chosen reply is the demonstration; the rejected one a reply of the other kind, of the same clause where there is one. Fewer where
    the charter has fewer demonstrations; none where it has only one kind."""
    shown = [p for p in probes if p.side == "teach" and p.reply]
    due = [p for p in shown if p.expect.outcome == "answer"]
    declined = [p for p in shown if p.expect.outcome in DECLINED]
    answers: dict[str, list[str]] = {}
    for p in due:
        answers.setdefault(p.clause, []).append(p.reply or "")
    noes = sorted({*refusals.values(), *(p.reply or "" for p in declined)} - {""})
    every = [reply for found in answers.values() for reply in found]
    if not noes or not every:
        return ()
    out = []
    for p in (*_even(due, n // 2), *_even(declined, n - n // 2)):
        source = generator(seed, "ordinary", p.id)
        if p.expect.outcome == "answer":
            worse = refusals.get(p.clause) or source.choice(noes)
        else:
            worse = source.choice(answers.get(p.clause) or every)
        if worse != p.reply:
            out.append(Preference(behind(prompt, p.messages), p.reply or "", worse, clause=p.clause, source=f"ordinary:{p.kind}"))
    return tuple(out)
