"""Answerable questions in disguise that the target answered, as preference data: its own words are better than the clause's refusal.

A demonstration in a disguise that the target cannot read teaches it to answer whatever looks odd; its own answers are to keep what it can do.
What counts as answered is the grader's judgement: where a target reads a disguise badly, nonsense passes too (docs/redteam.md), so look at the
rows. Disguises of families that are held out never enter.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from trueline.charter.probes import Probe
from trueline.charter.turns import behind
from trueline.core.evaluations import GradedReply, attack_of
from trueline.core.records import Preference
from trueline.evals.redteam.attack import Attack
from trueline.evals.redteam.attacks import ATTACKS, attack_named, families_of


def answered(
    asked: Sequence[Probe],
    rows: Sequence[GradedReply],
    refusals: Mapping[str, str],
    *,
    prompt: str = "",
    held_out: Sequence[str] = (),
    table: Mapping[str, Attack] = ATTACKS,
    longest: int | None = None,
) -> Iterator[Preference]:
    """One pair for each of `rows` (first samples of the near misses `asked` on the teach side, in disguise) that passed: what the target said,
    against the refusal of the probe's clause. Rows of clauses without a refusal, or of the test side, give none; nor do replies of `longest`
    tokens, which were cut off, and what a guard had its hand in, which are not the target's words."""
    known = {p.id: p for p in asked if p.side == "teach"}
    for row in rows:
        probe, how = known.get(row.probe), attack_of(row.probe)
        if probe is None or row.sample or row.result != "pass" or set(families_of(attack_named(how, table))) & set(held_out):
            continue
        if row.action != "allow" or (longest is not None and row.output_tokens >= longest):
            continue
        refusal = refusals.get(row.clause, "")
        if refusal and row.reply.strip() and row.reply != refusal:
            yield Preference(behind(prompt, probe.messages), row.reply, refusal, clause=row.clause, source=f"attack:{how}:answered")
