"""The replies that changed against the baseline, with enough of prompt and replies to understand them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from trueline.core.evaluations import Evaluation, GradedReply
from trueline.core.findings import Flip

EXCERPT = 240  # characters of a prompt or reply that stand in the record
KEPT = 100  # flips of each direction that stand in the record


def excerpt(text: str, limit: int = EXCERPT) -> str:
    """The beginning of a text on one line."""
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def flipped(candidate: Sequence[GradedReply], baseline: Sequence[GradedReply]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(probes that got worse, probes that got better), by name."""
    before = {(r.probe, r.sample): r.result for r in baseline}
    now = {(r.probe, r.sample): r.result for r in candidate}
    worse = sorted({k[0] for k, r in now.items() if r == "fail" and before.get(k) == "pass"})
    better = sorted({k[0] for k, r in now.items() if r == "pass" and before.get(k) == "fail"})
    return tuple(worse), tuple(better)


def flips(candidate: Evaluation, baseline: Evaluation, prompts: Mapping[str, str]) -> tuple[Flip, ...]:
    """The flipped replies, worse first, at most `KEPT` of each. `prompts`: probe -> what was asked, "" where nobody knows."""
    before = {(r.probe, r.sample): r for r in baseline.rows}
    worse: list[Flip] = []
    better: list[Flip] = []
    for r in sorted(candidate.rows, key=lambda r: (r.measure, r.clause, r.probe, r.sample)):
        then = before.get((r.probe, r.sample))
        if then is None or "unscored" in (r.result, then.result) or r.result == then.result:
            continue
        kept = worse if r.result == "fail" else better
        if len(kept) < KEPT:
            asked = excerpt(prompts.get(r.probe, ""))
            kept.append(Flip(r.probe, r.sample, r.clause, r.measure, then.result, r.result, asked, excerpt(then.reply), excerpt(r.reply)))
    return (*worse, *better)
