"""A few lines about an evaluation: failure rates by measure with exact intervals, families counted as the clusters that they are."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import click

from trueline.algos.stats.clustered import rate_interval
from trueline.charter.probes import MEASURES
from trueline.core.evaluations import Evaluation
from trueline.report.layers import layers_text


def summary(evaluation: Evaluation) -> dict[str, dict[str, Any]]:
    """Failure rate, interval, n, unscored and blocked by measure; written, grown and inherited probes apart. Rates are None where nothing was scored."""
    out: dict[str, dict[str, Any]] = {}
    for measure in MEASURES:
        for origin in ("grown", "written", "inherited"):
            rows = [r for r in evaluation.rows if r.measure == measure and r.origin == origin]
            scored = [r for r in rows if r.result != "unscored"]
            if not rows:
                continue
            i = rate_interval([float(r.result == "fail") for r in scored], [r.cluster for r in scored]) if scored else None
            name = measure if origin == "grown" else f"{measure} ({origin})"
            out[name] = {
                "failed": round(i.estimate, 4) if i else None,
                "low": round(i.low, 4) if i else None,
                "high": round(i.high, 4) if i else None,
                "n": len(scored),
                "unscored": len(rows) - len(scored),
                "blocked": sum(r.blocked for r in rows),
            }
    return out


def graded_by(evaluation: Evaluation) -> list[str]:
    """How many replies were graded by whom, and with what error where it was measured."""
    counts = Counter(r.grader or "nobody" for r in evaluation.rows)
    errors = [i for i in evaluation.graders.values() if i.get("sensitivity") and i.get("specificity")]
    error = "its error is not known"
    if errors:
        said = (f"{what} {100 * errors[0][what]['estimate']:.1f} % (n {errors[0][what]['n']})" for what in ("sensitivity", "specificity"))
        error = ", ".join(said) + " on human labels"
    return [f"{n} graded by {name}" + ("" if name in ("exact", "nobody") else f": {error}") for name, n in counts.most_common()]


def print_summary(evaluation: Evaluation, folder: Path) -> None:
    """The same as a table."""
    click.echo(f"{evaluation.target}: {len(evaluation.rows)} replies in {evaluation.seconds:.0f} s -> {folder}")
    click.echo(f"{'measure':24}{'failed':>9}{'95 % interval':>18}{'n':>6}{'unscored':>10}{'blocked':>9}")
    for name, row in summary(evaluation).items():
        failed, interval = "-", "not enough"
        if row["failed"] is not None:
            failed, interval = f"{100 * row['failed']:.1f}%", f"{100 * row['low']:.1f} - {100 * row['high']:.1f}"
        click.echo(f"{name:24}{failed:>9}{interval:>18}{row['n']:6}{row['unscored']:10}{row['blocked']:9}")
    for line in (*layers_text(evaluation), *graded_by(evaluation)):
        click.echo(line)
    versions = evaluation.versions()
    if len(versions) > 1:
        told = ", ".join(f"{v!r} ({n})" for v, n in versions.items())
        click.echo(f"note: the server named {len(versions)} versions while it was measured: {told}", err=True)
