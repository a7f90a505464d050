"""`trueline eval --stop-early`: the gate's anytime-valid tests as a rule that ends a run (`gate.anytime`, `evals.order.Early`)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trueline.cli.guarding import Measured
    from trueline.cli.project import Project
    from trueline.core.evaluations import GradedReply
    from trueline.core.ports import Grader
    from trueline.evals.order import Early
    from trueline.evals.suites import Suite


def stopping(
    project: Project, suite: Suite, grader: Grader, samples: int, seed: int | None, against: Path | None, asked: Measured
) -> Early | None:
    """The rule of the charter's caps, and of its margins where a baseline is given; None without a seed. Raises `TargetError` for a baseline
    without a rule, or one that the gate could not compare. `asked`: what the target was taught or shown is no evidence for it."""
    from trueline.cli.measuring import shots_of
    from trueline.data.contamination import taught
    from trueline.data.evaluations import read_evaluation
    from trueline.errors import TargetError
    from trueline.evals.order import Early
    from trueline.gate.anytime import StopRule

    if seed is None:
        if against is not None:
            raise TargetError("--against has no effect without --stop-early", remedy="leave it out; `trueline gate` takes the baseline")
        return None
    if asked.looks > 1:
        what = f"--stop-early could never PASS: this prompt is one of {asked.looks} judged on held-out probes, and its bounds do not count that"
        raise TargetError(what, remedy="leave --stop-early out")
    baseline = read_evaluation(against) if against is not None else None
    if baseline is not None and (baseline.suite != suite.digest or baseline.settings.get("samples") != samples or not baseline.complete):
        what = f"the baseline in {against} is no finished evaluation of this suite with {samples} samples"
        raise TargetError(what, remedy="evaluate the baseline first, with the same options")
    known = {
        *taught(suite.probes, [*asked.trained_on, *asked.shown, *shots_of(asked.chat.identity())]),
        *(baseline.taught if baseline else ()),
    }
    sizes = {key: samples * n for key, n in Counter((p.measure, p.cluster) for p in suite.probes).items()}
    rule = StopRule(project.loaded.charter.gate, sizes, {grader.name: grader.identity()}, baseline, known)

    def stop(rows: Sequence[GradedReply]) -> str | None:
        word = rule.after(rows)
        return None if word is None else f"{word} is shown, whatever the rest would say"

    return Early(stop, seed)
