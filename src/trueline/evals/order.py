"""In which order probes are asked, and when to stop early: by families in a seeded random order, so that a rule may look after each family.

A rule that may stop at any time (an anytime-valid test) is honest only if the order is random and fixed beforehand. So it hears whole families
in that order, whoever answered first, and where it stops does not depend on concurrency: what was answered beyond is left out.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from trueline.charter.probes import Probe
from trueline.core.evaluations import GradedReply
from trueline.evals.fairness import judge_pairs
from trueline.evals.journal import Key

Job = tuple[Probe, int]  # a probe and the number of its sample
Stop = Callable[[Sequence[GradedReply]], str | None]  # the rows of one family -> why to stop, or None


@dataclass(frozen=True, slots=True)
class Early:
    """A rule that may end the run: `stop` hears each family, in the order that `seed` draws."""

    stop: Stop
    seed: int = 0


def families(probes: Sequence[Probe], samples: int, seed: int | None) -> list[list[Job]]:
    """All jobs, grouped by family; without a seed in the order of the suite, each probe for itself."""
    if seed is None:
        return [[(p, s)] for p in probes for s in range(samples)]
    groups: dict[str, list[Job]] = {}
    for p in probes:
        groups.setdefault(p.cluster, []).extend((p, s) for s in range(samples))
    out = list(groups.values())
    random.Random(seed).shuffle(out)
    return out


class Reading:
    """Reads finished families to a rule, in order. `stopped`: why it stopped, once it has; `read`: how many families it heard; `ruled`: whether there
    is a rule at all."""

    def __init__(self, groups: Sequence[Sequence[Job]], early: Early | None) -> None:
        self._groups, self._early = groups, early
        self.read, self.stopped = 0, ""
        self.ruled = early is not None

    def look(self, rows: Mapping[Key, GradedReply]) -> bool:
        """Reads what is ready. True once the rule has stopped."""
        while self._early is not None and not self.stopped and self.read < len(self._groups):
            keys = [(p.id, s) for p, s in self._groups[self.read]]
            if not all(k in rows for k in keys):
                break
            self.read += 1
            self.stopped = self._early.stop(judge_pairs([rows[k] for k in keys])) or ""
        return bool(self.stopped)

    def kept(self) -> set[Key] | None:
        """What belongs to the evaluation of a run that was stopped; None where it was not."""
        return {(p.id, s) for group in self._groups[: self.read] for p, s in group} if self.stopped else None
